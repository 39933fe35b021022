#!/usr/bin/env python3
"""Makes the golden files of WeirModelFiles with gguf-py and safetensors (versions: ../requirements.txt).

usage: python make.py        writes into its own folder
"""
import json
import pathlib
import struct

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]
# byte offsets of the f16 scales in a block: random bytes there must be finite halves
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def name(t):
    base = t.name.lower()
    return base[:-1] + "K" if base.endswith("_k") else base


def metadata():
    w = gguf.GGUFWriter(HERE / "metadata.gguf", "golden")
    w.add_uint8("t.uint8", 200)
    w.add_int8("t.int8", -100)
    w.add_uint16("t.uint16", 60000)
    w.add_int16("t.int16", -30000)
    w.add_uint32("t.uint32", 4_000_000_000)
    w.add_int32("t.int32", -2_000_000_000)
    w.add_uint64("t.uint64", 18_000_000_000_000_000_000)
    w.add_int64("t.int64", -9_000_000_000_000_000_000)
    w.add_float32("t.float32", 0.1)
    w.add_float64("t.float64", 0.1)
    w.add_bool("t.true", True)
    w.add_bool("t.false", False)
    w.add_string("t.string", "héllo 😀\n")
    w.add_array("t.strings", ["a", "", "é", "▁the"])
    w.add_array("t.bytestrings", [b"\xff\xfe", b"ok"])
    w.add_array("t.ints", [1, -2, 3])
    w.add_array("t.floats", [0.5, -1.25, 3.0])
    w.add_array("t.bools", [True, False, True])
    w.add_array("t.nested", [[1, 2], [3]])
    w.add_custom_alignment(64)
    w.add_tensor("one", np.arange(6, dtype=np.float32).reshape(2, 3))
    w.add_tensor("two", np.arange(4, dtype=np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def blocks(rng, t, rows, columns):
    """Random stored bytes of `rows` rows with finite scales, and what gguf-py reads from them."""
    elements, size = gguf.GGML_QUANT_SIZES[t]
    if elements == 1:
        values = rng.standard_normal((rows, columns)).astype(np.float32)
        return gguf.quants.quantize(values, t)
    raw = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    for at in SCALES[t]:
        halves = rng.standard_normal(raw.shape[0]).astype(np.float16)
        raw[:, at:at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return raw.reshape(rows, -1)


def types():
    rng = np.random.default_rng(11)
    w = gguf.GGUFWriter(HERE / "types.gguf", "golden")
    for t in TYPES:
        stored = blocks(rng, t, 2, 512)
        if t == T.F32:
            values = stored
            w.add_tensor("f32.stored", stored)
        elif t == T.F16:
            values = stored.astype(np.float32)
            w.add_tensor("f16.stored", stored)
        else:
            values = gguf.quants.dequantize(stored, t)
            w.add_tensor(name(t) + ".stored", stored, raw_dtype=t)
        w.add_tensor(name(t) + ".values", values.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def quantised():
    rng = np.random.default_rng(12)
    rows = [rng.standard_normal(256), rng.standard_normal(256) * 1e-3, rng.standard_normal(256) * 300,
            np.zeros(256), np.full(256, 0.75), np.full(256, -2.5), rng.uniform(0, 1, 256), rng.uniform(-3, -1, 256),
            rng.integers(-8, 8, 256), rng.integers(-4, 5, 256) * 0.5, rng.standard_t(2, 256),
            # magnitudes that tie, and values at the subnormal end of f16
            np.tile([1.0, -1.0, 0.5, -0.5], 64), rng.standard_normal(256) * 1e-7, rng.standard_normal(256) * 1e-5]
    source = np.stack([np.asarray(r, dtype=np.float32) for r in rows])
    w = gguf.GGUFWriter(HERE / "quantised.gguf", "golden")
    w.add_tensor("source", source)
    for t in [T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]:
        data = gguf.quants.quantize(source, t)
        w.add_tensor(name(t), data, **({} if t == T.F16 else {"raw_dtype": t}))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def safetensors():
    rng = np.random.default_rng(13)
    save_file({"a": rng.standard_normal((3, 5)).astype(np.float32), "b": rng.standard_normal((4,)).astype(np.float16),
               "ids": np.arange(7, dtype=np.int64), "scalar": np.array(2.5, dtype=np.float32)},
              HERE / "small.safetensors", metadata={"format": "pt", "note": "héllo"})
    # The package writes the metadata's members in another order each time: here they are sorted, the last letter first.
    data = (HERE / "small.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items(), reverse=True))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    (HERE / "small.safetensors").write_bytes(data[:8] + text.ljust(size) + data[8 + size:])


if __name__ == "__main__":
    metadata()
    types()
    quantised()
    safetensors()
    for path in sorted(HERE.glob("*")):
        print(path.name, path.stat().st_size)
