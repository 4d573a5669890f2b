"""zstd: four workers, and the reader and writer threads of its own I/O."""

from harness import check, corpusfile, sha256

GS = 4


def setup(half):
    corpusfile(half.shared, 48 << 20)


def run(half):
    plain = corpusfile(half.shared, 48 << 20)
    packed, again = half.path("packed"), half.path("again")
    half.run(["/usr/bin/zstd", "-q", "-T4", "-5", "-B1MiB", "--asyncio", "-c",
              plain], stdout=packed)
    half.run(["/usr/bin/zstd", "-q", "-d", "--asyncio", "-c", packed],
             stdout=again)
    check(sha256(again) == sha256(plain), "the round trip changed the data")
    return sha256(packed)
