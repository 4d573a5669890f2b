"""mariadbd: sysbench with 16, 256 and 1,000 connections, by both ways in."""

import contextlib
import re
import shutil

from client.load import Figures, cpu
from harness import answers, check, freeport

GS = 1000
# Connections wait for requests in the netpoller; the server has some thirty
# threads for itself.
IN_KERNEL = 32

# What sysbench runs, with how many connections.
CASES = [f"{script} {connections}"
         for script in ("point_select", "read_only")
         for connections in (16, 256, 1000)]

ROWS = ["--tables=2", "--table-size=5000"]
LOADS = [
    ("oltp_point_select", "socket", 16, 8000),
    ("oltp_point_select", "socket", 256, 8000),
    ("oltp_point_select", "tcp", 1000, 8000),
    ("oltp_read_only", "tcp", 16, 400),
    ("oltp_read_only", "tcp", 256, 512),
    ("oltp_read_only", "socket", 1000, 1000),
]
TABLES = """
select count(*), sum(k), sum(crc32(c)) from sbtest1;
select count(*), sum(k), sum(crc32(pad)) from sbtest2;
select k % 10 d, count(*) n, max(c) from sbtest1 group by d order by n, d;
"""
QUERY = TABLES + """
show global status like 'Com_select';
show global status like 'Max_used_connections';
show global status like 'Aborted_clients';
check table sbtest1, sbtest2 extended;
"""


class Server:
    def __init__(self, half, data):
        self.half = half
        self.data = data
        self.port = freeport()
        self.socket = half.path("my.sock")

    @contextlib.contextmanager
    def up(self):
        argv = ["/usr/sbin/mariadbd", "--no-defaults", "--user=root",
                f"--datadir={self.data}", f"--socket={self.socket}",
                "--bind-address=127.0.0.1", f"--port={self.port}",
                "--max-connections=1100", "--back-log=1000",
                "--innodb-log-file-size=8M", "--skip-name-resolve",
                "--innodb-buffer-pool-size=32M",
                f"--pid-file={self.half.path('my.pid')}"]
        with self.half.server(argv, lambda: answers(self.socket)) as process:
            self.process = process
            yield self

    def sql(self, text, *args):
        path = self.half.path("query.sql")
        with open(path, "w") as f:
            f.write(text)
        return self.half.tool(["/usr/bin/mariadb", "--no-defaults", "-u",
                               "root", "-S", self.socket, "-N", *args],
                              stdin=path).out

    def sysbench(self, script, way, *args):
        where = [f"--mysql-socket={self.socket}"] if way == "socket" else [
            "--mysql-host=127.0.0.1", f"--mysql-port={self.port}"]
        return self.half.tool(["/usr/bin/sysbench", script, *where, *ROWS,
                               "--mysql-user=bench", "--rand-seed=1",
                               "--mysql-password=bench", *args]).out

    def load(self, script, way, connections, events):
        out = self.sysbench(script, way, f"--threads={connections}",
                            f"--events={events}", "--time=0", "run")
        done = re.search(r"total number of events: +(\d+)", out)
        check(done and int(done[1]) == events, "sysbench lost events", out)
        errors = re.search(r"ignored errors: +(\d+)", out)
        check(errors and int(errors[1]) == 0, "sysbench saw errors", out)


def share(histogram, part):
    """The time, in ms, that this part of all events stays below."""
    left = part * sum(count for _, count in histogram)
    for ms, count in histogram:
        left -= count
        if left <= 0:
            return ms
    return 0


def bench(half, case, seconds):
    script, connections = case.split()
    data = half.path("data")
    shutil.copytree(half.shared + "/data", data)
    with Server(half, data).up() as server:
        tables = server.sql(TABLES, "sbtest")
        before = cpu(server.process)
        out = server.sysbench(
            "oltp_" + script, "socket", f"--threads={connections}",
            f"--time={seconds:.0f}", "--histogram", "run")
        used = cpu(server.process) - before
        errors = re.search(r"ignored errors: +(\d+)", out)
        check(errors and int(errors[1]) == 0, "sysbench saw errors", out)
        check(server.sql(TABLES, "sbtest") == tables, "other data, now")
    rate = re.search(r"transactions: +(\d+) +\(([\d.]+) per sec", out)
    histogram = [(float(ms), int(count)) for ms, count in re.findall(
        r"^ +([\d.]+) \|\**\s+(\d+)$", out, re.M)]
    check(rate and histogram, "sysbench shows no figures", out)
    return Figures(float(rate[2]), share(histogram, 0.5),
                   share(histogram, 0.99), used / int(rate[1]) * 1e6)


def setup(half):
    data = half.shared + "/data"
    half.tool(["/usr/bin/mariadb-install-db", "--no-defaults", "--user=root",
               f"--datadir={data}", "--skip-test-db",
               "--innodb-log-file-size=8M",
               "--auth-root-authentication-method=normal"])
    with Server(half, data).up() as server:
        server.sql("create database sbtest;"
                   "create user bench@localhost identified by 'bench';"
                   "create user bench@127.0.0.1 identified by 'bench';"
                   "grant all on sbtest.* to bench@localhost;"
                   "grant all on sbtest.* to bench@127.0.0.1;")
        server.sysbench("oltp_read_only", "socket", "prepare")


def run(half):
    data = half.path("data")
    shutil.copytree(half.shared + "/data", data)
    with Server(half, data).up() as server:
        with half.clock():
            for load in LOADS:
                server.load(*load)
        return server.sql(QUERY, "sbtest")
