"""redis-server: two I/O threads, redis-benchmark, and checked answers; saves
and rewrites its log, by children that it forks, under load.
"""

import contextlib
import re
import threading
import time

from client.load import load, write
from harness import Failure, Wire, alongside, check, freeport

# Three for work in the background; the second I/O thread, where there is one.
# The servers: for load, to save, and with what was saved.
GS = 3 * 3

CASES = [50, 1000]

CLIENTS = 30
ROUNDS = 80


def ask(wire, *words):
    text = b"*%d\r\n" % len(words)
    for word in words:
        word = str(word).encode()
        text += b"$%d\r\n%s\r\n" % (len(word), word)
    wire.send(text)
    return reply(wire)


def reply(wire):
    line = wire.line()
    kind, rest = line[0], line[1:]
    check(kind != "-", "redis answered " + line)
    if kind == "$":
        return None if rest == "-1" else wire.data(int(rest)).decode()
    if kind == "*":
        return [reply(wire) for _ in range(int(rest))]
    return int(rest) if kind == ":" else rest


def talk(wire, n):
    for i in range(ROUNDS):
        text = f"{n}.{i}." + "x" * (i * 17 % 700)
        check(ask(wire, "SET", f"k{n}.{i}", text) == "OK", "SET failed")
        check(ask(wire, "GET", f"k{n}.{i}") == text, "GET gave other data")
        ask(wire, "INCR", "count")
        ask(wire, "RPUSH", f"list{n}", i)
        ask(wire, "ZADD", "scores", i, f"m{i}")
    got = ask(wire, "LRANGE", f"list{n}", 0, -1)
    check(got == [str(i) for i in range(ROUNDS)], "the list is another one")


def up(port):
    """Whether somebody answers, not only accepts."""
    try:
        with Wire(port, 5) as wire:
            return ask(wire, "PING") == "PONG"
    except (OSError, Failure):
        return False


def clients(port, half):
    def client(n):
        with Wire(port, half.timeout) as wire:
            talk(wire, n)

    with alongside(CLIENTS, client):
        pass


@contextlib.contextmanager
def redis(half, log="no"):
    port = freeport()
    # The I/O threads wait for each other by spinning: they need a P each,
    # until the scheduler preempts.
    io = 2 if half.procs > 1 or half.mode == "bound" else 1
    with half.server(["/usr/bin/redis-server", "--port", port, "--bind",
                      "127.0.0.1", "--save", "", "--appendonly", log,
                      "--io-threads", io, "--io-threads-do-reads", "yes",
                      # A crash shall leave a core file, at once.
                      "--crash-log-enabled", "no",
                      "--dir", half.dir],
                     lambda: up(port)) as server:
        yield server, port


def bench(half, connections, seconds):
    pairs = []
    for n in range(100):
        key, text = b"$4\r\nk%03d" % n, b"%d" % n * 20
        text = b"$%d\r\n%s\r\n" % (len(text), text)
        pairs.append((b"*3\r\n$3\r\nSET\r\n%s\r\n%s" % (key, text),
                      b"+OK\r\n"))
        pairs += 3 * [(b"*2\r\n$3\r\nGET\r\n%s\r\n" % key, text)]
    with redis(half) as (server, port):
        with Wire(port, half.timeout) as wire:
            for request, _ in pairs[::4]:
                wire.send(request)
                check(reply(wire) == "OK", "SET failed")
        return load(half, server, port, write(half, pairs), connections,
                    seconds)


def persistence(wire, field):
    text = ask(wire, "INFO", "persistence")
    return re.search(rf"^{field}:(.*)\r$", text, re.M)[1]


def background(half, wire, command, running, verdict):
    """Starts a child that writes the data, and waits for its end."""
    ask(wire, command)
    end = time.monotonic() + half.timeout
    while persistence(wire, running) != "0":
        check(time.monotonic() < end, f"{command} does not end")
        time.sleep(0.005)
    check(persistence(wire, verdict) == "ok", f"{command} failed")


def contents(wire):
    """All keys but those of the benchmark, which are random."""
    lists = [ask(wire, "LRANGE", f"list{n}", 0, -1) for n in range(CLIENTS)]
    texts = [ask(wire, "GET", f"k{n}.{i}") for n in range(CLIENTS)
             for i in range(ROUNDS)]
    return lists, texts, ask(wire, "GET", "count"), \
        ask(wire, "ZRANGE", "scores", 0, -1)


def saving(half):
    with redis(half, "yes") as (_, port):
        with Wire(port, half.timeout) as wire:
            stop = threading.Event()
            saves = []

            def save():
                while not stop.is_set() or len(saves) < 4:
                    background(half, wire, "BGSAVE",
                               "rdb_bgsave_in_progress",
                               "rdb_last_bgsave_status")
                    background(half, wire, "BGREWRITEAOF",
                               "aof_rewrite_in_progress",
                               "aof_last_bgrewrite_status")
                    saves.append(2)

            t = threading.Thread(target=save, daemon=True)
            t.start()
            clients(port, half)
            stop.set()
            t.join(half.timeout)
            check(len(saves) >= 4, "a save failed")
            first = contents(wire)
    with redis(half, "yes") as (_, port):
        with Wire(port, half.timeout) as wire:
            check(contents(wire) == first, "what was saved is not the same")
    return first[2]


def run(half):
    with redis(half) as (_, port):
        with half.clock():
            half.tool(["/usr/bin/redis-benchmark", "-p", port, "-c", "50",
                       "-n", "20000", "-P", "16", "-q",
                       "-t", "set,get,incr,lpush,lpop"])
            clients(port, half)
        with Wire(port, half.timeout) as wire:
            ask(wire, "SET", "gone", "x" * 100000)
            got = {
                "unlink": ask(wire, "UNLINK", "gone", "list0"),
                "count": ask(wire, "GET", "count"),
                "counter": ask(wire, "GET", "counter:__rand_int__"),
                "list": ask(wire, "LLEN", "mylist"),
                "scores": ask(wire, "ZCARD", "scores"),
                "keys": ask(wire, "DBSIZE"),
                "flush": ask(wire, "FLUSHALL", "ASYNC"),
            }
    got["saved"] = saving(half)
    return got
