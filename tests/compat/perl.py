"""Perl: threads that are interpreters, queues, conditions, children, signals."""

import os

GS = 40 + 20 + 20 + 2 * 15 + 10 + 3 + 10 + 5 + 20 + 3

GUEST = os.path.join(os.path.dirname(__file__), "guest", "threads.pl")


def run(half):
    return half.run(["/usr/bin/perl", GUEST], status=3).out
