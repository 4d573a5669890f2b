"""nginx that reads its files on a pool of threads (aio threads); reloads, and
an end that lets the answers under way out.
"""

import contextlib
import signal

from client.load import load
from client.site import pairs, publish
from client.visitors import graceful
from harness import answers, freeport

RELOADS = 4

GS = 32 * (2 + RELOADS)
TREE = True
# The threads of the pool wait on a condition variable, and read from a disk;
# the main threads of the processes wait for signals and in epoll.  Of reloads
# that come fast there are as many workers.
IN_KERNEL = (32 + 1) * (1 + RELOADS) + 1

CASES = [10, 200]

SIZES = [1, 1000, 65536, 200000]
CONFIG = """
daemon off;
worker_processes 1;
user root;
pid {dir}/pid;
error_log {dir}/error.log;
# Else it takes them out of its environment.
env GMPDEBUG;
env GMP_DETOURS;
env GMP_MODE;
env GMPPROCS;
thread_pool default threads=32;
events {{ worker_connections 1024; }}
http {{
	access_log off;
	keepalive_requests 1000000;
	sendfile off;
	aio threads;
	output_buffers 2 64k;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	server {{
		listen 127.0.0.1:{port};
		root {dir}/www;
	}}
}}
"""


@contextlib.contextmanager
def nginx(half, stop=signal.SIGTERM):
    port = freeport()
    publish(half, SIZES)
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port))
    with half.server(["/usr/sbin/nginx", "-p", half.dir, "-e",
                      half.path("error.log"), "-c", half.path("conf")],
                     lambda: answers(port), stop) as server:
        yield server, port


def bench(half, connections, seconds):
    with nginx(half) as (server, port):
        return load(half, server, port, pairs(half, [1000, 65536]),
                    connections, seconds, "http")


def run(half):
    with nginx(half) as (server, port):
        for connections in CASES:
            load(half, server, port, pairs(half, SIZES), connections, 0.5,
                 "http")
    with nginx(half, stop=lambda: None) as (server, port):
        graceful(half, server, port, SIZES, RELOADS, signal.SIGHUP,
                 signal.SIGQUIT)
    return "every answer was right"
