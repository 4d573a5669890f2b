"""ImageMagick: OpenMP loops of four threads, waiting passively."""

import random

from harness import sha256

GS = 9

# Not the name alone: another convert may be earlier in somebody's PATH.
CONVERT = "/usr/bin/convert-im6.q16"
# Threads of OpenMP that spin would need the scheduler to preempt.
ENV = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "4",
       "MAGICK_THREAD_LIMIT": "4"}

# Only from about 8,000 rows on does it use every thread that it may.
WIDTH, HEIGHT = 120, 9000

STEPS = [
    ["-blur", "0x3", "-swirl", "20"],
    ["-colorspace", "Lab", "-sharpen", "0x1.5", "-colorspace", "sRGB"],
    ["-resize", "90%x120%", "-emboss", "1", "-modulate", "90,120,110"],
]


def setup(half):
    rng = random.Random(3)
    row = bytearray()
    for x in range(WIDTH):
        row += bytes((x * 2, x * 7 % 251, rng.randrange(256)))
    with open(half.shared + "/in.ppm", "wb") as f:
        f.write(b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT))
        for y in range(HEIGHT):
            turn = 3 * (y * y // 40 % WIDTH)
            f.write(row[turn:] + row[:turn])


def run(half):
    sums = []
    for n, step in enumerate(STEPS):
        out = half.path(f"out{n}.ppm")
        half.run([CONVERT, half.shared + "/in.ppm", *step, out], env=ENV)
        sums.append(sha256(out))
    return sums
