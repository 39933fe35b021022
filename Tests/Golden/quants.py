"""Golden values of every stored type, made by the `gguf` package: random blocks and what they stand for.

Usage: python quants.py > quants.txt   (requirements.txt pins the packages)
One line per type: name, stored bytes in hex, values as f32 bit patterns in hex.
"""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

ELEMENTS = 512
TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]
# Where a block keeps its halves (scale, minimum): they are drawn apart from the other bytes, which may be anything.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}


def stored(kind, generator):
    block, size = GGML_QUANT_SIZES[kind]
    count = ELEMENTS // block
    if kind == T.F32:
        return generator.standard_normal(ELEMENTS).astype(np.float32).view(np.uint8)
    if kind == T.F16:
        values = generator.standard_normal(ELEMENTS).astype(np.float16)
        values[:4] = [6e-8, -3e-5, 65504, -0.0]  # subnormals, the largest half, negative zero
        return values.view(np.uint8)
    if kind == T.BF16:
        return (generator.standard_normal(ELEMENTS).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    data = generator.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[kind]:
        halves = (generator.standard_normal(count) * 0.05).astype(np.float16)
        halves[0] = np.float16(2.0**-18)  # a subnormal scale
        data[:, at:at + 2] = halves.view(np.uint8).reshape(count, 2)
    return data.reshape(-1)


def main():
    generator = np.random.default_rng(20260117)
    for kind in TYPES:
        data = stored(kind, generator)
        values = dequantize(data, kind).astype(np.float32).reshape(-1)
        assert values.size == ELEMENTS
        print(kind.name, data.tobytes().hex(), values.view(np.uint32).astype(">u4").tobytes().hex())


main()
