"""pigz: four compressing threads and a writer; readers when unpacking."""

from harness import corpusfile, roundtrip

GS = 5
SIZE = 32 << 20


def setup(half):
    corpusfile(half.shared, SIZE)


def run(half):
    return roundtrip(
        half, SIZE,
        ["/usr/bin/pigz", "-p4", "-4", "-n", "-c"],
        ["/usr/bin/pigz", "-p4", "-d", "-c"])
