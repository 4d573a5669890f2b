"""The manual pages name what there is: options, variables, keys, probes."""

import os
import re
import shutil
import sys
import unittest

from built import GMPRUN, LIBRARY, OUT, ROOT, environment, run

MAN = os.path.join(ROOT, "tools", "man")
THREAD = "import threading; t = threading.Thread(); t.start(); t.join()"


def text(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def items(page, macro):
    """The words of that macro in the tags of a page's lists."""
    return {word for line in re.findall(r"(?m)^\.It .*", page)
            for word in re.findall(rf"\b{macro} (\S+)", line)}


class Options(unittest.TestCase):
    def compare(self, program, page, letters):
        usage = run(program, "-h")
        self.assertEqual(usage.returncode, 0)
        known = set(re.findall(r"(?m)(?:^  |, |\()--?([\w-]+)\b",
                               usage.stdout.partition("\n  ")[1] +
                               usage.stdout.partition("\n  ")[2]))
        self.assertGreaterEqual(known, letters)
        described = {word.lstrip("-") for word
                     in items(text(MAN, page), "Fl")}
        self.assertEqual(known - described, set())
        # Of each option that the page describes there is one.
        for option in described:
            dashes = "-" if len(option) == 1 else "--"
            out = run(program, dashes + option)
            self.assertNotRegex(out.stderr, "no such option|unrecognized|"
                                "invalid option")

    def test_gmprun(self):
        self.compare(GMPRUN, "gmprun.1", {"P", "m", "d", "h", "V"})

    def test_gmp_top(self):
        self.compare(os.path.join(OUT, "gmp-top"), "gmp-top.1",
                     {"b", "d", "n", "s", "f", "r", "json", "once", "h", "V"})


class Settings(unittest.TestCase):
    def setUp(self):
        self.page = text(MAN, "libgmpthread.7")
        self.readme = text(ROOT, "README.md")

    def test_variables(self):
        with open(LIBRARY, "rb") as f:
            found = set(re.findall(rb"\0(GMP[A-Z_]*)(?=\0)", f.read()))
        known = {name.decode() for name in found}
        self.assertGreaterEqual(known, {"GMPPROCS", "GMP_MODE", "GMP_DETOURS",
                                        "GMPDEBUG"})
        self.assertEqual(items(self.page, "Ev"), known)
        self.assertEqual(set(re.findall(r"(?m)^\| `(GMP\w+)`", self.readme)),
                         known)

    def test_keys(self):
        r = run(sys.executable, "-c", THREAD,
                env=environment(LD_PRELOAD=LIBRARY, GMPDEBUG="none=1"))
        self.assertIn("allowed is a comma-separated list of", r.stderr)
        known = set(re.findall(r"(\w+)=", r.stderr.partition("list of")[2]))
        self.assertGreaterEqual(known, {"checkdead", "stats"})
        self.assertLessEqual(known, items(self.page, "Cm"))
        self.assertEqual(set(re.findall(r"(?m)^\| `(\w+)=", self.readme)),
                         known)


class Looking(unittest.TestCase):
    def test_probes(self):
        notes = run("readelf", "-nW", LIBRARY).stdout
        known = set(re.findall(
            r"Provider: gmpthread\s+Name: (\w+)", notes))
        self.assertGreaterEqual(known, {"create", "exit", "park", "ready"})
        page = text(MAN, "libgmpthread.7")
        self.assertEqual(items(page, "Li"), known)
        self.assertEqual(set(re.findall(r"usdt:LIB:gmpthread:(\w+)", page)),
                         known)

    def test_commands_of_gdb(self):
        known = set(re.findall(r'super\(\).__init__\("(\w+ ?\w*)", gdb\.',
                               text(ROOT, "tools", "gmp-gdb.py")))
        self.assertGreaterEqual(known, {"gthread", "info gthreads"})
        page = text(MAN, "libgmpthread.7")
        for command in known:
            self.assertRegex(page, rf"(?m)^\.It Ic {command} ?")


class Format(unittest.TestCase):
    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc_has_nothing_to_say(self):
        pages = sorted(os.listdir(MAN))
        self.assertEqual(pages, ["gmp-top.1", "gmprun.1", "libgmpthread.7"])
        r = run("mandoc", "-T", "lint", "-W", "warning",
                *(os.path.join(MAN, page) for page in pages))
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", ""))
