"""Erlang: its schedulers, pollers, ports, files and connections; SIGTERM."""

import os
import signal

# Schedulers, dirty ones, those for I/O, helpers.
GS = 2 * (2 + 2) + 10
TREE = True

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.escript")


def stopped(half):
    p = half.start(["/usr/bin/escript", GUEST, "wait"])
    text = p.printed("ready\n")
    os.kill(p.pid, signal.SIGTERM)
    p.expect()
    return text


def run(half):
    return {
        "all": half.run(["/usr/bin/escript", GUEST], status=3).out,
        "stopped": stopped(half),
    }
