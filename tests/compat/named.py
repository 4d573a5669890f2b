"""named, an event loop on every CPU: queries by UDP, answers by the byte."""

import contextlib

from client.dns import NAMES, address, exchange, loaded
from client.load import load, write
from harness import freeport

GS = 4

CASES = [20, 200]

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


PAIRS = [exchange(n, 0x8400) for n in range(NAMES)]


@contextlib.contextmanager
def named(half):
    port = freeport()
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port))
    with open(half.path("zone"), "w") as f:
        f.write(ZONE + "".join(f"h{n}\tA\t{address(n)}\n"
                               for n in range(NAMES)))
    with half.server(["/usr/sbin/named", "-g", "-n", "2", "-c",
                      half.path("conf")],
                     lambda: loaded(port, *PAIRS[0])) as server:
        yield server, port


def bench(half, connections, seconds):
    with named(half) as (server, port):
        return load(half, server, port, write(half, PAIRS), connections,
                    seconds, "udp")


def run(half):
    with named(half) as (server, port):
        for connections in CASES:
            load(half, server, port, write(half, PAIRS), connections, 0.5,
                 "udp")
    return "every answer was right"
