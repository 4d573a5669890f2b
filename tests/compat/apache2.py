"""Apache with a thread for each connection (mpm_worker): kept-alive clients."""

import contextlib
import os
import tempfile

from client.load import load, write
from harness import answers, corpus, freeport

# ThreadsPerChild, the listener and the one that started them.
GS = 1000 + 2
TREE = True
# The listener, in epoll; files come from the cache.
IN_KERNEL = 8

CASES = [100, 900]

SIZES = [0, 1, 100, 4096, 70000]
CONFIG = """
ServerRoot {dir}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/pid
DefaultRuntimeDir {dir}
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
StartServers 1
ServerLimit 1
ThreadLimit 1000
ThreadsPerChild 1000
MaxRequestWorkers 1000
MinSpareThreads 1
MaxSpareThreads 1000
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DocumentRoot {dir}/www
ErrorLog {dir}/error.log
User #65534
"""


def content(size):
    return corpus(size, size)


def share(path):
    """Lets everybody in: Apache refuses to serve as root."""
    os.chmod(path, 0o777)
    while (path := os.path.dirname(path)) != tempfile.gettempdir():
        os.chmod(path, 0o711)


@contextlib.contextmanager
def apache(half):
    port = freeport()
    share(half.dir)
    os.mkdir(half.path("www"))
    for size in SIZES:
        with open(half.path(f"www/{size}"), "wb") as f:
            f.write(content(size))
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port))
    with half.server(["/usr/sbin/apache2", "-D", "FOREGROUND", "-f",
                      half.path("conf")], lambda: answers(port)) as server:
        yield server, port


def pairs(half, sizes):
    return write(half, [(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size,
                         content(size)) for size in sizes])


def bench(half, connections, seconds):
    with apache(half) as (server, port):
        return load(half, server, port, pairs(half, [100, 4096]), connections,
                    seconds, "http")


def run(half):
    with apache(half) as (server, port):
        for connections in CASES:
            load(half, server, port, pairs(half, SIZES), connections, 0.5,
                 "http")
    return "every answer was right"
