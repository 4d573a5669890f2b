"""memcached: four workers under 50 connections, checked answers and load."""

import contextlib
import zlib

from client.load import load, write
from harness import Wire, alongside, answers, check, freeport

GS = 8

CASES = [50, 1000]

CLIENTS = 50
KEYS = 60


def value(n, key):
    return b"%08x" % zlib.crc32(b"%d %d" % (n, key)) * (1 + (n + key) % 90)


def talk(wire, n):
    """One client's own keys; fails on any answer that is not the right one."""
    def ask(text, want):
        wire.send(text)
        got = wire.line()
        check(got == want, f"memcached answered {got}, not {want}")

    def get(name, data):
        ask(b"get %s\r\n" % name, f"VALUE {name.decode()} 0 {len(data)}")
        check(wire.data(len(data)) == data, "memcached gave other data")
        check(wire.line() == "END", "memcached gave more data")

    for key in range(KEYS):
        name, data = b"k%d.%d" % (n, key), value(n, key)
        ask(b"set %s 0 0 %d\r\n%s\r\n" % (name, len(data), data), "STORED")
    for key in range(KEYS):
        get(b"k%d.%d" % (n, key), value(n, key))
        wire.send(b"incr shared 1\r\n")
        check(wire.line().isdigit(), "incr did not count")
    for key in range(0, KEYS, 3):
        name = b"k%d.%d" % (n, key)
        ask(b"append %s 0 0 3\r\nend\r\n" % name, "STORED")
        get(name, value(n, key) + b"end")
    for key in range(0, KEYS, 4):
        name = b"k%d.%d" % (n, key)
        ask(b"delete %s\r\n" % name, "DELETED")
        ask(b"get %s\r\n" % name, "END")


def stats(wire):
    wire.send(b"stats\r\n")
    found = {}
    while (line := wire.line()) != "END":
        _, key, number = line.split(None, 2)
        found[key] = number
    return {key: found[key] for key in (
        "curr_items", "cmd_get", "cmd_set", "get_hits", "get_misses",
        "incr_hits", "delete_hits", "threads")}


def clients(port, half):
    """All of them connected at once."""
    wires = [Wire(port, half.timeout) for _ in range(CLIENTS)]

    def client(n):
        with wires[n]:
            talk(wires[n], n)

    with alongside(CLIENTS, client):
        pass


@contextlib.contextmanager
def memcached(half, *args):
    port = freeport()
    with half.server(["/usr/bin/memcached", "-u", "root", "-l", "127.0.0.1",
                      "-p", port, "-U", "0", "-t", "4", "-m", "64", *args],
                     lambda: answers(port)) as server:
        yield server, port


def bench(half, connections, seconds):
    pairs = []
    for key in range(KEYS):
        name, data = b"b%d" % key, value(0, key)
        pairs.append((b"set %s 0 0 %d\r\n%s\r\n" % (name, len(data), data),
                      b"STORED\r\n"))
        pairs += 3 * [(b"get %s\r\n" % name, b"VALUE %s 0 %d\r\n%s\r\nEND\r\n"
                       % (name, len(data), data))]
    with memcached(half, "-c", "2000") as (server, port):
        with Wire(port, half.timeout) as wire:
            for request, _ in pairs[::4]:
                wire.send(request)
                check(wire.line() == "STORED", "set failed")
        return load(half, server, port, write(half, pairs), connections,
                    seconds)


def run(half):
    with memcached(half) as (_, port):
        with half.clock():
            with Wire(port, half.timeout) as wire:
                wire.send(b"set shared 0 0 1\r\n0\r\n")
                check(wire.line() == "STORED", "set shared failed")
                clients(port, half)
                wire.send(b"get shared\r\n")
                check(wire.line() == "VALUE shared 0 4", "shared is gone")
                shared = wire.data(4).decode()
                wire.line()
                result = stats(wire)
            half.tool(["/usr/bin/memcslap", f"--servers=127.0.0.1:{port}",
                       "--concurrency=50", "--execute-number=400",
                       "--test=set"])
        with Wire(port, half.timeout) as wire:
            return {"shared": shared, "talk": result, "slap": stats(wire)}
