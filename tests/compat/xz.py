"""xz: blocks compressed and decompressed by four threads."""

from harness import check, corpusfile, sha256

GS = 8


def setup(half):
    corpusfile(half.shared, 20 << 20)


def run(half):
    plain = corpusfile(half.shared, 20 << 20)
    packed, again = half.path("packed"), half.path("again")
    half.run(["/usr/bin/xz", "-T4", "-1", "--block-size=1MiB", "-c", plain],
             stdout=packed)
    half.run(["/usr/bin/xz", "-T4", "-d", "-c", packed], stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)
