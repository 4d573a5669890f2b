"""pigz: four compressing threads and a writer; readers when unpacking."""

from harness import check, corpusfile, sha256

GS = 5


def setup(half):
    corpusfile(half.shared, 32 << 20)


def run(half):
    plain = corpusfile(half.shared, 32 << 20)
    packed, again = half.path("packed"), half.path("again")
    half.run(["/usr/bin/pigz", "-p4", "-4", "-n", "-c", plain], stdout=packed)
    half.run(["/usr/bin/pigz", "-p4", "-d", "-c", packed], stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)
