"""pbzip2: producer, four consumers and a writer, both ways."""

from harness import check, corpusfile, sha256

GS = 8


def setup(half):
    corpusfile(half.shared, 16 << 20)


def run(half):
    plain = corpusfile(half.shared, 16 << 20)
    packed, again = half.path("packed"), half.path("again")
    half.run(["/usr/bin/pbzip2", "-p4", "-b3", "-1", "-c", plain],
             stdout=packed)
    half.run(["/usr/bin/pbzip2", "-p4", "-d", "-c", packed], stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)
