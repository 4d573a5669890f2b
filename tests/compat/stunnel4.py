"""stunnel: a thread for each connection, at both ends of a TLS connection."""

import contextlib
import os
import time

from client.load import echo, load, write
from harness import answers, check, corpus, freeport

GS = 2 * 600
# It polls the sockets of a connection.  Now and then many of its threads meet
# at a lock inside malloc, of which only the kernel knows.
IN_KERNEL = 400

CASES = [20, 200, 600]

CONFIG = """
foreground = yes
pid =
debug = err
TIMEOUTclose = 0
[plain]
client = yes
accept = 127.0.0.1:{plain}
connect = 127.0.0.1:{tls}
[tls]
accept = 127.0.0.1:{tls}
connect = 127.0.0.1:{echo}
cert = {shared}/cert.pem
"""


def setup(half):
    half.tool(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048",
               "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-keyout", half.shared + "/key.pem",
               "-out", half.shared + "/crt.pem"])
    with open(half.shared + "/cert.pem", "w") as out:
        for part in "key", "crt":
            with open(f"{half.shared}/{part}.pem") as f:
                out.write(f.read())


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def closed(process):
    """Waits for the end of all connections: threads that still end theirs make
    stunnel crash when it is told to go.
    """
    before = 0
    while (now := descriptors(process)) != before:
        before = now
        check(not process.ended(0.1), "stunnel went away")


@contextlib.contextmanager
def stunnel(half):
    plain = freeport()
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(shared=half.shared, plain=plain, tls=freeport(),
                              echo=echo(half)))
    with half.server(["/usr/bin/stunnel4", half.path("conf")],
                     lambda: answers(plain)) as server:
        closed(server)
        few = descriptors(server)
        yield server, plain
        closed(server)
        # The last of its threads may be on their way out.
        end = time.monotonic() + 10
        while descriptors(server) > few and time.monotonic() < end:
            time.sleep(0.1)
        check(descriptors(server) <= few, "stunnel keeps descriptors")


def pairs(half, sizes):
    return write(half, [(corpus(size, size),) * 2 for size in sizes])


def bench(half, connections, seconds):
    with stunnel(half) as (server, port):
        return load(half, server, port, pairs(half, [64, 1000]), connections,
                    seconds)


def run(half):
    with stunnel(half) as (server, port):
        for connections in CASES:
            load(half, server, port, pairs(half, [1, 64, 1000, 17000]),
                 connections, 0.5)
    return "every answer was right"
