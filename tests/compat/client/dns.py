"""Queries for names of a zone, and their answers by the byte (RFC 1035, 4)."""

import socket
import struct

NAMES = 200


def address(n):
    return f"10.0.{n >> 8}.{n & 255}"


def exchange(n, flags, asked=0):
    """The query for one of the names, with flags of its own, and its answer;
    in the zone the names live for 300 seconds.
    """
    label = b"h%d" % n
    name = bytes([len(label)]) + label + b"\4test\0"
    question = name + struct.pack("!HH", 1, 1)
    record = struct.pack("!HHHIH4s", 0xc00c, 1, 1, 300, 4,
                         socket.inet_aton(address(n)))
    return (struct.pack("!6H", n, asked, 1, 0, 0, 0) + question,
            struct.pack("!6H", n, flags, 1, 1, 0, 0) + question + record)


def loaded(port, query, answer):
    """Whether it answers for the zone, not only listens."""
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        try:
            s.connect(("127.0.0.1", port))
            s.send(query)
            return s.recv(512) == answer
        except OSError:
            return False
