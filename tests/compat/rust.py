"""Rust: 1,000 threads of std over mpsc, locks, scopes, parking, panics; and
what it says when a stack overflows.
"""

import os
import re
import signal

GS = 1000 + 200 + 1 + 100 + 50 + 20
# Everything waits on futexes, which need no kernel thread; only a contended
# arena of malloc is a wait that the kernel sees.
IN_KERNEL = 40

GUEST = os.path.join(os.path.dirname(__file__), "guest")

# How the first thread, or another, ends the process.
ENDS = {
    "thread": -signal.SIGABRT,
    "main": -signal.SIGABRT,
    "panic": 101,
    "abort": -signal.SIGABRT,
}


def setup(half):
    for name in "threads", "overflow":
        half.tool(["/usr/bin/rustc", "-O", "-o", f"{half.shared}/rust-{name}",
                   f"{GUEST}/{name}.rs"])


def end(half, how, status):
    done = half.run([half.shared + "/rust-overflow", how], status=status)
    # Newer ones name the thread's id too.
    said = re.findall(r"^thread '(\w+)' .*?(panicked|overflowed its stack)",
                      done.err, re.M)
    return done.out, said


def run(half):
    got = {"threads": half.run([half.shared + "/rust-threads"]).out}
    for how, status in ENDS.items():
        got[how] = end(half, how, status)
    return got
