"""Names of threads are any bytes: how they are shown, and that none of them becomes
something else.
"""

import json
import os
import signal
import subprocess
import time

import test_gdb
import test_gmptop
from built import GMPRUN, environment, run
from perfetto import Trace
from test_gmptop import GMPTOP

# The bytes; as gmp-top has them on a terminal; as dumps do.
NAMES = {
    "größe".encode(): ("größe", '"größe"'),
    "日本語スレ".encode(): ("日本語スレ", '"日本語スレ"'),
    "e\u0301".encode(): ("e\u0301", '"e\u0301"'),
    b"cut in half \xe6\x97": ("cut in half ??", r'"cut in half \xe6\x97"'),
    b"\x1b[2J\"q\\": ('?[2J"q\\', r'"\u001b[2J\"q\\"'),
    "\x9b31m".encode(): ("?31m", r'"\u009b31m"'),  # the same in one character
    "\u202eolleh".encode(): ("?olleh", None),  # from right to left
    b"\xc0\x80\xed\xa0\x80\xf8": ("??????", r'"\xc0\x80\xed\xa0\x80\xf8"'),
    b"\xc3\xa9\xff": ("é?", r'"é\xff"'),
}
UTF8 = {"LC_ALL": "C.UTF-8"}


def replaced(name):
    """U+FFFD for each byte that is no part of a character."""
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c
                   for c in name.decode(errors="surrogateescape"))


def bytes_of(thread):
    if "name_bytes" in thread:
        return bytes.fromhex(thread["name_bytes"])
    return thread["name"].encode()


class Names(test_gmptop.ScreenCase):
    def named(self, **options):
        """A program that has a thread for each of NAMES."""
        p = self.program(**options)
        for name in NAMES:
            p.do("named " + name.hex())
        p.until(lambda look: test_gmptop.count(
            look, state="waiting", reason="sleep") == len(NAMES))
        return p

    def check_json(self, threads):
        found = {bytes_of(g): g["name"] for g in threads}
        for name in NAMES:
            self.assertEqual(found[name], replaced(name))

    def test_gmptop(self):
        p = self.named()
        out = run(GMPTOP, "--once", str(p.pid), env=environment(**UTF8)).stdout
        for words, _ in NAMES.values():
            self.assertIn(f" {words} ", out)
        # Whatever the widths of characters are, the next column is in its place.
        for name in "größe          ", "日本語スレ     ", "e\u0301              ":
            self.assertIn(f" {name} waiting ", out)
        out = run(GMPTOP, "--stacks", "-f", "größe", str(p.pid),
                  env=environment(**UTF8)).stdout
        self.assertIn('"größe" tid ', out)
        # Where characters are bytes.
        r = run(GMPTOP, "--once", str(p.pid), env=environment(LC_ALL="C"))
        self.assertIn(" gr??e           waiting ", r.stdout)
        self.assertTrue(r.stdout.isascii())

    def test_json(self):
        p = self.named()
        for locale in UTF8, {"LC_ALL": "C"}:
            r = subprocess.run([GMPTOP, "--json", "--once", str(p.pid)],
                               env=environment(**locale), check=True,
                               stdout=subprocess.PIPE)
            self.check_json(json.loads(r.stdout.decode())["gs"])
            self.assertEqual([c for c in r.stdout.decode() if
                              c < " " or "\x7f" <= c <= "\x9f"], ["\n"])

    def test_screen(self):
        p = self.named()
        self.start(str(p.pid), **UTF8)
        seen = self.until("h: help").decode()
        for words, _ in NAMES.values():
            self.assertIn(f" {words}", seen)
        # A character is typed, and taken back, as a whole.
        self.key("/öx\x7f\n")
        self.until("1 of 10")
        self.key("/\x7f語\n")
        self.until("1 of 10")
        self.key("q")
        self.assertEqual(self.ended(), 0)

    def test_dump(self):
        for json_too in "0", "1":
            path = os.path.join(self.temp.name, "dump" + json_too)
            with open(path, "wb") as f:
                p = self.named(GMPDEBUG="dump=USR1,dumpjson=" + json_too,
                               stderr=f)
            os.kill(p.pid, signal.SIGUSR1)
            end = time.monotonic() + 20
            while True:
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                if "deadlocks" in text or "created by" in text:
                    break
                self.assertLess(time.monotonic(), end, text)
            if json_too == "1":
                self.check_json(json.loads(text)["threads"])
            for _, words in NAMES.values():
                self.assertIn((words or "")[:0 if json_too == "1" else None],
                              text)

    def test_trace(self):
        trace = os.path.join(self.temp.name, "trace")
        p = self.named(before=[GMPRUN, "--trace", trace],
                       stderr=subprocess.PIPE)
        # The watcher has standard error open until the file is written.
        self.assertEqual(p.child.communicate(), ("", ""))
        # Reading it decodes all names.
        names = {s.name.rsplit(" G", 1)[0] for s in Trace(trace).turns()}
        self.assertLessEqual({replaced(name) for name in NAMES}, names)

    def test_gdb(self):
        p = self.named()
        out, _ = test_gdb.gdb(["info gthreads"], "-p", str(p.pid))
        for name in (r"größe          ", "日本語スレ     ", r"cut in half \xe6\x97",
                     r'\x1b[2J"q\\ ', r"\u009b31m", r"\u202eolleh"):
            self.assertIn(f" {name}", out)
