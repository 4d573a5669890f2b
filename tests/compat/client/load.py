"""A client that puts load on a server and checks every answer (load.c)."""

import collections
import os
import struct
import time

from harness import members

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench")

# rate: requests per second; p50, p99: ms; cpu: of the server for each request,
# in us, with what accepting the connections cost.
Figures = collections.namedtuple("Figures", "rate p50 p99 cpu")


def build(half, source, name):
    """The path of a C program, made on the first call."""
    path = os.path.join(half.shared, name)
    if not os.path.exists(path):
        half.tool(["/usr/bin/gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra",
                   "-pthread", "-I", BENCH, "-o", path, source])
    return path


def echo(half):
    """A server, not preloaded, that sends back what it gets: its port."""
    path = build(half, os.path.join(BENCH, "echo.c"), "echo")
    return int(half.start([path], preload=False).printed("\n"))


def write(half, pairs):
    """A file of pairs of requests and answers, for load()."""
    path = half.path("pairs")
    with open(path, "wb") as f:
        for request, answer in pairs:
            f.write(struct.pack("=II", len(request), len(answer)))
            f.write(request + answer)
    return path


def cpu(process):
    """Seconds of CPU time of a process and its living children."""
    total = 0
    for pid in members(process.pid):
        try:
            # clock_getcpuclockid(3), which Python has only for its threads.
            total += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            pass
    return total


def load(half, server, port, pairs, connections, seconds, protocol="exact"):
    """The load; fails unless every answer was the right one."""
    client = build(half, os.path.join(HERE, "load.c"), "load")
    before = cpu(server)
    out = half.tool([client, "-p", protocol, "-n", connections, "-d",
                     int(seconds * 1000), "-f", pairs, port]).out
    used = cpu(server) - before
    got = {words[0]: float(words[1])
           for words in map(str.split, out.splitlines())}
    return Figures(got["rate"], got["p50"], got["p99"],
                   used / got["requests"] * 1e6)
