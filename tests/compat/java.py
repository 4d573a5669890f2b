"""OpenJDK: 500 threads, collectors, compiled and interpreted, dumps, ends."""

import glob
import os
import re
import signal

from harness import check

# Of each of the four ways to run it.
GS = 4 * 850
IN_KERNEL = 60

SOURCE = os.path.join(os.path.dirname(__file__), "guest", "Threads.java")

WAYS = {
    "G1": ["-XX:+UseG1GC"],
    "serial": ["-XX:+UseSerialGC"],
    "interpreted": ["-Xint", "-XX:+UseSerialGC"],
    "interpreted, G1": ["-Xint", "-XX:+UseG1GC"],
}


def tool(name):
    """Debian installs a release under its own name."""
    found = sorted(glob.glob(f"/usr/lib/jvm/java-*-openjdk-*/bin/{name}"))
    check(found, f"no {name}: make deps")
    return found[-1]


def setup(half):
    half.tool([tool("javac"), "-d", half.shared, SOURCE])


def java(half, *words):
    return [tool("java"), "-Xmx256m", "-cp", half.shared, *words]


def dumps(half):
    """Three thread dumps while it runs: each names every thread."""
    p = half.start(java(half, "Threads", "dump"))
    p.printed("ready\n")
    seen = []
    for n in range(3):
        os.kill(p.pid, signal.SIGQUIT)
        text = p.printed(rf"(?s)(JNI global refs.*){{{n + 1}}}")
        dump = text.split("Full thread dump")[n + 1]
        names = set(re.findall(r'^"(worker-\d+)"', dump, re.M))
        seen.append((len(names), '"main"' in dump,
                     len(re.findall(r"^\tat Threads", dump, re.M)) >= 500))
    os.kill(p.pid, signal.SIGTERM)
    p.expect(128 + signal.SIGTERM)
    return seen, p.printed("").endswith("hook\n")


def run(half):
    got = {}
    for way, options in WAYS.items():
        got[way] = half.run(java(half, *options, "Threads")).out
    uncaught = half.run(java(half, "Threads", "uncaught"), status=1)
    got["uncaught"] = uncaught.out, uncaught.err
    got["exit"] = half.run(java(half, "Threads", "exit"), status=7).out
    got["dumps"] = dumps(half)
    return got
