"""Reads what gmprun --trace writes: Perfetto's TracePacket messages, as far as they
are used, and what has to hold for any such trace.
"""

import collections
import struct

BEGIN, END, INSTANT = 1, 2, 3

Slice = collections.namedtuple("Slice", "track name start end depth then flows ends")
Instant = collections.namedtuple("Instant", "track name time args flows")
Track = collections.namedtuple("Track", "uuid name parent process")


def varint(data, at):
    """The number there, and where what follows it begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message: an int, or bytes."""
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        if kind == 1:
            yield key >> 3, struct.unpack_from("<Q", data, at)[0]
            at += 8
            continue
        value, at = varint(data, at)
        if kind == 2:
            assert at + value <= end, "a message is cut"
            yield key >> 3, data[at:at + value]
            at += value
        else:
            assert kind == 0, f"wire type {kind}"
            yield key >> 3, value


class Trace:
    """tracks by uuid, slices in the order of their ends, instants in theirs."""

    def __init__(self, path):
        self.tracks, self.slices, self.instants = {}, [], []
        self.names, self.open, self.times = {}, {}, {}
        with open(path, "rb") as f:
            data = f.read()
        for n, packet in fields(data):
            assert n == 1
            self.packet(dict(fields(packet)))
        assert not any(self.open.values()), "slices without an end"

    def packet(self, p):
        assert p[10] == 1
        if 60 in p:
            self.track(dict(fields(p[60])))
        if 12 in p:
            for n, entry in fields(p[12]):
                assert n in (2, 3)
                entry = dict(fields(entry))
                self.names[n, entry[1]] = entry[2].decode()
        if 11 in p:
            self.event(p[8], list(fields(p[11])))

    def track(self, t):
        process = None
        if 3 in t:
            process = dict(fields(t[3])).get(1)
        assert t[1] not in self.tracks, "one track twice"
        self.tracks[t[1]] = Track(t[1], t[2].decode(), t.get(5), process)

    def event(self, time, pairs):
        e = dict(pairs)
        flows = [v for n, v in pairs if n == 47]
        ends = [v for n, v in pairs if n == 48]
        args = dict(self.annotation(v) for n, v in pairs if n == 4)
        track = self.tracks[e[11]]
        assert time >= self.times.get(track.uuid, 0), "back in time"
        self.times[track.uuid] = time
        stack = self.open.setdefault(track.uuid, [])
        if e[9] == BEGIN:
            stack.append((self.names[2, e[10]], time, flows, ends))
        elif e[9] == END:
            assert stack, f"{track.name}: an end without a beginning"
            name, start, flows, ends = stack.pop()
            self.slices.append(Slice(track, name, start, time, len(stack),
                                     args.get("then"), flows, ends))
        else:
            self.instants.append(
                Instant(track, self.names[2, e[10]], time, args, flows))

    def annotation(self, data):
        a = dict(fields(data))
        return self.names[3, a[1]], a[3] if 3 in a else a[6].decode()

    def on(self, prefix):
        """Slices of the tracks of that kind: P, M, bound, system."""
        return [s for s in self.slices if s.track.name.startswith(prefix)]

    def turns(self, thread=""):
        """Turns on Ps of threads whose name begins so."""
        return [s for s in self.on("P")
                if s.depth == 0 and s.name.startswith(thread)]

    def count(self, instant):
        return sum(i.name == instant for i in self.instants)

    def arrows(self):
        """(instant, slice) that an arrow connects."""
        started = {f: i for i in self.instants for f in i.flows}
        assert len(started) == sum(len(i.flows) for i in self.instants)
        return [(started[f], s) for s in self.slices for f in s.ends
                if f in started]
