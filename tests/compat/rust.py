"""Rust: 1,000 threads of std over mpsc, locks, scopes, parking, panics."""

import os

GS = 1000 + 200 + 1 + 100 + 50 + 20
# Everything waits on futexes, which need no kernel thread; only a contended
# arena of malloc is a wait that the kernel sees.
IN_KERNEL = 40

SOURCE = os.path.join(os.path.dirname(__file__), "guest", "threads.rs")


def setup(half):
    half.tool(["/usr/bin/rustc", "-O", "-o", half.shared + "/rust-threads",
               SOURCE])


def run(half):
    return half.run([half.shared + "/rust-threads"]).out
