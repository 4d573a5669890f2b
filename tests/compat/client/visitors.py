"""Clients of an HTTP server that is told to reload, or to stop.

Each request has a connection of its own: the server may close one that it
keeps alive whenever it likes, but has to answer on each that it accepted.
"""

import contextlib
import os
import socket
import threading
import time

from client.site import LARGE, content
from harness import alongside, check, members


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

    def visit(n):
        wanted = list(files.items())
        while not stop.is_set():
            path, content = wanted[(made[n] + n) % len(wanted)]
            check(fetch(port, path, half.timeout) == content,
                  f"another {path}")
            made[n] += 1

    def more(requests=5):
        want = [m + requests for m in made]
        while not failures and any(m < w for m, w in zip(made, want)):
            time.sleep(0.002)

    with alongside(count, visit) as failures:
        try:
            yield more
        finally:
            stop.set()


def renew(half, server, number):
    """Sends that signal, and returns when a process has been started by it."""
    before = set(members(server.pid))
    os.kill(server.pid, number)
    end = time.monotonic() + half.timeout
    while before.issuperset(members(server.pid)):
        check(time.monotonic() < end, "no new process")
        time.sleep(0.002)


def under_way(half, port, path, body, stop, count=20):
    """Requests whose answers have begun when stop() is called get all of
    them.
    """
    right = []
    begun = threading.Barrier(count + 1)
    go = threading.Event()

    def wait():
        begun.wait(half.timeout)
        go.wait(half.timeout)

    def visit(n):
        right.append(fetch(port, path, half.timeout, wait) == body)

    with alongside(count, visit):
        begun.wait(half.timeout)
        stop()
        # The server notices before the answers are taken from its hands.
        time.sleep(0.1)
        go.set()
    check(right == [True] * count, f"{right.count(True)} of {count} answers "
          "that had begun came to their end")


def graceful(half, server, port, sizes, renewals, again, end):
    """No request goes wrong while a signal tells the server to start anew, so
    many times, nor one that is under way when a signal tells it to end.
    """
    files = {f"/{size}": content(size) for size in sizes}
    with visitors(half, port, files) as more:
        for _ in range(renewals):
            renew(half, server, again)
            more()
    under_way(half, port, f"/{LARGE}", content(LARGE),
              lambda: os.kill(server.pid, end))
