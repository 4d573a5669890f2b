"""pbzip2: producer, four consumers and a writer, both ways."""

from harness import corpusfile, roundtrip

GS = 8
SIZE = 16 << 20


def setup(half):
    corpusfile(half.shared, SIZE)


def run(half):
    return roundtrip(
        half, SIZE,
        ["/usr/bin/pbzip2", "-p4", "-b3", "-1", "-c"],
        ["/usr/bin/pbzip2", "-p4", "-d", "-c"])
