"""7z: LZMA2 on four threads, test and extraction."""

from harness import check, corpusfile, sha256

GS = 4


def setup(half):
    corpusfile(half.shared, 12 << 20)


def run(half):
    plain = corpusfile(half.shared, 12 << 20)
    packed, again = half.path("packed.7z"), half.path("again")
    half.run(["/usr/bin/7z", "a", "-bd", "-mx=3", "-m0=lzma2:c1m", "-mmt=4",
              "-mtm-", packed, plain])
    half.run(["/usr/bin/7z", "t", "-bd", "-mmt=4", packed])
    half.run(["/usr/bin/7z", "x", "-bd", "-mmt=4", "-so", packed],
             stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)
