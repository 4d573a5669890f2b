"""CPython: 2,000 threads over queues, locks and sockets."""

import os

# Workers, the one that feeds them, turns, both ends of the sockets, server.
GS = 2000 + 1 + 50 + 2 * 60 + 1
# Whatever waits for a socket does so in the netpoller.
IN_KERNEL = 8

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.py")


def run(half):
    return half.run(["/usr/bin/python3", "-IB", GUEST]).out
