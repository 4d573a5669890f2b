"""unbound: an event loop on each of four threads, which take commands by pipes;
asked by UDP, answers by the byte.
"""

import contextlib
import time

from client.dns import NAMES, address, exchange, loaded
from client.load import load, write
from harness import check, freeport

# Those of the start, and of a reload.
GS = 3 + 3

CONFIG = """
server:
	directory: "{dir}"
	chroot: ""
	username: ""
	pidfile: ""
	interface: 127.0.0.1
	port: {port}
	num-threads: 4
	so-reuseport: no
	so-rcvbuf: 4m
	do-daemonize: no
	use-syslog: no
	logfile: ""
	module-config: "iterator"
	local-zone: "test." static
{names}
remote-control:
	control-enable: yes
	control-use-cert: no
	control-interface: {dir}/control
"""

PAIRS = [exchange(n, 0x8580, 0x100) for n in range(NAMES)]


@contextlib.contextmanager
def unbound(half):
    port = freeport()
    names = "".join(f'\tlocal-data: "h{n}.test. 300 A {address(n)}"\n'
                    for n in range(NAMES))
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port, names=names))
    with half.server(["/usr/sbin/unbound", "-d", "-c", half.path("conf")],
                     lambda: loaded(port, *PAIRS[0])) as server:
        yield server, port


def run(half):
    def control(*words):
        return half.tool(["/usr/sbin/unbound-control", "-c",
                          half.path("conf"), *words]).out

    with unbound(half) as (server, port):
        pairs = write(half, PAIRS)
        for connections in 20, 200:
            load(half, server, port, pairs, connections, 0.3, "udp")
        check("thread3.num.queries" in control("stats"), "no statistics")
        control("reload")
        end = time.monotonic() + half.timeout
        while not loaded(port, *PAIRS[0]):
            check(time.monotonic() < end, "not up again")
        load(half, server, port, pairs, 20, 0.3, "udp")
    return "every answer was right"
