"""C++20: 500 threads over <thread>, <future>, <shared_mutex>, <latch>, ..."""

import os

GS = 500 + 60 + 1 + 50 + 1 + 143 + 40 + 20
# Everything waits on futexes, which need no kernel thread; only a contended
# arena of malloc is a wait that the kernel sees.
IN_KERNEL = 40

SOURCE = os.path.join(os.path.dirname(__file__), "guest", "threads.cc")


def setup(half):
    half.tool(["/usr/bin/g++", "-std=c++20", "-O2", "-Wall", "-Wextra",
               "-pthread", "-o", half.shared + "/cxx-threads", SOURCE])


def run(half):
    return half.run([half.shared + "/cxx-threads"]).out
