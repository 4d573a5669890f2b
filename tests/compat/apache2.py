"""Apache with a thread for each connection (mpm_worker): kept-alive clients;
restarts, and an end that lets the answers under way out.
"""

import contextlib
import os
import signal
import tempfile

from client.load import load
from client.site import pairs, publish
from client.visitors import graceful
from harness import answers, freeport

RESTARTS = 3

# ThreadsPerChild, the listener and the one that started them.
GS = 1000 + 2 + (1 + RESTARTS) * (50 + 2)
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
ServerLimit {servers}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {most}
MinSpareThreads 1
MaxSpareThreads {most}
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DocumentRoot {dir}/www
ErrorLog {dir}/error.log
User #65534
"""


def share(path):
    """Lets everybody in: Apache refuses to serve as root."""
    os.chmod(path, 0o777)
    while (path := os.path.dirname(path)) != tempfile.gettempdir():
        os.chmod(path, 0o711)


@contextlib.contextmanager
def apache(half, servers=1, threads=1000, stop=signal.SIGTERM):
    port = freeport()
    share(half.dir)
    publish(half, SIZES)
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port, servers=servers,
                              threads=threads, most=servers * threads))
    with half.server(["/usr/sbin/apache2", "-D", "FOREGROUND", "-f",
                      half.path("conf")], lambda: answers(port),
                     stop) as server:
        yield server, port


def bench(half, connections, seconds):
    with apache(half) as (server, port):
        return load(half, server, port, pairs(half, [100, 4096]), connections,
                    seconds, "http")


def run(half):
    with apache(half) as (server, port):
        for connections in CASES:
            load(half, server, port, pairs(half, SIZES), connections, 0.5,
                 "http")
    # The processes that end need slots beside those that start.
    with apache(half, 8, 50, stop=lambda: None) as (server, port):
        graceful(half, server, port, SIZES, RESTARTS, signal.SIGUSR1,
                 signal.SIGWINCH)
    return "every answer was right"
