"""sysbench: 64 threads that yield and lock, 200 that fight for mutexes."""

import re

GS = 64 + 200
# They wait for each other only; the report goes out every so often.
IN_KERNEL = 4

THREADS = ["threads", "--threads=64", "--events=3000", "--time=0",
           "--thread-yields=50", "--thread-locks=4"]
MUTEX = ["mutex", "--threads=200", "--mutex-num=64", "--mutex-locks=2000",
         "--mutex-loops=50"]


def run(half):
    def events(args):
        out = half.run(["/usr/bin/sysbench", *args, "run"]).out
        return re.findall(r"total number of events: +(\d+)", out)

    return {"threads": events(THREADS), "mutex": events(MUTEX)}
