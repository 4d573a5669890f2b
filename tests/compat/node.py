"""Node.js: workers, the pool for files and crypto, children, HTTP, signals."""

import os
import signal

# The pool of libuv and the platform's, and 23 workers.
GS = 4 + 4 + 23
TREE = True

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.mjs")


def ended(half, *words, status):
    """By SIGTERM, while a worker computes."""
    p = half.start(["/usr/bin/node", GUEST, "wait", *words])
    text = p.printed("ready\n")
    os.kill(p.pid, signal.SIGTERM)
    p.expect(status)
    return text


def run(half):
    return {
        "all": half.run(["/usr/bin/node", GUEST]).out,
        "default": ended(half, status=-signal.SIGTERM),
        "handler": ended(half, "handler", status=9),
    }
