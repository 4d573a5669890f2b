"""zstd: four workers, and the reader and writer threads of its own I/O."""

from harness import corpusfile, roundtrip

GS = 4
SIZE = 48 << 20


def setup(half):
    corpusfile(half.shared, SIZE)


def run(half):
    return roundtrip(
        half, SIZE,
        ["/usr/bin/zstd", "-q", "-T4", "-5", "-B1MiB", "--asyncio", "-c"],
        ["/usr/bin/zstd", "-q", "-d", "--asyncio", "-c"])
