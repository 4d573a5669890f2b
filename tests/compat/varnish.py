"""varnishd: pools of threads that grow with the load, one for each request."""

import contextlib

from client.load import load
from client.site import pairs, publish
from harness import answers, freeport

# Those of the pools, before anybody asks.
GS = 2 * 50
TREE = True

SIZES = [1, 1000, 65536, 200000]
VCL = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; }}
"""


@contextlib.contextmanager
def varnish(half):
    origin, port = freeport(), freeport()
    publish(half, SIZES)
    half.start(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1",
                "-d", half.path("www"), origin], preload=False)
    with open(half.path("vcl"), "w") as f:
        f.write(VCL.format(port=origin))
    with half.server(["/usr/sbin/varnishd", "-F", "-j", "none", "-T", "none",
                      "-a", f"127.0.0.1:{port}", "-n", half.path("varnish"),
                      "-s", "malloc,64m", "-p", "thread_pool_min=50",
                      "-f", half.path("vcl")],
                     lambda: answers(origin) and answers(port)) as server:
        yield server, port


def run(half):
    with varnish(half) as (server, port):
        for connections in 10, 200:
            load(half, server, port, pairs(half, SIZES), connections, 0.3,
                 "http")
    return "every answer was right"
