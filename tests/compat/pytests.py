"""CPython's own tests of threads, from libpython3.11-testsuite."""

import re

from harness import check

GS = 1000
TREE = True

TESTS = ["test_threading", "test_thread", "test_queue",
         "test_threading_local"]


def run(half):
    done = half.run(["/usr/bin/python3", "-B", "-m", "test", "-v", *TESTS],
                    status=None)
    text = done.out + done.err
    failures = re.findall(r"^(?:FAIL|ERROR): .*\n-+\n(?:.+\n)*", text, re.M)
    check(not failures, f"{len(failures)} tests failed", "".join(failures))
    counts = re.findall(r"^Ran (\d+) tests? in", text, re.M)
    verdicts = re.findall(r"^OK(?: \(.*\))?$", text, re.M)
    check(len(counts) == len(verdicts) == len(TESTS),
          "not every test file passed", text[-2000:])
    return {"counts": counts, "verdicts": verdicts}
