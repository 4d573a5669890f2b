"""xz: blocks compressed and decompressed by four threads."""

from harness import corpusfile, roundtrip

GS = 8
SIZE = 20 << 20


def setup(half):
    corpusfile(half.shared, SIZE)


def run(half):
    return roundtrip(
        half, SIZE,
        ["/usr/bin/xz", "-T4", "-1", "--block-size=1MiB", "-c"],
        ["/usr/bin/xz", "-T4", "-d", "-c"])
