#!/usr/bin/env python3
"""make-corpus.py: writes the small binary and JSON seeds of corpus/safetensors, corpus/json and corpus/bundle."""
import hashlib
import io
import json
import os
import struct
import tarfile

here = os.path.dirname(os.path.abspath(__file__))


def write(folder, name, data):
    with open(os.path.join(here, "corpus", folder, name), "wb") as f:
        f.write(data)


def tensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


f32 = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
write("safetensors", "one", tensors({"w": f32}, bytes(24)))
write("safetensors", "half", tensors({"w": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]},
                                      "b": {"dtype": "BF16", "shape": [], "data_offsets": [12, 14]}}, bytes(14)))
write("safetensors", "more", tensors({"__metadata__": {"format": "pt"}, "w": f32,
                                      "w@m": {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 48]},
                                      "i": {"dtype": "I8", "shape": [3, 0], "data_offsets": [48, 48]}}, bytes(48)))
recipe = {"kind": "train", "numerics": 1,
          "architecture": {"skeleton": "encoder", "layers": 1, "width": 16, "hidden": 32, "causal": False,
                           "mixer": [{"plugin": "softmax-attention", "params": {"heads": "4"}}],
                           "feedforward": [{"plugin": "mlp", "params": {}}]},
          "task": {"id": "mqar", "params": {"length": "16", "pairs": "2", "vocabulary": "16"}, "data_key": ""},
          "device": "cpu", "seed": 0, "batch": 8, "steps": 8, "rate": "0.003", "schedule": "cosine", "warmup": 5,
          "beta1": "0.9", "beta2": "0.999", "eps": "1e-08", "decay": "0.01", "clip": "1"}
result = {"reason": "x", "fallbacks": 0, "diverged_step": -1, "metrics": [["test", "class", "", "accuracy", 0.5]],
          "curve": [[1, "loss", "", 2.5]], "outcomes": [["test", "class", "AACAPwAAgD8AAAA/"]],
          "latency": [[0, "batch1", 1, 12.5]], "memory": [["peak", 10, 20]], "artifacts": []}
status = {"batch": 1, "title": "x", "store": "/x", "command": "formarium run x", "pid": 2, "phase": "training",
          "stages": 2, "done": 1, "failed": 0, "workers": [{"stage": "a", "kind": "train", "loss": None, "step": 3}]}
for letter, value in (("r", recipe), ("s", result), ("c", status), ("e", {"maps": [], "logits": [0.5]}),
                      ("o", {"name": "cpu", "driver": "x", "threads": 2, "peak_gflop_per_s": 100})):
    write("json", letter, letter.encode() + json.dumps(value).encode())

# Bundles whose hashes are right, so that what stands behind the check is reached; the store is none.
manifest = json.dumps({"format": "formarium-bundle", "version": 1, "program": "0.1.0", "batch": {"title": "x", "key": "k"},
                       "rows": {"runs": 1}, "plugins": [], "data": [], "checkpoints": False}).encode()
members = [("manifest.json", manifest), ("plan.batch", b"[batch]\ntask=mqar\n"), ("store.db", b"SQLite format 3\0" + bytes(84)),
           ("store.artifacts/a/b", b"x")]
sums = "".join("%s  %s\n" % (hashlib.sha256(data).hexdigest(), name) for name, data in members).encode()
for name, parts in (("whole", [("SHA256SUMS", sums)] + members), ("sums", [("SHA256SUMS", sums)]),
                    ("elsewhere", [("SHA256SUMS", sums), ("../x", b"x")] + members),
                    ("no-sums", [("SHA256SUMS", b"")] + members),  # these two were found
                    ("no-text", [("SHA256SUMS", sums.replace(b"manifest", b"\xcdmanifest"))] + members)):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in parts:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    write("bundle", name, out.getvalue())
