"""CPython's own tests of threads, from libpython3.11-testsuite."""

import re

from harness import check

GS = 1000
TREE = True

TESTS = ["test_threading", "test_thread", "test_queue",
         "test_threading_local"]


def run(half):
    done = half.run(["/usr/bin/python3", "-B", "-m", "test", "-v", *TESTS])
    text = done.out + done.err
    counts = re.findall(r"^Ran (\d+) tests? in", text, re.M)
    verdicts = re.findall(r"^(OK|FAILED)( \(.*\))?$", text, re.M)
    check(len(counts) == len(TESTS), "not every test file ran", text[-2000:])
    return {"counts": counts, "verdicts": verdicts,
            "result": re.findall(r"^Tests? result: (.*)$", text, re.M)}
