"""CPython's own tests, from libpython3.11-testsuite: of threads, of what threads
block in, of signals and of processes.
"""

import re

from harness import Failure, check

GS = 1000
TREE = True

# The longest ones first, so that none of them is left over at the end.
TESTS = ["test_multiprocessing_fork", "test_asyncio", "test_signal",
         "test_socket", "test_faulthandler", "test_subprocess",
         "test_selectors", "test_threading", "test_queue", "test_os",
         "test_select", "test_thread", "test_threading_local",
         "test_threadsignals"]


def tests(half):
    # Most of them mostly sleep: four at a time.  VSOCK finds no peer in most
    # machines, and then waits for ever.
    return half.run(["/usr/bin/python3", "-B", "-m", "test", "-v", "-j4",
                     "-i", "*VSOCK*", *TESTS],
                    status=None, timeout=3 * half.timeout)


def run(half):
    try:
        done = tests(half)
    except Failure:
        # test_multiprocessing_fork forks processes with threads, and hangs by
        # itself now and then: seen natively once.  What hangs under the
        # preload is a failure.
        if half.preload:
            raise
        done = tests(half)
    text = done.out + done.err
    failures = re.findall(r"^(?:FAIL|ERROR): .*\n-+\n(?:.+\n)*", text, re.M)
    check(not failures, f"{len(failures)} tests failed", "".join(failures))
    counts = sorted(re.findall(r"^Ran (\d+) tests? in", text, re.M))
    verdicts = sorted(re.findall(r"^OK(?: \(.*\))?$", text, re.M))
    check(len(counts) == len(verdicts) == len(TESTS) and
          re.search(r"^Tests result: SUCCESS$", text, re.M),
          "not every test file passed", text[-2000:])
    return {"counts": counts, "verdicts": verdicts}
