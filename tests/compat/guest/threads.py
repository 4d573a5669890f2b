"""2,000 threads over queues, every kind of lock, and sockets.

Prints what must come out whatever the order in which the threads ran.
"""

import hashlib
import queue
import socket
import threading
import time

WORKERS = 2000
ITEMS = 20000
TURNS = 50
PAIRS = 40
CLIENTS = 20
MESSAGES = 40

threading.stack_size(256 << 10)


def started(target, *args):
    t = threading.Thread(target=target, args=args)
    t.start()
    return t


def joined(threads):
    for t in threads:
        t.join()


def queues():
    """All workers are alive at once, and every one of them gets work."""
    todo, done = queue.Queue(), queue.Queue(maxsize=500)
    gate = threading.Barrier(WORKERS + 1)
    local = threading.local()

    def work():
        local.seen = 0
        gate.wait()
        first = True
        while (item := todo.get()) is not None:
            local.seen += 1
            done.put((item, hashlib.sha256(b"%d" % item).digest(), first))
            first = False
        done.put((None, local.seen, None))

    threads = [started(work) for _ in range(WORKERS)]
    gate.wait()
    print("alive", threading.active_count() - 1)

    def feed():
        for item in range(ITEMS):
            todo.put(item)
        for _ in threads:
            todo.put(None)

    feeder = started(feed)
    total, seen, ended, items = 0, 0, 0, set()
    while ended < WORKERS:
        item, value, _ = done.get()
        if item is None:
            ended += 1
            seen += value
        else:
            items.add(item)
            total ^= int.from_bytes(value, "big")
    joined(threads + [feeder])
    print("items", len(items), seen, f"{total:064x}")


def locks():
    """Counters under each lock, turns under a condition, times out of it."""
    lock, rlock = threading.Lock(), threading.RLock()
    slots, most, inside = threading.BoundedSemaphore(5), 0, 0
    counts = [0, 0]
    turn, order = threading.Condition(), []
    go, never = threading.Event(), threading.Event()

    def work(n):
        nonlocal most, inside
        go.wait()
        for _ in range(40):
            with lock:
                counts[0] += 1
            with rlock, rlock:
                counts[1] += 1
        with slots:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.0002)
            with lock:
                inside -= 1
        with turn:
            turn.wait_for(lambda: len(order) == n)
            order.append(n)
            turn.notify_all()

    threads = [started(work, n) for n in range(TURNS)]
    go.set()
    joined(threads)
    print("locks", counts, 1 <= most <= 5, order == list(range(TURNS)))

    began = time.monotonic()
    flags = [never.wait(0.02), lock.acquire(timeout=0.02),
             lock.acquire(timeout=0.02), slots.acquire(timeout=0.02)]
    try:
        queue.Queue().get(timeout=0.02)
    except queue.Empty:
        flags.append("empty")
    print("timeouts", flags, 0.06 <= time.monotonic() - began)


def sockets():
    """Pairs that answer each other, and a server with a thread per client."""
    sums = [0] * (PAIRS + CLIENTS)

    def answer(s):
        with s, s.makefile("rwb") as f:
            for line in f:
                f.write(b"%d\n" % (int(line) * 3))
                f.flush()

    def ask(s, n):
        with s, s.makefile("rwb") as f:
            for i in range(MESSAGES):
                f.write(b"%d\n" % (n * i))
                f.flush()
                sums[n] += int(f.readline())
            s.shutdown(socket.SHUT_WR)

    threads = []
    for n in range(PAIRS):
        a, b = socket.socketpair()
        threads += [started(answer, a), started(ask, b, n)]
    listener = socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)

    def serve():
        joined([started(answer, listener.accept()[0])
                for _ in range(CLIENTS)])

    threads.append(started(serve))
    for n in range(PAIRS, PAIRS + CLIENTS):
        s = socket.create_connection(listener.getsockname())
        threads.append(started(ask, s, n))
    joined(threads)
    listener.close()
    print("sockets", sums == [3 * n * MESSAGES * (MESSAGES - 1) // 2
                              for n in range(PAIRS + CLIENTS)], sum(sums))


queues()
locks()
sockets()
print("left", threading.active_count())
