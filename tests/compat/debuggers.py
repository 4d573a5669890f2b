"""gdb, strace and perf: attached to a program that works, and running one."""

import os
import re
import signal
import time

from client.load import build
from harness import check

GS = 31 * 4
TREE = True

SOURCE = os.path.join(os.path.dirname(__file__), "guest", "watched.c")
ROUNDS = 60


def setup(half):
    build(half, SOURCE, "watched")


def gdb(half, *commands, **kw):
    words = [w for c in commands for w in ("-ex", c)]
    return half.tool(["/usr/bin/gdb", "-nx", "-q", "-batch",
                      "-iex", "set debuginfod enabled off",
                      "-ex", "set pagination off", *words], **kw).out


def attached(half):
    """Twice gdb, which stops all threads; then strace, then perf."""
    p = half.start([half.shared + "/watched"])
    p.printed("ready\n")
    for _ in range(2):
        text = gdb(half, f"attach {p.pid}", "info threads",
                   "thread apply all bt 20", "detach")
        check(re.search(r"^\[Inferior 1 .* detached\]", text, re.M),
              "gdb did not detach", text)
        check(re.search(r"^#0 ", text, re.M), "gdb shows no stack", text)
        time.sleep(0.05)
    trace = half.path("trace")
    tracer = half.start(["/usr/bin/strace", "-f", "-o", trace, "-p", p.pid],
                        preload=False)
    time.sleep(0.5)
    os.kill(tracer.pid, signal.SIGINT)
    tracer.wait()
    with open(trace) as f:
        check(re.search(r"\bp?write(v2)?\(", f.read()),
              "strace shows no call")
    perf(half, "-p", p.pid, "--", "/bin/sleep", "0.3")
    os.kill(p.pid, signal.SIGTERM)
    p.expect(0)
    return p.printed("").splitlines()


def perf(half, *words):
    data = half.path("perf")
    half.tool(["/usr/bin/perf", "record", "-q", "-e", "cpu-clock", "-g",
               "-o", data, *words])
    text = half.tool(["/usr/bin/perf", "script", "-i", data]).out
    check("watched" in text, "perf has no sample", text[:1000])
    return text


def program(text):
    """What the program printed, among what gdb said."""
    return re.findall(r"^(?:ready|sums .*)$", text, re.M)


def in_gdb(half):
    """A breakpoint in a thread, twice, and single steps."""
    env = [f"set environment {k} {v}" for k, v in half.preload.items()]
    text = gdb(half, *env, f"file {half.shared}/watched",
               "break milestone", f"run {ROUNDS}", "bt", "p $rdi",
               "continue", "p $rdi", "stepi 20", "delete", "continue")
    check(re.search(r"^#1 .* asker ", text, re.M),
          "gdb does not show the thread's stack", text)
    stops = re.findall(r"^\$\d+ = (\d+)$", text, re.M)
    return program(text), stops, "exited normally]" in text


def traced(half):
    env = [w for k, v in half.preload.items() for w in ("-E", f"{k}={v}")]
    done = half.tool(["/usr/bin/strace", "-f", *env, "-o", half.path("log"),
                      half.shared + "/watched", ROUNDS])
    return program(done.out)


def profiled(half):
    env = [f"{k}={v}" for k, v in half.preload.items()]
    perf(half, "--", "/usr/bin/env", *env, half.shared + "/watched", ROUNDS)


def run(half):
    got = {"attached": attached(half), "gdb": in_gdb(half),
           "strace": traced(half)}
    profiled(half)
    return got
