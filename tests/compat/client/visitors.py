"""Clients of an HTTP server that is told to reload, or to stop.

Each request has a connection of its own: the server may close one that it
keeps alive whenever it likes, but has to answer on each that it accepted.
"""

import contextlib
import os
import socket
import threading
import time

from harness import check, members


def fetch(port, path, timeout, begun=None):
    """The body of an answer; begun() is called when its head is there."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n"
                     b"Connection: close\r\n\r\n" % path.encode())
        with sock.makefile("rb") as f:
            status = f.readline()
            check(status.startswith(b"HTTP/1.1 200 "), f"answer {status!r}")
            while f.readline() not in (b"\r\n", b""):
                pass
            if begun:
                begun()
            return f.read()


@contextlib.contextmanager
def visitors(half, port, files, count=8):
    """They ask for {path: content} in turn while the body of the with
    statement runs; no request may fail.  Gives a function that returns when
    each of them has made some more.
    """
    stop = threading.Event()
    made = [0] * count
    failures = []

    def visit(n):
        wanted = list(files.items())
        try:
            while not stop.is_set():
                path, content = wanted[(made[n] + n) % len(wanted)]
                check(fetch(port, path, half.timeout) == content,
                      f"another {path}")
                made[n] += 1
        except Exception as e:
            failures.append(e)

    def more(requests=5):
        want = [m + requests for m in made]
        while not failures and any(m < w for m, w in zip(made, want)):
            time.sleep(0.002)

    threads = [threading.Thread(target=visit, args=(n,), daemon=True)
               for n in range(count)]
    for t in threads:
        t.start()
    try:
        yield more
    finally:
        stop.set()
        for t in threads:
            t.join()
    if failures:
        raise failures[0]


def renew(half, server, number):
    """Sends that signal, and returns when a process has been started by it."""
    before = set(members(server.pid))
    os.kill(server.pid, number)
    end = time.monotonic() + half.timeout
    while before.issuperset(members(server.pid)):
        check(time.monotonic() < end, "no new process")
        time.sleep(0.002)


def under_way(half, port, path, content, stop, count=20):
    """Requests whose answers have begun when stop() is called get all of
    them.
    """
    right = []
    begun = threading.Barrier(count + 1)
    go = threading.Event()

    def wait():
        begun.wait(half.timeout)
        go.wait(half.timeout)

    def visit():
        right.append(fetch(port, path, half.timeout, wait) == content)

    threads = [threading.Thread(target=visit, daemon=True)
               for _ in range(count)]
    for t in threads:
        t.start()
    begun.wait(half.timeout)
    stop()
    # The server notices before the answers are taken from its hands.
    time.sleep(0.1)
    go.set()
    for t in threads:
        t.join()
    check(right == [True] * count, f"{right.count(True)} of {count} answers "
          "that had begun came to their end")
