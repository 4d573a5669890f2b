"""Mono: 300 threads that its collector stops, tasks, sockets, faults, and
children.
"""

import os

# Those of the program, and its pool's and its own, as far as they are certain.
GS = 300 + 40 + 4

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.cs")


def program(half):
    return os.path.join(half.shared, "threads.exe")


def setup(half):
    half.tool(["/usr/bin/mcs", "-out:" + program(half), GUEST])


def run(half):
    return {"all": half.run(["/usr/bin/mono", program(half)], status=7).out}
