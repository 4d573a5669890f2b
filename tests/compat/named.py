"""named, an event loop on every CPU: queries by UDP, answers by the byte."""

import contextlib
import socket
import struct

from client.load import load, write
from harness import freeport

GS = 4

CASES = [20, 200]

NAMES = 200
CONFIG = """
options {{
	directory "{dir}";
	listen-on port {port} {{ 127.0.0.1; }};
	listen-on-v6 {{ none; }};
	pid-file none;
	session-keyfile none;
	recursion no;
	minimal-responses yes;
	dnssec-validation no;
}};
controls {{ }};
zone "test" {{ type primary; file "{dir}/zone"; }};
"""
ZONE = """$TTL 300
@	SOA	ns.test. root.test. 1 3600 600 86400 300
@	NS	ns.test.
ns	A	127.0.0.1
"""


def exchange(n):
    """The query for one of the names, and its answer (RFC 1035, 4)."""
    label = b"h%d" % n
    name = bytes([len(label)]) + label + b"\4test\0"
    question = name + struct.pack("!HH", 1, 1)
    record = struct.pack("!HHHIH4B", 0xc00c, 1, 1, 300, 4, 10, 0, n >> 8,
                         n & 255)
    return (struct.pack("!6H", n, 0, 1, 0, 0, 0) + question,
            struct.pack("!6H", n, 0x8400, 1, 1, 0, 0) + question + record)


def loaded(port):
    """Whether it answers for the zone, not only listens."""
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        query, answer = exchange(0)
        try:
            s.connect(("127.0.0.1", port))
            s.send(query)
            return s.recv(512) == answer
        except OSError:
            return False


@contextlib.contextmanager
def named(half):
    port = freeport()
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port))
    with open(half.path("zone"), "w") as f:
        f.write(ZONE + "".join(f"h{n}\tA\t10.0.{n >> 8}.{n & 255}\n"
                               for n in range(NAMES)))
    with half.server(["/usr/sbin/named", "-g", "-n", "2", "-c",
                      half.path("conf")], lambda: loaded(port)) as server:
        yield server, port


def pairs(half):
    return write(half, [exchange(n) for n in range(NAMES)])


def bench(half, connections, seconds):
    with named(half) as (server, port):
        return load(half, server, port, pairs(half), connections, seconds,
                    "udp")


def run(half):
    with named(half) as (server, port):
        for connections in CASES:
            load(half, server, port, pairs(half), connections, 0.5, "udp")
    return "every answer was right"
