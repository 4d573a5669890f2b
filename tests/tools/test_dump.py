"""Dumps of all threads on stderr: who asks for them, what is in them, and what
becomes of the program."""

import fcntl
import json
import os
import select
import signal
import subprocess
import time
import unittest

import test_stacks
from built import LIBRARY, environment, run
from test_stacks import WANTED, within

MODES = ({"GMPPROCS": "2"}, {"GMPPROCS": "1"}, {"GMP_MODE": "bound"})
REASONS = {
    "holder": "semaphore", "mutex": "mutex", "rwlock": "rwlock",
    "write": "rwlock", "left": "mutex", "right": "mutex", "cond1": "condition variable",
}

# ends HOW: a process with a thread, whose end depends on a signal, or never comes.
ENDS_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int ends[2];
static atomic_int nwaiting;

static void *
waits_forever(void *arg)
{
	nwaiting++;
	pthread_mutex_lock(&m);
	return arg;
}

static void *
nests(void *arg)
{
	pthread_t t;

	if (arg == NULL)
		return waits_forever(arg);
	pthread_create(&t, NULL, nests, (char *)arg - 1);
	pthread_join(t, NULL);
	return arg;
}

/* Until so many are about to; what is left of the way takes no time. */
static void
await_waiting(int n)
{
	while (nwaiting < n)
		usleep(1000);
	usleep(100000);
}

static volatile unsigned long n;

static __attribute__((noinline)) void
count(void)
{
	for (;;)
		n++;
}

/* A child of ours sends it to the process, which the main thread gets. */
static int
quit_comes(void)
{
	int pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(0, ~0u, 0);
		usleep(200000);
		kill(getppid(), SIGQUIT);
		sleep(20);
		_exit(1);
	}
	return pid;
}

static void
handler(int sig)
{
	(void)!write(2, "handled\n", 8);
	_exit(sig);
}

/* The function at this offset of the library. */
static void
call(const char *offset)
{
	FILE *f = fopen("/proc/self/maps", "r");
	void (*fn)(const char *);
	char line[512];

	while (fgets(line, sizeof(line), f) && !strstr(line, "libgmpthread.so"))
		;
	fn = (void (*)(const char *))(strtoul(line, NULL, 16) +
	    strtoul(offset, NULL, 16));
	fn("a test");
}

int
main(int argc, char **argv)
{
	pthread_t t;
	int status;

	if (argc < 2 || pipe(ends) != 0)
		return 1;
	pthread_mutex_lock(&m);
	pthread_create(&t, NULL, waits_forever, NULL);
	await_waiting(1);
	if (strcmp(argv[1], "handles") == 0)
		signal(SIGQUIT, handler);
	if (strcmp(argv[1], "ignores") == 0)
		signal(SIGQUIT, SIG_IGN);
	if (strcmp(argv[1], "resets") == 0) {
		signal(SIGQUIT, handler);
		signal(SIGQUIT, SIG_DFL);
	}
	if (strcmp(argv[1], "nests") == 0) {
		pthread_create(&t, NULL, nests,
		    (void *)atol(argc > 2 ? argv[2] : "3"));
		await_waiting(2);
	}
	if (strncmp(argv[1], "forks", 5) == 0 && fork() != 0) {
		wait(&status);
		_exit(WIFSIGNALED(status) ? WTERMSIG(status) : 9);
	}
	if (strcmp(argv[1], "forks-makes") == 0) {
		pthread_create(&t, NULL, waits_forever, NULL);
		await_waiting(2);
	}
	if (strcmp(argv[1], "deadlocks") == 0)
		pthread_join(t, NULL);
	if (strcmp(argv[1], "calls") == 0)
		call(argv[2]);
	if (strcmp(argv[1], "counts") == 0 && quit_comes() != 0)
		count();
	if (strcmp(argv[1], "waits") == 0)
		waitpid(quit_comes(), &status, 0);
	if (strcmp(argv[1], "reads") == 0)
		(void)!read(quit_comes() ? ends[0] : -1, argv[1], 1);
	if (strcmp(argv[1], "locks") == 0 && quit_comes() != 0)
		pthread_mutex_lock(&m);
	if (strcmp(argv[1], "opens") == 0) {
		close(2);
		(void)!write(open(argv[2], O_RDWR | O_CREAT, 0600), "data", 4);
	}
	if (strcmp(argv[1], "logs") == 0)
		(void)!freopen(argv[2], argv[3], stderr);
	if (strcmp(argv[1], "execs") == 0)
		execl(argv[0], argv[0], "raises", NULL);
	if (strcmp(argv[1], "kills") == 0) {
		pthread_kill(t, SIGQUIT);
		sleep(20);
	}
	raise(SIGQUIT);
	_exit(7);
}
"""


def setUpModule():
    global ends
    test_stacks.setUpModule()
    ends = os.path.join(test_stacks.top, "ends")
    subprocess.run(["gcc", "-O1", "-x", "c", "-o", ends, "-"], check=True,
                   input=ENDS_SOURCE.encode())


def tearDownModule():
    test_stacks.tearDownModule()


class Program(test_stacks.Program):
    """One that answers a signal."""

    def __init__(self, *command, GMPDEBUG="dump=USR1,dumpjson=1", **env):
        super().__init__(*command, stderr=subprocess.PIPE, GMPDEBUG=GMPDEBUG,
                         **env)

    def close(self):
        super().close()
        self.process.stderr.close()

    def read(self, end, seconds=20):
        """What comes on stderr until that."""
        pipe, text = self.process.stderr, b""
        deadline = time.monotonic() + seconds
        while not text.endswith(end):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise AssertionError(f"nothing more after {text[-2000:]!r}")
            more = os.read(pipe.fileno(), 1 << 16)
            if not more:
                raise AssertionError(f"it has ended after {text[-2000:]!r}")
            text += more
        return text.decode()

    def dump(self, sig=signal.SIGUSR1, end=b"]}\n"):
        self.process.send_signal(sig)
        return self.read(end)

    def threads(self):
        """{name: (thread, [function...])} of a dump, and that itself."""
        dumped = json.loads(self.dump())
        stacks = [[f.get("function", "?").split(".")[0] for f in s if "pc" in f]
                  for s in dumped["stacks"]]
        return {t["name"]: (t, stacks[t["stack"]])
                for t in dumped["threads"]}, dumped


class States(unittest.TestCase):
    """Every state, in one process."""

    def check(self, program, mode):
        names = set(WANTED) - {"nostack"}
        if "GMP_MODE" in mode:
            names -= test_stacks.NOTBOUND
        deadline = time.monotonic() + 20
        while True:
            threads, dumped = program.threads()
            wrong = {name: threads.get(name) for name in names
                     if not test_stacks.good(name,
                                             threads.get(name, (0, 0))[1]) or
                     threads[name][0].get("reason") != REASONS.get(
                         name, threads[name][0].get("reason"))}
            # The cycle is looked for a tenth of a second after the waits.
            if not wrong and dumped["deadlocks"]:
                return threads, dumped
            self.assertLess(time.monotonic(), deadline, f"{mode}: {wrong}")
            time.sleep(0.2)

    def test_states(self):
        for mode in MODES:
            with self.subTest(mode=mode), \
                    Program(test_stacks.states, **mode) as program:
                threads, dumped = self.check(program, mode)
                self.assertEqual(dumped["pid"], program.process.pid)
                ids = {n: thread["id"] for n, (thread, _) in threads.items()}
                self.assertEqual(threads["mutex"][0]["owner"], ids["holder"])
                self.assertEqual(threads["rwlock"][0]["owner"], ids["holder"])
                self.assertEqual(threads["write"][0].get("readers"), 1)
                # What a kernel thread waits in for itself is not known to us.
                if "GMP_MODE" not in mode:
                    self.assertGreater(
                        threads["child"][0].get("waits_ms", 0), 0)
                self.assertEqual(
                    [sorted(c) for c in dumped["deadlocks"]],
                    [sorted([ids["left"], ids["right"]])])
                self.assertEqual(threads["deep"][1][-1], "recurse")
                self.assertGreater(len(threads["deep"][1]), 50)
                self.assertEqual(threads["deep"][0]["start"], "recurses")
                self.assertEqual(threads["cond1"][0]["stack"],
                                 threads["cond2"][0]["stack"])
                self.assertEqual(threads["mutex"][0]["creator"],
                                 ids[program.process.args[0].rsplit("/")[-1]])

    def test_text(self):
        with Program(test_stacks.states, GMPDEBUG="dump=SIGUSR1") as program:
            deadline, text = time.monotonic() + 20, ""
            while '"loader"' not in text and time.monotonic() < deadline:
                time.sleep(0.2)
                text = program.dump(end=b"\n\n")
                while "deadlock: " not in text:
                    text += program.read(b"\n\n")
        self.assertRegex(text, r"^libgmpthread: process \d+, \d+ threads\n\n")
        self.assertRegex(
            text, r'\ngoroutine \d+ "mutex" tid \d+ \[mutex 0x[0-9a-f]+ '
            r'held by \d+ "holder"\]:\n(\t.*\n)*'
            r"\twants_mutex\+0x[0-9a-f]+ \(.*/states_c\+0x[0-9a-f]+\)\n"
            r"started at wants_mutex \(.*\)\n"
            r"created by start\S* \(.*\) in goroutine \d+\n\n")
        self.assertRegex(text, r'\n2 goroutines \d+ "cond1", \d+ "cond2" '
                         r"\[condition variable 0x[0-9a-f]+\]:\n")
        self.assertRegex(text, r'"pipe" tid \d+ \[descriptor \d+\]:')
        self.assertRegex(text, r"\trecurse.*\n\t\(\d+ times more\)\n\t\.\.\.\n")
        self.assertRegex(text, r'\ndeadlock: \d+ "left" waits for mutex 0x\w+ '
                         r'held by \d+ "right", \d+ "right" waits for mutex '
                         r'0x\w+ held by \d+ "left"\n\n$')

    def test_stripped(self):
        """Without names the stacks are as deep, and say where."""
        stripped = os.path.join(test_stacks.top, "stripped")
        subprocess.run(["strip", "-o", stripped, test_stacks.states],
                       check=True)
        places = []
        for path in test_stacks.states, stripped:
            with Program(path) as program:
                threads, dumped = program.threads()
                places.append([
                    [f["at"] for f in
                     dumped["stacks"][threads[name][0]["stack"]]
                     if f.get("file") == path]
                    for name in ("mutex", "deep")])
        self.assertEqual(places[0], places[1])
        self.assertTrue(all(places[0]))


class Ends(unittest.TestCase):
    """What ends the process, and how; natively, too."""

    def both(self, how, status, mode=None, GMPDEBUG=None):
        native = run(ends, how, env=environment())
        self.assertEqual(native.returncode, status)
        r = run(ends, how, env=environment(
            LD_PRELOAD=LIBRARY, GMPDEBUG=GMPDEBUG, **mode or {}))
        self.assertEqual(r.returncode, status, r.stderr)
        return native.stderr, r.stderr

    def test_quit(self):
        """It dies where it would have, with everything said before."""
        for mode in MODES:
            for how in "raises", "kills", "resets", "execs":
                with self.subTest(how=how, mode=mode):
                    text = self.both(how, -signal.SIGQUIT, mode)[1]
                    self.assertRegex(text, r"process \d+, 2 threads\n")
                    if how != "kills":
                        self.assertRegex(text, r"\[mutex 0x\w+ held by ")
                    self.assertRegex(text, r"\twaits_forever\+")
                    self.assertTrue(text.endswith("\n\n"))
                    if how == "raises":
                        self.assertRegex(text, r"\t(raise|gsignal)\+.*\n\tmain\+")

    def test_as_it_was(self):
        """The thread that the signal hits."""
        for mode in MODES:
            call = "in the kernel" if "GMP_MODE" in mode else "system call"
            for how, state, function in (
                    ("counts", "running", "count"),
                    ("waits", call, r"\w*wait(pid|4)"),
                    ("reads", r"(in the kernel|descriptor \d+)", r"\w*read"),
                    ("locks", r"mutex 0x\w+ held by \d+ \"ends\"",
                     "pthread_mutex_lock")):
                with self.subTest(how=how, mode=mode):
                    text = self.both(how, -signal.SIGQUIT, mode)[1]
                    self.assertRegex(
                        text, rf'"ends" tid \d+ \[{state}(, bound)?\]:\n'
                        rf"\t{function}(\+\S*)? \(.*\n"
                        r"(\t.*read.*\n)?\tmain\+\S* \(.*\n\n")

    def test_child(self):
        """That of fork() has nothing to show until it makes a thread."""
        for mode in MODES:
            text = self.both("forks-only", signal.SIGQUIT, mode)[1]
            self.assertEqual(text, "")
            text = self.both("forks-makes", signal.SIGQUIT, mode)[1]
            self.assertRegex(text, r"process \d+, 2 threads\n")
            # By the parent's main thread, which is not the child's.
            self.assertRegex(text, r"\[mutex 0x[0-9a-f]+[],]")
            self.assertTrue(text.endswith("\n\n"))

    def test_stderr(self):
        """What is opened in its place is the program's data, unless for text."""
        path = os.path.join(test_stacks.top, "opened")
        for how, wanted in (["opens"], r"^data$"), (["logs", "w"], r"\n\n$"), \
                (["logs", "a+"], r"\n\n$"):
            r = run(ends, how[0], path, *how[1:],
                    env=environment(LD_PRELOAD=LIBRARY))
            self.assertEqual((r.returncode, r.stderr), (-signal.SIGQUIT, ""))
            with open(path, encoding="utf-8") as f:
                self.assertRegex(f.read(), wanted)
            os.remove(path)

    def test_slow_reader(self):
        """Of a pipe that never blocks the writer, too, and holds a part."""
        pipe, end = os.pipe()
        os.set_blocking(end, False)
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
        with subprocess.Popen(
                [ends, "nests", "20"], stdin=subprocess.DEVNULL, stderr=end,
                env=environment(LD_PRELOAD=LIBRARY,
                                GMPDEBUG="tracebackancestors=20")) as process:
            os.close(end)
            text = b""
            while more := os.read(pipe, 256):
                text += more
                time.sleep(0.001)
            os.close(pipe)
            self.assertEqual(process.wait(), -signal.SIGQUIT)
        self.assertEqual(text.count(b"\ngoroutine "), 23)
        self.assertTrue(text.endswith(b"\n\n"))

    def test_left_alone(self):
        for how, status in ("handles", signal.SIGQUIT), ("ignores", 7):
            native, text = self.both(how, status)
            self.assertEqual(native, text)
        self.assertEqual(self.both("raises", -signal.SIGQUIT,
                                   GMPDEBUG="dump=0")[1], "")

    def test_wrong(self):
        for value in "KILL", "SEGV", "NONE", "33", "64", "":
            r = run(ends, "ignores", env=environment(
                LD_PRELOAD=LIBRARY, GMPDEBUG=f"dump={value}"))
            self.assertIn("dump=SIGNAL", r.stderr)

    def test_checkdead(self):
        r = run(ends, "deadlocks", env=environment(
            LD_PRELOAD=LIBRARY, GMPDEBUG="checkdead=1"))
        self.assertEqual(r.returncode, 2)
        self.assertRegex(r.stderr, r"\t\w*join\w*\+.*\n\tmain\+")
        self.assertRegex(r.stderr, r"\[join of \d+ \"ends\"\]")
        self.assertRegex(r.stderr, r"deadlock: \d+ \"ends\" waits for ")

    def test_ancestors(self):
        """Who made who made it, each with the stack that it had then."""
        for mode in MODES:
            for n in range(4):
                debug = f"dumpjson=1,tracebackancestors={n}"
                text = self.both("nests", -signal.SIGQUIT, mode, debug)[1]
                dumped = json.loads(text)
                threads = sorted(dumped["threads"], key=lambda t: t["id"])
                self.assertEqual(len(threads), 6)
                # main, waits_forever, and nests in nests in nests in nests
                ids = [threads[0]["id"]] + [t["id"] for t in threads[2:]]
                got = threads[-1].get("ancestors", [])
                self.assertEqual([a["id"] for a in got],
                                 ids[-2::-1][:n] if n else [])
                stacks = [[f.get("function") for f in dumped["stacks"]
                           [a["stack"]]][1:2] for a in got]
                self.assertEqual(stacks, [["nests"]] * n)
                if n == 2:
                    self.assertEqual(
                        [len(t.get("ancestors", ())) for t in threads],
                        [0, 1, 1, 2, 2, 2])
        text = self.both("nests", -signal.SIGQUIT, {},
                         "tracebackancestors=1")[1]
        self.assertRegex(
            text, r"created by nests\+.* in goroutine (\d+)\n"
            r"\[originating from goroutine \1\]:\n"
            r"\t\w*create\+.*\n\tnests\+")

    def test_throw(self):
        """The library has found a fault of its own."""
        throw = next(line.split()[0] for line in
                     run("nm", LIBRARY).stdout.splitlines()
                     if line.endswith(" throw"))
        for mode in MODES:
            r = run(ends, "calls", throw, env=environment(
                LD_PRELOAD=LIBRARY, **mode))
            self.assertEqual(r.returncode, -signal.SIGABRT)
            self.assertIn("libgmpthread: fatal: a test\n", r.stderr)
            self.assertRegex(r.stderr, r"process \d+, 2 threads\n")
            self.assertRegex(r.stderr, r"\tcall\+.*\n\tmain\+")
            self.assertRegex(r.stderr, r"\[mutex 0x[0-9a-f]+ held by ")


class Process(unittest.TestCase):
    """What becomes of it while it goes on."""

    def test_many(self):
        """Ten thousand threads in two seconds."""
        with Program(test_stacks.states, "many", "10000") as program:
            took = []
            while not took or min(took) >= 2 and len(took) < 8:
                begin = program.cpu()
                dumped = json.loads(program.dump())
                took.append(program.cpu() - begin)
            self.assertIsNone(program.process.poll())
        functions = [[f.get("function") for f in s] for s in dumped["stacks"]]
        walked = [t for t in dumped["threads"]
                  if "waits_cond" in functions[t["stack"]]]
        self.assertEqual(len(walked), 10000)
        self.assertLess(min(took), 2)

    def test_compiled(self):
        """Through code that nobody has described."""
        source = """const {Worker, isMainThread} = require("worker_threads");
            const nested = n => { if (n > 0) nested(n - 1); else for (;;); };
            if (!isMainThread) nested(30);
            new Worker(process.argv[1]);
            setTimeout(() => console.log("ready"), 500);
            setInterval(() => 0, 1000);"""
        path = os.path.join(test_stacks.top, "nested.js")
        with open(path, "w", encoding="utf-8") as f:
            f.write(source)
        with Program("node", path, GMPDEBUG="dump=40,dumpjson=1") as program:
            deadline, walked = time.monotonic() + 20, False
            while not walked and time.monotonic() < deadline:
                dumped = json.loads(program.dump(sig=40))
                walked = any(
                    len(s) > 30 and "Worker" in s[-1].get("function", "")
                    for s in dumped["stacks"])
        self.assertTrue(walked, dumped)

    def test_storm(self):
        """While threads switch, end, fork, load and unload."""
        for mode in MODES:
            text = b""
            with Program(test_stacks.states, "storm", "1", test_stacks.module,
                         **mode) as program:
                pipe = program.process.stderr
                while program.process.poll() is None:
                    program.process.send_signal(signal.SIGUSR1)
                    while select.select([pipe], [], [], 0.02)[0]:
                        more = os.read(pipe.fileno(), 1 << 16)
                        if not more:
                            break
                        text += more
                self.assertEqual(program.process.returncode, 0, mode)
            # The end of the process may cut the last one short.
            dumps = text.decode().split("]}\n")[:-1]
            names = {}
            for dumped in dumps:
                self.one_of_storm(json.loads(dumped + "]}"), names)
            self.assertGreater(len(dumps), 3)

    def one_of_storm(self, dumped, names):
        """Of the functions that threads begin with each has its own alone; the
        same place has the same name in all dumps."""
        starts = {t["start"] for t in dumped["threads"] if "start" in t}
        for thread in dumped["threads"]:
            stack = dumped["stacks"][thread["stack"]]
            begun = {f.get("function") for f in stack} & starts
            self.assertLessEqual(begun, {thread.get("start")}, thread)
            for f in stack:
                if "function" in f and f["file"] != test_stacks.module:
                    place = f["file"], int(f["at"], 16) - f["offset"]
                    self.assertEqual(names.setdefault(place, f["function"]),
                                     f["function"])

    def test_descriptors(self):
        """The program's are as they were, its stdout is not kept open."""
        with Program(test_stacks.states) as program:
            fds = f"/proc/{program.process.pid}/fd"
            before = {fd: os.readlink(os.path.join(fds, fd))
                      for fd in os.listdir(fds)}
            program.threads()
            self.assertEqual(before, {fd: os.readlink(os.path.join(fds, fd))
                                      for fd in os.listdir(fds)})


if __name__ == "__main__":
    unittest.main()
