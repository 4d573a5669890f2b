"""haproxy: an event loop on each of four threads, which spin when they wait for
one another; a proxy of TCP, and of HTTP with answers of its own.
"""

import contextlib
import signal

from client.load import echo, load, write
from harness import answers, corpus, freeport

THREADS = 4
GS = THREADS - 1

CONFIG = """
global
	nbthread {threads}
	maxconn 2000
defaults
	timeout connect 10s
	timeout client 60s
	timeout server 60s
listen plain
	mode tcp
	bind 127.0.0.1:{plain}
	server echo 127.0.0.1:{echo}
listen web
	mode http
	bind 127.0.0.1:{web}
	server first 127.0.0.1:{origin}
	server second 127.0.0.1:{origin}
listen origin
	mode http
	bind 127.0.0.1:{origin}
	http-request return status 200 content-type text/plain file {dir}/page
"""

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ECHOES = [(corpus(size),) * 2 for size in (1, 700, 17000)]


@contextlib.contextmanager
def haproxy(half, page):
    plain, web = freeport(), freeport()
    with open(half.path("page"), "wb") as f:
        f.write(page)
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, threads=THREADS, plain=plain,
                              web=web, origin=freeport(), echo=echo(half)))
    with half.server(["/usr/sbin/haproxy", "-db", "-f", half.path("conf")],
                     lambda: answers(web),
                     status=-signal.SIGTERM) as server:
        yield server, plain, web


def run(half):
    page = corpus(9000)
    with haproxy(half, page) as (server, plain, web):
        for connections in 20, 300:
            load(half, server, plain, write(half, ECHOES), connections, 0.3)
            load(half, server, web, write(half, [(GET, page)]), connections,
                 0.3, "http")
    return "every answer was right"
