#!/usr/bin/python3
"""The peer of `formarium bench`: the same work in PyTorch.

    torch-peer.py CASE THREADS [DEVICE]     CASE: T1 T2 T3 softmax-N linear-N decode-N

The first line on standard output says what runs; then each line "N" on standard input is answered with the mean milliseconds
of N runs, a line "memory" with the most bytes that were resident. Tuned as well as we know: memory is kept, one set of OpenMP
threads, the scores' mask and scale fused into their product, long softmax attention in blocks of queries. The BLAS is the OpenMP
OpenBLAS where Debian has it; its kernels are those that the environment asks for, the same as on our side."""
import os
import sys

if "FORMARIUM_PEER" not in os.environ:  # glibc and the loader read these at start
    os.environ.update(FORMARIUM_PEER="1", ATEN_CPU_CAPABILITY="avx512", MALLOC_MMAP_MAX_="0",
                      MALLOC_TRIM_THRESHOLD_="20000000000", MALLOC_TOP_PAD_="67108864", OMP_NUM_THREADS=sys.argv[2])
    folder = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
    if os.path.isdir(folder):
        os.environ["LD_LIBRARY_PATH"] = folder + ":" + os.environ.get("LD_LIBRARY_PATH", "")
    os.execv(sys.executable, [sys.executable] + sys.argv)

try:
    import torch
except ImportError:
    sys.exit("torch-peer.py: PyTorch is not here (Debian: python3-torch)")
import ctypes
import time
from torch import nn
from torch.nn import functional as fn

case, device = sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else "cpu"
if device == "cuda" and not torch.cuda.is_available():
    sys.exit("torch-peer.py: this PyTorch has no CUDA device; leave --against out")
torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(1)
torch.set_default_tensor_type(torch.cuda.FloatTensor if device == "cuda" else torch.FloatTensor)

# Layers, width, heads, hidden, batch, length; vocabulary (0: vectors of 16 numbers and a class a row), causal.
SETTINGS = {"T1": (2, 64, 4, 256, 32, 128, 256, True), "T2": (4, 256, 8, 1024, 8, 256, 256, True),
            "T3": (2, 64, 4, 256, 64, 49, 0, False)}


def blas():
    """Name, core and flavour of the OpenBLAS this process has loaded."""
    with open("/proc/self/maps") as maps:
        files = {line.split()[-1] for line in maps if "blas" in line.rsplit("/", 1)[-1]}
    for file in files:
        try:
            library = ctypes.CDLL(file)
            library.openblas_get_corename.restype = library.openblas_get_config.restype = ctypes.c_char_p
            flavour = {0: "sequential", 1: "pthread", 2: "openmp"}[library.openblas_get_parallel()]
            return "%s %s, %s" % (" ".join(library.openblas_get_config().decode().split()[:2]),
                                  library.openblas_get_corename().decode(), flavour)
        except (AttributeError, OSError):
            pass
    return "an unknown BLAS"


class Block(nn.Module):
    def __init__(self, D, H, F):
        super().__init__()
        self.H = H
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.o = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.i, self.j = nn.Linear(D, F), nn.Linear(F, D)

    def forward(self, x, mask):
        B, N, D = x.shape
        H, d = self.H, D // self.H
        q, k, v = (t.reshape(B, N, H, d).transpose(1, 2).reshape(B * H, N, d) for t in self.qkv(self.n1(x)).split(D, -1))
        s = torch.baddbmm(mask, q, k.transpose(-1, -2), alpha=d ** -0.5, beta=1 if mask.numel() > 1 else 0)
        a = torch.bmm(torch.softmax(s, -1), v)
        x = x + self.o(a.reshape(B, H, N, d).transpose(1, 2).reshape(B, N, D))
        return x + self.j(fn.gelu(self.i(self.n2(x))))


class Model(nn.Module):
    def __init__(self, L, D, H, F, N, V, causal):
        super().__init__()
        self.e = nn.Embedding(V, D) if V else nn.Linear(16, D)
        self.p = nn.Parameter(0.1 * torch.randn(N, D))
        self.b, self.n = nn.ModuleList(Block(D, H, F) for _ in range(L)), nn.LayerNorm(D)
        self.h = nn.Linear(D, V or 10)
        self.mask = torch.full((N, N), float("-inf")).triu(1) if causal else torch.zeros(1)
        self.pool = V == 0

    def forward(self, x):
        x = self.e(x) + self.p
        for block in self.b:
            x = block(x, self.mask)
        x = self.n(x)
        return self.h(x.mean(1) if self.pool else x)


def training_step(setting):
    L, D, H, F, B, N, V, causal = SETTINGS[setting]
    model = Model(L, D, H, F, N, V, causal)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    x = torch.randint(0, V, (B, N), device=device) if V else torch.randn(B, N, 16)
    y = torch.randint(0, V, (B * N,), device=device) if V else torch.randint(0, 10, (B,), device=device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(x)
        fn.cross_entropy(logits.reshape(-1, logits.shape[-1]), y).backward()
        optimizer.step()
    return step


def softmax_attention(N):
    q, k, v = (torch.randn(4, N, 64) for _ in range(3))
    rows = int(os.environ.get("FORMARIUM_PEER_ROWS", 1024 if N <= 4096 else 512))  # the fastest of 64 to 4096
    out, empty = torch.empty(4, N, 64), torch.zeros(1)

    def forward():
        for i in range(0, N, rows):
            s = torch.baddbmm(empty, q[:, i:i + rows], k.transpose(-1, -2), alpha=0.125, beta=0)
            out[:, i:i + rows] = torch.bmm(torch.softmax(s, -1), v)
    return forward


def linear_attention(N):
    q, k, v = (torch.randn(4, N, 64) for _ in range(3))

    def forward():
        a, b = fn.elu(q) + 1, fn.elu(k) + 1
        return torch.bmm(a, torch.bmm(b.transpose(-1, -2), v)) / torch.bmm(a, b.sum(1).unsqueeze(-1))
    return forward


def decode(N):
    L, D, H, F, V = 4, 256, 8, 1024, 256
    d = D // H
    blocks, norm, head = [Block(D, H, F) for _ in range(L)], nn.LayerNorm(D), nn.Linear(D, V)
    embed, place = nn.Embedding(V, D), torch.randn(N, D)
    keys, values = torch.randn(L, H, d, N), torch.randn(L, H, N, d)
    token, empty = torch.zeros(1, dtype=torch.long, device=device), torch.zeros(1)

    def forward():
        x = embed(token) + place[N - 1]
        for l, block in enumerate(blocks):
            q, k, v = block.qkv(block.n1(x)).reshape(3, H, 1, d)
            keys[l, :, :, N - 1], values[l, :, N - 1] = k[:, 0], v[:, 0]
            s = torch.softmax(torch.baddbmm(empty, q, keys[l], alpha=d ** -0.5, beta=0), -1)
            x = x + block.o(torch.bmm(s, values[l]).reshape(1, D))
            x = x + block.j(fn.gelu(block.i(block.n2(x))))
        return head(norm(x))
    return forward


kind, _, size = case.partition("-")
forward_only = kind not in SETTINGS
torch.set_grad_enabled(not forward_only)
if forward_only:
    work = {"softmax": softmax_attention, "linear": linear_attention, "decode": decode}[kind](int(size))
else:
    work = training_step(case)
print("PyTorch %s, %s, %s threads" % (torch.__version__, torch.cuda.get_device_name() if device == "cuda" else blas(),
                                      torch.get_num_threads()), flush=True)
for line in sys.stdin:
    if line.strip() == "memory":
        with open("/proc/self/status") as status:
            print(next(int(row.split()[1]) * 1024 for row in status if row.startswith("VmHWM:")), flush=True)
        continue
    n = int(line)
    start = time.perf_counter()
    for _ in range(n):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    print((time.perf_counter() - start) * 1e3 / n, flush=True)
