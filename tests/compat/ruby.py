"""Ruby: 700 threads over queues, locks, conditions, pipes and sockets; and its
signals, time-outs, forks and children beside 100 threads.
"""

import os
import signal

# It keeps the native threads of dead ones for the next.
GS = 600 + 100
# Both ends of 15 socket pairs, pipe pairs and connections, the listener, the
# interpreter's own timer thread, and a read from a child process.
IN_KERNEL = 6 * 15 + 3

GUEST = os.path.join(os.path.dirname(__file__), "guest")


def run(half):
    return {
        "threads": half.run(["/usr/bin/ruby", GUEST + "/threads.rb"]).out,
        "life": half.run(["/usr/bin/ruby", GUEST + "/life.rb"],
                         status=-signal.SIGINT).out,
    }
