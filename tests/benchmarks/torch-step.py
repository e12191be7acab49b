#!/usr/bin/python3
"""The peer of `formarium bench step`: the same training step in PyTorch. Each line "N" on standard input is answered with
the mean milliseconds of N steps. Pre-norm encoder, GELU (erf), learned positions, mean pool, AdamW, clip 1, no dropout.
Tuned as well as we know: memory is kept, one set of OpenMP threads; the BLAS is whatever this process loads."""
import os
import sys

if "FORMARIUM_PEER" not in os.environ:  # glibc reads these at start
    os.environ.update(FORMARIUM_PEER="1", ATEN_CPU_CAPABILITY="avx512", MALLOC_MMAP_MAX_="0",
                      MALLOC_TRIM_THRESHOLD_="20000000000", MALLOC_TOP_PAD_="67108864", OMP_NUM_THREADS=sys.argv[1])
    folder = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
    if os.path.isdir(folder):
        os.environ["LD_LIBRARY_PATH"] = folder + ":" + os.environ.get("LD_LIBRARY_PATH", "")
    os.execv(sys.executable, [sys.executable] + sys.argv)

try:
    import torch
except ImportError:
    sys.exit("torch-step.py: PyTorch is not here (Debian: python3-torch)")
import time
from torch import nn

L, D, H, F, N, C, B = 2, 64, 4, 256, 49, 16, 64
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.o = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.i, self.j = nn.Linear(D, F), nn.Linear(F, D)

    def forward(self, x):
        q, k, v = (t.reshape(B, N, H, D // H).transpose(1, 2) for t in self.qkv(self.n1(x)).split(D, -1))
        a = torch.softmax(q @ k.transpose(-1, -2) * (D // H) ** -0.5, -1) @ v
        x = x + self.o(a.transpose(1, 2).reshape(B, N, D))
        return x + self.j(nn.functional.gelu(self.i(self.n2(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.p = nn.Linear(C, D), nn.Parameter(0.1 * torch.randn(N, D))
        self.b, self.n, self.h = nn.Sequential(*(Block() for _ in range(L))), nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x):
        return self.h(self.n(self.b(self.e(x) + self.p)).mean(1))


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
x, y = torch.randn(B, N, C), torch.randint(0, 10, (B,))


def step():
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(model(x), y).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


for line in sys.stdin:
    n = int(line)
    start = time.perf_counter()
    for _ in range(n):
        step()
    print((time.perf_counter() - start) * 1e3 / n, flush=True)
