"""Go with cgo: calls into C, threads of C that call back, signals of its own.

Its scheduler and this library's are one too many: the threads stay bound.
"""

import os

# Kernel threads of Go, and those that the C half makes.
GS = 8 * 20 + 4

SOURCE = os.path.join(os.path.dirname(__file__), "guest", "threads.go")


def setup(half):
    half.tool(["/usr/bin/go", "build", "-o", half.shared + "/go-threads",
               SOURCE], env={"GO111MODULE": "off", "GOCACHE": half.dir,
                             "GOPATH": half.dir}, timeout=4 * half.timeout)


def run(half):
    return half.run([half.shared + "/go-threads"], status=4).out
