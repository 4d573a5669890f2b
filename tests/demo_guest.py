"""An ordinary Python program on 2,000 threads: queues, socket pairs, a sum.

1,960 workers take numbers from one queue and put digests into another; one
digest in eight goes to and fro between two threads over a socket pair.
"""

import hashlib
import queue
import socket
import threading

WORKERS = 1960
PAIRS = 20
ITEMS = 40000

todo, done = queue.Queue(), queue.Queue()
everybody = threading.Barrier(WORKERS + 2 * PAIRS + 1)
links = [queue.Queue() for _ in range(PAIRS)]
totals = [0] * PAIRS


def worker():
    everybody.wait()
    while (item := todo.get()) is not None:
        done.put(hashlib.sha256(b"%d" % item).digest())


def asker(n, sock):
    everybody.wait()
    with sock, sock.makefile("rwb") as f:
        while (digest := links[n].get()) is not None:
            f.write(digest)
            f.flush()
            totals[n] += int.from_bytes(f.read(32), "big")


def answerer(sock):
    everybody.wait()
    with sock, sock.makefile("rwb") as f:
        while digest := f.read(32):
            f.write(hashlib.sha256(digest).digest())
            f.flush()


threads = [threading.Thread(target=worker) for _ in range(WORKERS)]
for n in range(PAIRS):
    a, b = socket.socketpair()
    threads.append(threading.Thread(target=asker, args=(n, a)))
    threads.append(threading.Thread(target=answerer, args=(b,)))
for t in threads:
    t.start()
everybody.wait()
alive = threading.active_count() - 1

for item in range(ITEMS):
    todo.put(item)
total = 0
for i in range(ITEMS):
    digest = done.get()
    if digest[0] < 32:
        links[i % PAIRS].put(digest)
    else:
        total += int.from_bytes(digest, "big")
for _ in range(WORKERS):
    todo.put(None)
for link in links:
    link.put(None)
for t in threads:
    t.join()
print(f"{alive} {(total + sum(totals)) % 2 ** 64:016x}")
