"""What a web server serves: files of some sizes, which are their names."""

import os

from client.load import write
from harness import corpus

# More than the sockets' buffers hold.
LARGE = 20000000


def content(size):
    return corpus(size, size)


def publish(half, sizes):
    """Makes the files of these sizes and a large one in www."""
    os.makedirs(half.path("www"), exist_ok=True)
    for size in [*sizes, LARGE]:
        with open(half.path(f"www/{size}"), "wb") as f:
            f.write(content(size))


def pairs(half, sizes):
    """The requests for them and their bodies, for load()."""
    return write(half, [(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size,
                         content(size)) for size in sizes])
