"""Stacks of threads in known states, as gmp-top shows them, and what becomes of the
program that is looked at."""

import json
import os
import resource
import select
import shutil
import subprocess
import tempfile
import time
import unittest

from built import LIBRARY, OUT, ROOT, environment, run

GMPTOP = os.path.join(OUT, "gmp-top")
SOURCES = os.path.join(ROOT, "tests", "tools", "stacks")
MODES = ({"GMPPROCS": "2"}, {"GMPPROCS": "1"},
         {"GMPPROCS": "8", "GMPDEBUG": "randomize=7"}, {"GMP_MODE": "bound"})


def setUpModule():
    global top, states, module
    top = tempfile.mkdtemp(prefix="stacks-")
    states, module = built("states.c"), os.path.join(top, "module.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", module,
                    os.path.join(SOURCES, "module.c")], check=True)


def tearDownModule():
    shutil.rmtree(top)


def built(source):
    """The path of the program that a file of SOURCES is."""
    compilers = {".c": ["gcc", "-O2", "-Wall", "-Wextra", "-Werror"],
                 ".cc": ["g++", "-O2", "-Wall", "-Wextra", "-Werror"],
                 ".rs": ["rustc", "-g"]}
    path = os.path.join(top, source.replace(".", "_") )
    subprocess.run(compilers[os.path.splitext(source)[1]] +
                   ["-o", path, os.path.join(SOURCES, source)], check=True)
    return path


class Program:
    """A preloaded program that has said that it is ready."""

    def __init__(self, *command, stderr=None, **env):
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr, env=environment(LD_PRELOAD=LIBRARY, **env))
        if (not select.select([self.process.stdout], [], [], 20)[0] or
                self.process.stdout.readline() != b"ready\n"):
            self.close()
            raise AssertionError(f"{command} is not ready")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def cpu(self):
        """Seconds of CPU time, of it and of the tools that have looked: of a
        busy machine a clock would tell nothing.
        """
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        # clock_getcpuclockid(3), which Python has only for its threads.
        return time.clock_gettime((~self.process.pid << 3) | 2) + \
            used.ru_utime + used.ru_stime

    def look(self):
        """gmp-top's object, or None when the program has gone."""
        said = run(GMPTOP, "--json", "--once", "--stacks",
                   str(self.process.pid))
        return json.loads(said.stdout) if said.returncode == 0 else None

    def stacks(self):
        """{name: [function...]}, without the underscores of aliases"""
        return {g["name"]: [f.get("function", "?").split("+")[0].lstrip("_")
                            for f in g.get("stack", ())]
                for g in self.look()["gs"]}


# What has to be on the stack of the thread of that name, in this order.  The last
# is the outermost.
WANTED = {
    "holder": ["forever", "holds"],
    "mutex": ["wants_mutex"],
    "rwlock": ["wants_rwlock"],
    "write": ["wants_to_write"],
    "left": ["wants_right"],
    "right": ["wants_left"],
    "cond1": ["waits_cond"],
    "cond2": ["waits_cond"],
    "pipe": ["reads_pipe"],
    "sleep": ["sleeps_long"],
    "raw": ["raw_sleep", "sleeps_raw"],
    "child": ["waits_child"],
    "compute": ["count", "computes"],
    "handler": ["forever", "on_signal", "count", "interrupted", "handles"],
    "altstack": ["forever", "on_signal", "count", "interrupted",
                 "handles_elsewhere"],
    "malloc": ["forever", "on_signal", "allocates"],
    "loader": ["forever", "on_module", "dl_iterate_phdr", "holds_loader"],
    "jit": ["forever", "runs_jitted"],
    "spoilt": ["spoil", "is_spoilt"],
    "nostack": ["has_no_stack"],
}
# A handler there needs a stack; and of a call that nobody announces the caller's
# frame pointer is not known.
NOTBOUND = {"nostack", "pipe", "child"}


def within(wanted, functions):
    rest = iter(functions)
    return all(any(f == w for f in rest) for w in wanted)


def good(name, functions):
    return functions and within(WANTED[name], functions) and (
        name in ("spoilt", "nostack") or functions[-1] == WANTED[name][-1])


class States(unittest.TestCase):
    """Every state, in one process."""

    def check(self, program, names, mode):
        """On a busy machine some threads come to their states late."""
        deadline = time.monotonic() + 20
        while True:
            stacks = program.stacks()
            wrong = {name: stacks.get(name) for name in names
                     if not good(name, stacks.get(name))}
            if not wrong:
                return stacks
            self.assertLess(time.monotonic(), deadline, f"{mode}: {wrong}")
            time.sleep(0.2)

    def test_states(self):
        for mode in MODES:
            names, argument = set(WANTED), ["nostack"]
            if "GMP_MODE" in mode:
                names -= NOTBOUND
                argument = []
            with Program(states, *argument, **mode) as program:
                for _ in range(3):
                    stacks = self.check(program, names, mode)
            self.assertEqual(stacks["deep"][-1], "recurse")
            self.assertLessEqual(len(stacks["deep"]), 64)

    def test_stripped(self):
        """Without names the stacks are as deep, and say where."""
        stripped = os.path.join(top, "stripped")
        subprocess.run(["strip", "-o", stripped, states], check=True)
        places = []
        for path in states, stripped:
            with Program(path) as program:
                gs = {g["name"]: g for g in program.look()["gs"]}
                places.append([
                    [f["place"].rsplit("+", 1)[1] for f in gs[name]["stack"]
                     if f.get("place", "").startswith(path + "+")]
                    for name in ("mutex", "pipe", "deep")])
        self.assertEqual(places[0], places[1])
        self.assertTrue(all(places[0]))


class Languages(unittest.TestCase):
    def functions(self, source):
        """The stacks of all threads, each a list of functions."""
        with Program(built(source)) as program:
            return [[f.get("function", "?") for f in g.get("stack", ())]
                    for g in program.look()["gs"]]

    def test_cxx(self):
        stacks = self.functions("states.cc")
        for wanted in (["Waiter::wait", "Waiter::wait"],
                       ["Waiter::wait", "Waiter::wait", "~Ends", "throws"]):
            self.assertTrue(any(
                within(wanted, [next((w for w in wanted if w in f), f)
                                for f in stack]) for stack in stacks),
                f"{wanted} in {stacks}")

    @unittest.skipUnless(shutil.which("rustc"), "no rustc")
    def test_rust(self):
        functions = " ".join(sum(self.functions("states.rs"), []))
        self.assertIn("waits_for_lock", functions)
        self.assertIn("waits_for_word", functions)


class Process(unittest.TestCase):
    """What becomes of it."""

    def test_many(self):
        """Ten thousand threads in two seconds, and the program goes on."""
        with Program(states, "many", "10000") as program:
            took = []
            while not took or min(took) >= 2 and len(took) < 8:
                begin = program.cpu()
                seen = program.look()
                took.append(program.cpu() - begin)
            self.assertIsNone(program.process.poll())
        walked = [g for g in seen["gs"] if "waits_cond" in
                  [f.get("function", "?").split("+")[0]
                   for f in g.get("stack", ())]]
        self.assertEqual(len(walked), 10000)
        self.assertLess(min(took), 2)

    def test_storm(self):
        """While threads switch, end, fork, load and unload."""
        for mode in MODES:
            with Program(states, "storm", "1", module, **mode) as program:
                looks = walked = 0
                while program.process.poll() is None:
                    seen = program.look()
                    if seen is None:
                        continue
                    looks += 1
                    walked += sum(bool(g.get("stack")) for g in seen["gs"])
                self.assertEqual(program.process.returncode, 0, mode)
            self.assertGreater(looks, 0)
            self.assertGreater(walked, looks)


if __name__ == "__main__":
    unittest.main()
