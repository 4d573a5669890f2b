"""rsyslogd: inputs on threads of their own, queues with workers that come and
go, messages by TCP and by datagrams.
"""

import contextlib
import os
import signal
import socket
import time

from harness import alongside, answers, check, freeport

TCP = 20
LOCAL = 4
LINES = 300

GS = 8

CONFIG = """
module(load="imtcp" threads="4")
module(load="imuxsock" SysSock.Use="off")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="all")
input(type="imuxsock" socket="{dir}/log" createpath="on" ruleset="all"
      ratelimit.interval="0")
template(name="text" type="string" string="%msg%\\n")
ruleset(name="all" queue.type="LinkedList" queue.workerThreads="4"
        queue.workerThreadMinimumMessages="50"
        queue.timeoutWorkerthreadShutdown="200") {{
	action(type="omfile" file="{dir}/out" template="text"
	       asyncWriting="on" queue.type="linkedList"
	       queue.workerThreads="2")
}}
"""


@contextlib.contextmanager
def rsyslogd(half):
    port = freeport()
    with open(half.path("conf"), "w") as f:
        f.write(CONFIG.format(dir=half.dir, port=port))
    with half.server(["/usr/sbin/rsyslogd", "-n", "-f", half.path("conf"),
                      "-i", half.path("pid")],
                     lambda: answers(port) and
                     os.path.exists(half.path("log"))) as server:
        yield server, port


def written(half):
    try:
        with open(half.path("out")) as f:
            return sorted(f.read().splitlines())
    except FileNotFoundError:
        return []


def run(half):
    with rsyslogd(half) as (server, port):
        def send(n):
            if n < TCP:
                s = socket.create_connection(("127.0.0.1", port))
            else:
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.connect(half.path("log"))
            with s:
                for i in range(LINES):
                    host = " host" if n < TCP else ""
                    end = "\n" if n < TCP else ""
                    s.sendall(f"<13>Jan  1 00:00:00{host} test: {n}.{i}{end}"
                              .encode())

        with alongside(TCP + LOCAL, send):
            pass
        want = sorted(f" {n}.{i}" for n in range(TCP + LOCAL)
                      for i in range(LINES))
        end = time.monotonic() + half.timeout
        while len(got := written(half)) < len(want):
            check(time.monotonic() < end,
                  f"{len(got)} of {len(want)} messages came")
            # Else it keeps what it has not written yet.
            os.kill(server.pid, signal.SIGHUP)
            time.sleep(0.1)
    check(got == want, "other messages came")
    return len(got)
