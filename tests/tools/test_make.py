"""The Makefile's other targets: what is exported, installed, checked, named."""

import os
import re
import shutil
import tempfile
import unittest

from built import GMPRUN, LIBRARY, OUT, ROOT, environment, run

CHECK = os.path.join(ROOT, "tests", "lib", "check")
DEPS = os.path.join(ROOT, "tools", "deps")
LINT = os.path.join(ROOT, "tools", "lint")


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="make-")
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def script(self, name, *lines):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(("#!/bin/sh",) + lines) + "\n")
        os.chmod(path, 0o755)
        return path


class Library(Case):
    def test_exports_are_those_of_hooks_def(self):
        result = run(os.path.join(LINT, "exports"), LIBRARY)
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.returncode, 0)

    def test_needs_only_libc(self):
        out = run("readelf", "-dW", LIBRARY).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", out)
        allowed = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
                   "libpthread.so.0", "libdl.so.2"}
        if os.path.basename(OUT) == "asan":
            allowed |= {"libasan.so.8"}
        self.assertLessEqual(set(needed), allowed)
        self.assertNotIn("TEXTREL", out)

    def test_stack_is_not_executable(self):
        out = run("readelf", "-lW", LIBRARY).stdout
        self.assertRegex(out, r"GNU_STACK.* RW ")

    def test_layers(self):
        result = run(os.path.join(LINT, "layers"))
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.returncode, 0)


class Lint(Case):
    """The checks find what they are for."""

    def test_exports(self):
        hooks = os.path.join(self.dir, "shim")
        lint = os.path.join(self.dir, "tools", "lint")
        os.mkdir(hooks)
        os.makedirs(lint)
        exports = shutil.copy(os.path.join(LINT, "exports"), lint)
        with open(os.path.join(hooks, "hooks.def"), "w",
                  encoding="ascii") as f:
            f.write("/* HOOK(int, not, (int a), (a)) isn't one */\n"
                    "HOOK(int, one, (int a), (a))\n"
                    "#define PASS(r, n, p, a) HOOK(r, n, p, a)\n"
                    "PASS(int, two, (int a), (a))\n"
                    "PASS(int, two, (int a), (a))\n"
                    "SAME(int, three, (int a), (one(a)))\n")
        source = self.path("lib.c")
        with open(source, "w", encoding="ascii") as f:
            f.write("int one(void) { return 1; }\n"
                    "int backtrace(void) { return 2; }\n"
                    "int three(void) { return 3; }\n")
        library = self.path("lib.so")
        self.assertEqual(
            run("gcc", "-shared", "-fPIC", "-o", library, source).returncode, 0)
        result = run(exports, library)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.splitlines(), [
            f"{library}: exports unwinder functions: backtrace",
            f"{library}: exports what shim/hooks.def does not list: backtrace",
            f"{library}: does not export what shim/hooks.def lists: two",
            f"{library}: shim/hooks.def lists more than once: two"])

    def test_layers(self):
        lint = os.path.join(self.dir, "tools", "lint")
        os.makedirs(lint)
        layers = shutil.copy(os.path.join(LINT, "layers"), lint)
        wrong = {"shim/a.c": "core/runtime2.h", "core/b.c": "shim/shim.h",
                 "arch/x/c.h": "core/gmp.h", "tools/d/d.c": "core/gmp.h"}
        right = {"shim/e.c": "core/gmp.h", "core/f.c": "arch/arch.h",
                 "arch/x/g.S": "arch/x/asm.h", "tools/d/h.c":
                 "core/snapshot.h"}
        for name, target in {**wrong, **right}.items():
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as f:
                f.write(f'# include "{target}"\n#include <stdio.h>\n')
        result = run(layers)
        self.assertEqual(result.returncode, 1)
        for name, target in wrong.items():
            self.assertRegex(result.stderr, f"{name}:1:.*{target}")
        for name in right:
            self.assertNotIn(name, result.stderr)


class Make(Case):
    def make(self, *args):
        return run("make", "-C", ROOT, "--no-print-directory", *args)

    def files(self):
        return sorted(os.path.join(where, f)[len(self.dir):]
                      for where, _, names in os.walk(self.dir) for f in names)

    def test_install_and_uninstall(self):
        for prefix in "/usr/local", "/opt/x":
            args = f"DESTDIR={self.dir}", f"PREFIX={prefix}"
            result = self.make("install", *args)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.files(), [
                f"{prefix}/bin/gmp-top", f"{prefix}/bin/gmprun",
                f"{prefix}/lib/libgmpthread.so",
                f"{prefix}/lib/libgmpthread.so-gdb.py",
                f"{prefix}/share/doc/libgmpthread/README.md",
                f"{prefix}/share/man/man1/gmp-top.1",
                f"{prefix}/share/man/man1/gmprun.1",
                f"{prefix}/share/man/man7/libgmpthread.7"])
            where = self.dir + prefix
            with open(f"{where}/share/man/man7/libgmpthread.7",
                      encoding="ascii") as f:
                self.assertIn(f"{prefix}/lib/libgmpthread.so", f.read())
            out = run(f"{where}/bin/gmprun", "printenv", "LD_PRELOAD").stdout
            self.assertEqual(out, f"{where}/lib/libgmpthread.so\n")
            result = self.make("uninstall", *args)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.files(), [])

    def test_uninstall_leaves_other_files(self):
        os.makedirs(self.path("usr/local/lib"))
        with open(self.path("usr/local/lib/other.so"), "wb"):
            pass
        self.make("install", f"DESTDIR={self.dir}")
        self.make("uninstall", f"DESTDIR={self.dir}")
        self.assertEqual(self.files(), ["/usr/local/lib/other.so"])

    def test_unknown_variant(self):
        for bad in "fast", "":
            result = run("make", "-C", ROOT, "BUILD=" + bad, "help")
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"BUILD={bad}: not one of release debug asan ubsan "
                          "cov", result.stderr)

    def test_unknown_architecture(self):
        result = run("make", "-C", ROOT, "ARCH=vax", "help")
        self.assertEqual(result.returncode, 2)
        self.assertIn("no port for ARCH=vax", result.stderr)

    def test_help_names_every_target(self):
        out = run("make", "-C", ROOT, "help").stdout
        for target in ("all", "check", "demo", "bench", "soak", "coverage",
                       "lint", "format", "install", "uninstall", "deps",
                       "clean", "help"):
            self.assertRegex(out, f"(?m)^  make {target} +[a-z]")

    def test_built(self):
        for path in LIBRARY, GMPRUN:
            self.assertTrue(os.access(path, os.X_OK), path)


class Deps(Case):
    """tools/deps, with stand-ins for the package tools."""

    def deps(self, *packages, have="", known=""):
        log = self.path("log")
        with open(log, "w", encoding="ascii"):
            pass
        self.script("dpkg-query", f"for p in {have}; do "
                    "echo \"$p installed\"; done",
                    "echo half half-configured", "exit 1")
        self.script("apt-get", f"echo apt-get $RUNLEVEL $SYSTEMD_OFFLINE "
                    f"$DEBIAN_FRONTEND \"$@\" >>{log}")
        self.script("apt-cache", f"for p in {known}; do "
                    "case $3 in $p) exit 0 ;; esac; done", "exit 100")
        self.script("dpkg", "echo /lib/systemd/system/$2.service",
                    "echo /usr/lib/systemd/system/$2@.service",
                    "echo /usr/bin/$2")
        self.script("systemctl", f"echo systemctl \"$@\" >>{log}")
        self.script("id", "echo 0")
        path = self.dir + ":" + os.environ["PATH"]
        result = run(DEPS, *packages, env=environment(PATH=path))
        with open(log, encoding="ascii") as f:
            return result, f.read().splitlines()

    def test_nothing_missing(self):
        result, log = self.deps("a", "b", have="a b c")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (0, "", ""))
        self.assertEqual(log, [])

    def test_installs_what_is_missing_and_starts_nothing(self):
        result, log = self.deps("a", "b", "half", have="a", known="a b half")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("apt-get 1 1 noninteractive", log[0])
        self.assertTrue(log[0].endswith(" update"), log)
        self.assertTrue(log[1].endswith(
            " install -y --no-install-recommends b half"), log)
        self.assertEqual(log[2:], [
            "systemctl --quiet disable b.service",
            "systemctl --quiet disable half.service"])

    def test_name_that_is_part_of_another(self):
        _, log = self.deps("gcc", have="gcc-12", known="gcc")
        self.assertTrue(log[1].endswith(" gcc"), log)

    def test_package_that_the_release_lacks(self):
        result, log = self.deps("a", "b", have="a")
        self.assertEqual(result.returncode, 0)
        self.assertIn("this release has no package b", result.stderr)
        self.assertEqual(len(log), 1)

    def test_here_and_now_nothing_is_missing(self):
        result = run(DEPS, "gcc", "make", "python3",
                     env=environment(PATH="/usr/bin:/bin"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))


class Check(Case):
    """tests/lib/check, the summing up."""

    def check(self, *parts, limit="60"):
        result = run(CHECK, "-t", limit, *parts)
        return result.returncode, result.stdout

    def test_sum(self):
        a = self.script("a", "echo 3 passed, 0 failed")
        b = self.script("b", "echo text; printf '4 passed, 0 failed'")
        status, out = self.check(a, b + " argument")
        self.assertEqual(status, 0)
        self.assertTrue(out.endswith("\n7 passed, 0 failed\n"), out)
        self.assertIn("text\n", out)

    def test_failures(self):
        a = self.script("a", "echo 3 passed, 2 failed; exit 1")
        status, out = self.check(a)
        self.assertEqual(status, 1)
        self.assertTrue(out.endswith("\n3 passed, 2 failed\n"), out)
        self.assertIn(f"  {a}: 2 failed\n", out)

    def test_only_the_last_count_is_the_parts(self):
        a = self.script("a", "echo 1 passed, 1 failed",
                        "echo 5 passed, 0 failed")
        self.assertEqual(self.check(a)[0], 0)

    def test_criterion(self):
        line = ("[====] Synthesis: Tested: 5 | Passing: 3 | Failing: 2 "
                "| Crashing: 1 ")
        a = self.script("a", f"echo '{line}' >&2; exit 1")
        self.assertTrue(self.check(a)[1].endswith("\n3 passed, 2 failed\n"))

    def test_what_counts_nothing_has_failed(self):
        for line in "exit 0", "kill -SEGV $$", "echo x 3 passed, 0 failed":
            with self.subTest(line):
                a = self.script("a", line)
                status, out = self.check(a)
                self.assertEqual(status, 1)
                self.assertTrue(out.endswith("\n0 passed, 1 failed\n"), out)

    def test_status_without_failures(self):
        a = self.script("a", "echo 3 passed, 0 failed; exit 1")
        self.assertTrue(self.check(a)[1].endswith("\n3 passed, 1 failed\n"))

    def test_missing_part(self):
        status, out = self.check(self.path("none"))
        self.assertEqual(status, 1)
        self.assertIn("No such file", out)

    def test_part_that_hangs(self):
        a = self.script("a", "echo 3 passed, 0 failed; exec sleep 100")
        status, out = self.check(a, limit="2")
        self.assertEqual(status, 1)
        self.assertIn("not finished after 2 seconds", out)

    def test_part_that_leaves_a_process_behind(self):
        a = self.script("a", "sleep 6 & echo 3 passed, 0 failed")
        self.assertTrue(self.check(a)[1].endswith("\n3 passed, 0 failed\n"))
