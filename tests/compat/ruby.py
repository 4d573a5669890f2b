"""Ruby: 700 threads over queues, locks, conditions, pipes and sockets."""

import os

# It keeps the native threads of dead ones for the next.
GS = 600
# Both ends of 15 socket pairs, pipe pairs and connections, the listener, the
# interpreter's own timer thread, and a read from a child process.
IN_KERNEL = 6 * 15 + 3

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.rb")


def run(half):
    return half.run(["/usr/bin/ruby", GUEST]).out
