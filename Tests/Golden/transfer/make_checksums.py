"""Golden values of XXH64 and XXH3, made by the `xxhash` package.

Bytes are (i * 2654435761 >> 24) & 255; one line per (length, seed): length, seed, XXH64 (checksums.txt), and per length:
length, 64 bits of XXH3 (digests.txt).
"""
import pathlib

import xxhash

DATA = bytes((i * 2654435761 >> 24) & 255 for i in range(5000))
LENGTHS = [0, 1, 3, 4, 7, 8, 12, 15, 16, 31, 32, 33, 36, 47, 63, 64, 65, 100, 255, 256, 1000, 4096, 5000]
# The shortest of the long form; around stripes of 64 bytes and runs of 16 stripes.
DIGEST_LENGTHS = [241, 255, 256, 257, 319, 320, 321, 1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 3333, 5000]


def main():
    lines = [
        f"{length} {seed} {xxhash.xxh64_intdigest(DATA[:length], seed)}"
        for seed in (0, 1, 2**63 + 12345)
        for length in LENGTHS
    ]
    pathlib.Path(__file__).with_name("checksums.txt").write_text("\n".join(lines) + "\n")
    digests = [f"{length} {xxhash.xxh3_64_intdigest(DATA[:length])}" for length in DIGEST_LENGTHS]
    pathlib.Path(__file__).with_name("digests.txt").write_text("\n".join(digests) + "\n")


main()
