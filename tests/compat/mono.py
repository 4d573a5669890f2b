"""Mono: 300 threads that its collector stops, tasks, sockets, faults, children."""

import os

# Those of the program, its pool's and its own, which are fewer when it is late.
GS = 300 + 40 + 4

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.cs")


def setup(half):
    half.tool(["/usr/bin/mcs", "-out:" + os.path.join(half.shared, "threads.exe"),
               GUEST])


def run(half):
    return {"all": half.run(["/usr/bin/mono",
                             os.path.join(half.shared, "threads.exe")],
                            status=7).out}
