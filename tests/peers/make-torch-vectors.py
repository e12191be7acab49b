#!/usr/bin/python3
"""make-torch-vectors.py FOLDER: what PyTorch computes, for tests/compute/test-peers.c.

Writes FOLDER/encoder.safetensors, causal.safetensors and operators.safetensors: weights, inputs, logits, losses, gradients.
Needs Debian's python3-torch. Made with version 1.13.1; any later one should give the same to about 1e-6.

A model's file holds `param/PATH`, `grad/PATH`, `in/NAME`, `out/logits`, `out/loss` and `out/losses`: the loss before each
of six AdamW steps. An operator's tensors are NAME/in0, NAME/in1, ..., NAME/out0, NAME/weight0 and, where an input has a
gradient, NAME/grad0: that of sum (out0 * weight0). Layouts are PyTorch's own ([B,C,Y,X]); the test permutes.
"""
import json
import struct
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def save(filename, tensors):
    header, data, offset = {}, [], 0
    for name in sorted(tensors):
        t = tensors[name].detach().contiguous()
        t = t.to(torch.int32) if not t.is_floating_point() else t.to(torch.float32)
        raw = t.numpy().tobytes()
        header[name] = {
            "dtype": "F32" if t.is_floating_point() else "I32",
            "shape": list(t.shape) or [1],
            "data_offsets": [offset, offset + len(raw)],
        }
        offset += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(filename, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


# --- Models ------------------------------------------------------------------------------------------------------------

B, N, D, H, FF, L, V, C, CLASSES = 3, 13, 32, 4, 64, 2, 29, 11, 10


def block_params(p, prefix):
    p[prefix + "norm1.gain"] = 1 + 0.1 * torch.randn(D)
    p[prefix + "norm1.bias"] = 0.1 * torch.randn(D)
    p[prefix + "norm2.gain"] = 1 + 0.1 * torch.randn(D)
    p[prefix + "norm2.bias"] = 0.1 * torch.randn(D)
    for name, m, n in (("q", D, D), ("k", D, D), ("v", D, D), ("out", D, D), ("up", FF, D), ("down", D, FF)):
        p[prefix + name + ".weight"] = torch.randn(m, n) / n ** 0.5
        p[prefix + name + ".bias"] = 0.1 * torch.randn(m)


def block(p, prefix, x, causal):
    def linear(h, name):
        return F.linear(h, p[prefix + name + ".weight"], p[prefix + name + ".bias"])

    def heads(h):
        return h.view(B, N, H, D // H).transpose(1, 2)

    h = F.layer_norm(x, (D,), p[prefix + "norm1.gain"], p[prefix + "norm1.bias"], 1e-5)
    q, k, v = heads(linear(h, "q")), heads(linear(h, "k")), heads(linear(h, "v"))
    scores = q @ k.transpose(-1, -2) / (D // H) ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(N, N, dtype=torch.bool).triu(1), float("-inf"))
    h = (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, N, D)
    x = x + linear(h, "out")
    h = F.layer_norm(x, (D,), p[prefix + "norm2.gain"], p[prefix + "norm2.bias"], 1e-5)
    return x + linear(F.gelu(linear(h, "up")), "down")


def encoder(p, i):
    x = F.linear(i["x"], p["embed.weight"], p["embed.bias"]) + p["position"]
    for k in range(L):
        x = block(p, "layers.%d." % k, x, False)
    x = F.layer_norm(x, (D,), p["norm.gain"], p["norm.bias"], 1e-5).mean(1)
    logits = F.linear(x, p["head.weight"], p["head.bias"])
    return logits, F.cross_entropy(logits, i["target"])


def causal(p, i):
    x = F.embedding(i["tokens"], p["table"]) + p["position"]
    for k in range(L):
        x = block(p, "layers.%d." % k, x, True)
    x = F.layer_norm(x, (D,), p["norm.gain"], p["norm.bias"], 1e-5)
    logits = F.linear(x, p["head.weight"], p["head.bias"])
    return logits, F.cross_entropy(logits.view(-1, V), i["target"].view(-1))


def model(filename, forward, p, inputs):
    for k in range(L):
        block_params(p, "layers.%d." % k)
    p["norm.gain"], p["norm.bias"] = 1 + 0.1 * torch.randn(D), 0.1 * torch.randn(D)
    out = {"in/" + k: v for k, v in inputs.items()}
    out.update({"param/" + k: v.clone() for k, v in p.items()})
    for t in p.values():
        t.requires_grad_()
    logits, loss = forward(p, inputs)
    loss.backward()
    out.update({"grad/" + k: v.grad.clone() for k, v in p.items()})
    out["out/logits"], out["out/loss"] = logits, loss

    # Decay for matrices alone, as fm_train_step () has it; clipped by the global norm.
    groups = [{"params": [t for t in p.values() if t.dim() >= 2], "weight_decay": 0.1},
              {"params": [t for t in p.values() if t.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        _, loss = forward(p, inputs)
        losses.append(loss.detach())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(p.values()), 1.0, error_if_nonfinite=True)
        optimizer.step()
    out["out/losses"] = torch.stack(losses)
    save(filename, out)


# --- Operators ---------------------------------------------------------------------------------------------------------

operators = {}


def op(name, f, *inputs):
    """Inputs that are real get gradients."""
    inputs = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    y = f(*inputs)
    for k, x in enumerate(inputs):
        operators["%s/in%d" % (name, k)] = x
    operators[name + "/out0"] = y
    if y.requires_grad:
        weight = torch.rand(y.shape) + 0.5
        (y * weight).sum().backward()
        operators[name + "/weight0"] = weight
        for k, x in enumerate(inputs):
            if x.requires_grad and x.grad is not None:
                operators["%s/grad%d" % (name, k)] = x.grad


def make_operators():
    r, x = torch.randn, torch.randn(3, 7)

    for name in ("gelu", "silu", "elu", "softplus", "relu", "logsigmoid"):
        op(name, getattr(F, name), 2 * r(5, 7))
    op("gelu-tanh", lambda a: F.gelu(a, approximate="tanh"), 2 * r(5, 7))
    for name in ("tanh", "sigmoid", "exp", "sin", "cos", "square", "abs", "neg", "erf"):
        op(name, getattr(torch, name), r(5, 7))
    for name in ("log", "sqrt", "rsqrt"):
        op(name, getattr(torch, name), torch.rand(5, 7) + 0.1)
    op("pow", lambda a: a.pow(2.5), torch.rand(5, 7) + 0.1)
    op("clamp", lambda a: a.clamp(-0.5, 0.75), r(5, 7))
    for name in ("add", "sub", "mul", "div", "minimum", "maximum"):
        op(name, getattr(torch, name), r(2, 1, 7), torch.rand(5, 7) + 0.5)
    op("matmul", torch.matmul, r(2, 1, 5, 6), r(3, 6, 4))
    op("linear", F.linear, r(2, 3, 7), r(5, 7), r(5))
    op("softmax", lambda a: F.softmax(0.7 * a, -1), 3 * r(4, 9))
    op("log-softmax", lambda a: F.log_softmax(a, -1), 3 * r(4, 9))
    op("logsumexp", lambda a: torch.logsumexp(a, -1), 3 * r(4, 9))
    op("cumsum", lambda a: torch.cumsum(a, 1), r(3, 8, 2))
    op("cummax", lambda a: torch.cummax(a, 1)[0], r(3, 8, 2))
    op("max", lambda a: torch.amax(a, 1), r(3, 8, 2))
    op("argmax", lambda a: torch.argmax(a, 1), r(3, 8, 2))
    op("sort", lambda a: torch.sort(a, -1, descending=True)[0], r(3, 9))
    op("argsort", lambda a: torch.argsort(a, -1), r(3, 9))
    op("topk", lambda a: torch.topk(a, 3, -1)[0], r(3, 9))
    op("mean", lambda a: a.mean(1), r(3, 8, 2))
    op("roll", lambda a: torch.roll(a, 3, 1), r(3, 8, 2))
    op("gather", lambda t, i: F.embedding(i, t), r(6, 5), torch.randint(0, 6, (3, 4)))
    op("scatter-add", lambda a, i: torch.zeros(5, 4).index_add(0, i, a), r(9, 4), torch.randint(0, 5, (9,)))
    op("take-along", lambda a, i: torch.take_along_dim(a, i, 1), r(3, 6), torch.randint(0, 6, (3, 4)))

    op("layer-norm", lambda a, w, b: F.layer_norm(a, (7,), w, b, 1e-5), r(4, 7), r(7), r(7))
    op("rms-norm", lambda a, w: a * torch.rsqrt(a.square().mean(-1, keepdim=True) + 1e-5) * w, r(4, 7), r(7))
    op("group-norm", lambda a, w, b: F.group_norm(a, 3, w, b, 1e-5), r(2, 6, 3, 5), r(6), r(6))
    op("batch-norm", lambda a, w, b: F.batch_norm(a, None, None, w, b, True, 0.1, 1e-5), r(4, 6, 3, 2), r(6), r(6))
    mean, var, a = torch.zeros(6), torch.ones(6), r(4, 6, 3, 2)
    F.batch_norm(a, mean, var, None, None, True, 0.1, 1e-5)
    operators["batch-norm-running/in0"] = a
    operators["batch-norm-running/out0"] = torch.stack([mean, var])
    op("normalize", lambda a: F.normalize(a, dim=-1), r(4, 7))
    op("cosine", lambda a, b: F.cosine_similarity(a, b, dim=-1), r(4, 7), r(4, 7))
    op("cdist-squared", lambda a, b: torch.cdist(a, b).square(), r(2, 4, 7), r(2, 5, 7))

    target = torch.tensor([0, 3, -100, 5, 2])
    op("cross-entropy", lambda a, t: F.cross_entropy(a, t, reduction="none"), 2 * r(5, 6), target)
    op("cross-entropy-smooth", lambda a, t: F.cross_entropy(a, t, reduction="none", label_smoothing=0.1), 2 * r(5, 6),
       torch.tensor([0, 3, 1, 5, 2]))
    p = torch.rand(4, 5)
    op("bce", lambda a, t: F.binary_cross_entropy_with_logits(a, t, reduction="none"), 2 * r(4, 5), p)
    op("kl", lambda a, b: F.kl_div(F.log_softmax(b, -1), F.log_softmax(a, -1), reduction="none", log_target=True).sum(-1),
       r(4, 5), r(4, 5))
    op("mse", lambda a, b: F.mse_loss(a, b, reduction="none"), r(4, 5), r(4, 5))
    op("huber", lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.7), 2 * r(4, 5), r(4, 5))

    op("conv1d", lambda a, w, b: F.conv1d(a, w, b, stride=2, padding=1), r(2, 3, 11), r(4, 3, 3), r(4))
    op("conv1d-dilated", lambda a, w: F.conv1d(a, w, None, padding=4, dilation=4), r(2, 3, 11), r(4, 3, 3))
    op("conv2d", lambda a, w, b: F.conv2d(a, w, b, stride=2, padding=1), r(2, 3, 7, 9), r(4, 3, 3, 3), r(4))
    op("conv2d-same", lambda a, w, b: F.conv2d(a, w, b, padding=1), r(2, 3, 5, 6), r(4, 3, 3, 3), r(4))
    op("conv2d-depthwise", lambda a, w, b: F.conv2d(a, w, b, padding=1, groups=4), r(2, 4, 5, 6), r(4, 1, 3, 3), r(4))
    op("conv3d", lambda a, w: F.conv3d(a, w, None, padding=1), r(1, 2, 4, 5, 3), r(3, 2, 3, 3, 3))
    op("conv-transpose1d", lambda a, w, b: F.conv_transpose1d(a, w, b, stride=2, padding=1), r(2, 3, 6), r(3, 4, 4), r(4))
    op("conv-transpose2d", lambda a, w, b: F.conv_transpose2d(a, w, b, stride=2), r(2, 3, 3, 4), r(3, 4, 2, 2), r(4))
    op("avg-pool2d", lambda a: F.avg_pool2d(a, 3, 1, 1, count_include_pad=False), r(2, 3, 6, 5))
    op("max-pool2d", lambda a: F.max_pool2d(a, 2, 2), r(2, 3, 6, 8))
    op("unfold", lambda a: F.unfold(a, (3, 2), padding=1, stride=2), r(2, 3, 6, 5))
    op("fold", lambda a: F.fold(a, (6, 5), (3, 2), padding=1, stride=2), r(2, 18, 9))
    op("bilinear", lambda a: F.interpolate(a, (7, 9), mode="bilinear", align_corners=False), r(2, 3, 4, 5))
    op("grid-sample", lambda a, p: F.grid_sample(a, p, mode="bilinear", padding_mode="zeros", align_corners=False),
       r(2, 3, 4, 5), 1.8 * torch.rand(2, 3, 4, 2) - 0.9)
    op("circular-conv", lambda a, w: torch.fft.irfft(torch.fft.rfft(a, 32) * torch.fft.rfft(w, 32), 32)[..., :16],
       r(2, 3, 16), r(3, 16))

    n, d, h = 6, 5, 4
    for name, gates in (("gru", 3), ("lstm", 4)):
        cell = {"gru": torch.gru, "lstm": torch.lstm}[name]

        def run(a, wi, wh, bi, bh):
            zero = torch.zeros(1, 2, h)
            return cell(a, (zero, zero) if name == "lstm" else zero, (wi, wh, bi, bh), True, 1, 0.0, True, False, True)[0]

        op(name, run, r(2, n, d), r(gates * h, d) / 2, r(gates * h, h) / 2, r(gates * h), r(gates * h))

    def attention(q, k, v, bias=None):
        s = q @ k.transpose(-1, -2) * 0.3
        return ((s if bias is None else s + bias).softmax(-1)) @ v

    op("attention", attention, r(2, 4, 9, 8), r(2, 4, 9, 8), r(2, 4, 9, 8))
    op("attention-cross", attention, r(2, 4, 5, 8), r(2, 4, 9, 8), r(2, 4, 9, 6))
    op("attention-bias", attention, r(2, 4, 9, 8), r(2, 4, 9, 8), r(2, 4, 9, 8), r(4, 9, 9))
    causal_mask = torch.zeros(9, 9).masked_fill(torch.ones(9, 9, dtype=torch.bool).triu(1), float("-inf"))
    op("attention-causal", lambda q, k, v: attention(q, k, v, causal_mask), r(2, 4, 9, 8), r(2, 4, 9, 8), r(2, 4, 9, 8))
    op("attention-grouped", lambda q, k, v: attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)),
       r(2, 4, 9, 8), r(2, 2, 9, 8), r(2, 2, 9, 8))


def main():
    folder = sys.argv[1]
    torch.manual_seed(20)
    model(folder + "/encoder.safetensors", encoder,
          {"embed.weight": torch.randn(D, C) / C ** 0.5, "embed.bias": 0.1 * torch.randn(D),
           "position": 0.1 * torch.randn(N, D),
           "head.weight": torch.randn(CLASSES, D) / D ** 0.5, "head.bias": torch.zeros(CLASSES)},
          {"x": torch.randn(B, N, C), "target": torch.randint(0, CLASSES, (B,))})
    torch.manual_seed(21)
    model(folder + "/causal.safetensors", causal,
          {"table": torch.randn(V, D), "position": 0.1 * torch.randn(N, D),
           "head.weight": torch.randn(V, D) / D ** 0.5, "head.bias": torch.zeros(V)},
          {"tokens": torch.randint(0, V, (B, N)), "target": torch.randint(0, V, (B, N))})
    torch.manual_seed(22)
    make_operators()
    save(folder + "/operators.safetensors", operators)


main()
