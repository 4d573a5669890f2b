"""CPython's own tests, from libpython3.11-testsuite: of threads, then of what
threads block in, of signals and of processes.
"""

import re

from harness import check

GS = 1000
TREE = True

THREADS = ["test_threading", "test_thread", "test_queue",
           "test_threading_local"]
# These mostly sleep: two at a time.  VSOCK finds no peer in most machines, and
# then waits for ever.
BLOCKING = ["-j2", "-i", "*VSOCK*", "test_socket", "test_select",
            "test_selectors", "test_subprocess", "test_asyncio"]
# Signals, faults, and processes; these sleep even more.
PROCESS = ["-j4", "test_multiprocessing_fork", "test_signal", "test_os",
           "test_threadsignals", "test_faulthandler"]


def tests(half, *args):
    done = half.run(["/usr/bin/python3", "-B", "-m", "test", "-v", *args],
                    status=None, timeout=5 * half.timeout)
    text = done.out + done.err
    failures = re.findall(r"^(?:FAIL|ERROR): .*\n-+\n(?:.+\n)*", text, re.M)
    check(not failures, f"{len(failures)} tests failed", "".join(failures))
    counts = sorted(re.findall(r"^Ran (\d+) tests? in", text, re.M))
    verdicts = sorted(re.findall(r"^OK(?: \(.*\))?$", text, re.M))
    check(len(counts) == len(verdicts) and
          re.search(r"^Tests result: SUCCESS$", text, re.M),
          "not every test file passed", text[-2000:])
    return {"counts": counts, "verdicts": verdicts}


def run(half):
    threads = tests(half, *THREADS)
    blocking = tests(half, *BLOCKING)
    process = tests(half, *PROCESS)
    check(len(threads["counts"]) == len(THREADS), "not every test file ran")
    return {"threads": threads, "blocking": blocking, "process": process}
