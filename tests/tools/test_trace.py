"""gmprun --trace: what the trace says of programs that did a known number of known
things, and that the program is none the wiser.

The watcher has gmprun's standard error open, so that run() returns when the file is
written.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from built import GMPRUN, OUT, environment, run
from perfetto import Trace

GMPTOP = os.path.join(OUT, "gmp-top")

PROGRAM_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turns = PTHREAD_COND_INITIALIZER;
static int turn, passes;
static atomic_int stop, there;

static void *
plays(void *arg)
{
	int self = (int)(long)arg, i;

	pthread_setname_np(pthread_self(), self ? "pong" : "ping");
	pthread_mutex_lock(&m);
	for (i = 0; i < passes; i++) {
		while (turn != self)
			pthread_cond_wait(&turns, &m);
		turn = !self;
		pthread_cond_signal(&turns);
	}
	pthread_mutex_unlock(&m);
	return NULL;
}

static void *
calls(void *arg)
{
	char c;
	int i;

	for (i = 0; i < (int)(long)arg; i++)
		getrandom(&c, 1, 0);
	return NULL;
}

static void *
receives(void *arg)
{
	mqd_t q = mq_open("/gmpthread-trace", O_CREAT | O_RDWR, 0600, NULL);
	char buf[8192];

	mq_unlink("/gmpthread-trace");
	mq_receive(q, buf, sizeof(buf), NULL);
	return arg;
}

static void *
commands(void *arg)
{
	system("sleep 0.1");
	system("sleep 60");
	return arg;
}

static void *
yields(void *arg)
{
	int i;

	for (i = 0; i < (int)(long)arg; i++)
		sched_yield();
	return NULL;
}

static void *
computes(void *arg)
{
	pthread_setname_np(pthread_self(), "computes");
	there++;
	while (!stop)
		;
	return arg;
}

static void *
naps(void *arg)
{
	pthread_setname_np(pthread_self(), "naps");
	puts("ready");
	fflush(stdout);
	for (;;)
		usleep(1000);
	return arg;
}

static void
on_signal(int sig)
{
	(void)sig;
	sched_yield();
}

static void *
signalled(void *arg)
{
	while (!stop)
		sched_yield();
	return arg;
}

static void
pair(void *(*fn)(void *), long a, long b)
{
	pthread_t t[2];

	pthread_create(&t[0], NULL, fn, (void *)a);
	pthread_create(&t[1], NULL, fn, (void *)b);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

int
main(int argc, char **argv)
{
	const char *what = argv[1];
	int n = argc > 2 ? atoi(argv[2]) : 0, i;
	pthread_t t;

	if (strcmp(what, "create") == 0) {
		for (i = 0; i < n; i++) {
			pthread_create(&t, NULL, calls, NULL);
			pthread_join(t, NULL);
		}
	} else if (strcmp(what, "play") == 0) {
		passes = n;
		pair(plays, 0, 1);
	} else if (strcmp(what, "call") == 0) {
		pair(calls, n, n);
	} else if (strcmp(what, "yield") == 0) {
		pair(yields, n, n);
	} else if (strcmp(what, "compute") == 0) {
		for (i = 0; i < n; i++)
			pthread_create(&t, NULL, computes, NULL);
		while (there < n)
			usleep(1000);
		usleep(100000);
		stop = 1;
		pthread_join(t, NULL);
	} else if (strcmp(what, "kill") == 0) {
		pair(calls, 1, 1);
		kill(getpid(), n);
		for (;;)
			pause();
	} else if (strcmp(what, "stuck") == 0) {
		setpgid(0, 0);
		pthread_create(&t, NULL, receives, NULL);
		pthread_create(&t, NULL, commands, NULL);
		usleep(300000);
		kill(0, SIGKILL);
	} else if (strcmp(what, "exec") == 0) {
		pair(calls, 1, 1);
		execl(argv[0], argv[0], "create", "5", NULL);
	} else if (strcmp(what, "fork") == 0) {
		pair(calls, 1, 1);
		for (i = 0; i < 2; i++) {
			if (fork() != 0) {
				wait(NULL);
				continue;
			}
			pair(calls, 1, 1);
			if (i == 0)
				exit(0);
			execl(argv[0], argv[0], "create", "5", NULL);
		}
	} else if (strcmp(what, "forever") == 0) {
		pthread_create(&t, NULL, computes, NULL);
		pthread_create(&t, NULL, naps, NULL);
		pthread_join(t, NULL);
	} else if (strcmp(what, "signals") == 0) {
		signal(SIGUSR1, on_signal);
		pthread_create(&t, NULL, signalled, NULL);
		for (i = 0; i < n; i++) {
			pthread_kill(t, SIGUSR1);
			sched_yield();
		}
		stop = 1;
		pthread_join(t, NULL);
	}
	_exit(argc > 3 ? atoi(argv[3]) : 0);
}
"""


class TraceCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.temp.name, "program")
        with open(cls.program + ".c", "w") as f:
            f.write(PROGRAM_SOURCE)
        r = run("gcc", "-O1", "-pthread", "-o", cls.program,
                cls.program + ".c")
        assert r.returncode == 0, r.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()

    def path(self, name="trace"):
        return os.path.join(self.temp.name, name)

    def traced(self, *args, status=0, options=(), **env):
        if os.path.exists(self.path()):
            os.remove(self.path())
        r = run(GMPRUN, *options, "--trace", self.path(), self.program, *args,
                env=environment(**env))
        self.assertEqual((r.returncode, r.stderr), (status, ""))
        trace = Trace(self.path())
        for wake, turn in trace.arrows():
            self.assertLessEqual(wake.time, turn.start)
        return trace


class Programs(TraceCase):
    def test_every_thread_is_made_and_ends(self):
        for procs in "1", "2", "8":
            trace = self.traced("create", "300", "7", status=7,
                                options=["-P", procs])
            self.assertEqual(trace.count("create"), 300)
            turns = trace.turns()
            self.assertEqual(sum(s.then == "ends" for s in turns), 300)
            # One's first turn is where the arrow of its making ends.
            made = [s for w, s in trace.arrows() if w.name == "create"]
            self.assertEqual(len(made), 300)
            names = {t.name for t in trace.tracks.values()}
            self.assertIn("P0", names)
            self.assertEqual([n for n in names if re.match(r"P\d", n)][int(
                procs):], [])

    def test_every_wait_and_wake(self):
        trace = self.traced("play", "400", options=["-P", "1"])
        for name in "ping G", "pong G":
            waits = [s for s in trace.turns(name)
                     if s.then.startswith("waits: cond 0x")]
            # Each waits for the other's turn, but for the first of all.
            self.assertGreaterEqual(len(waits), 399)
            self.assertLessEqual(len(waits), 400)
            woken = [s for w, s in trace.arrows()
                     if s.name.startswith(name) and w.name == "wake"]
            self.assertEqual(len(woken), len(waits))
        for wake, turn in trace.arrows():
            if wake.name == "wake" and turn.name.startswith("ping"):
                by = [s for s in trace.turns()
                      if s.start <= wake.time <= s.end]
                self.assertTrue(any(s.name.startswith("pong") for s in by))
        # What runs on the P runs on a kernel thread.
        on_ms = {(s.name, s.start) for s in trace.on("M")}
        for s in trace.turns("p"):
            self.assertIn((s.name, s.start), on_ms)

    def test_every_call(self):
        trace = self.traced("call", "200")
        on_ms = [s for s in trace.on("M") if s.name == "getrandom"]
        self.assertEqual(len(on_ms), 400)
        self.assertEqual({s.depth for s in on_ms}, {1})

    def test_preemption(self):
        trace = self.traced("compute", "4", options=["-P", "2"])
        turns = trace.turns("computes G")
        preempted = sum(s.then == "is preempted" for s in turns)
        self.assertGreater(preempted, 0)
        self.assertGreaterEqual(trace.count("preempt"), preempted)
        # Two at a time, all of the time: no P is ever idle for long.
        busy = sum(s.end - s.start for s in turns)
        whole = max(s.end for s in turns) - min(s.start for s in turns)
        self.assertGreater(busy / whole, 1.2)

    def test_in_handlers(self):
        trace = self.traced("signals", "2000", options=["-P", "1"])
        self.assertEqual(trace.count("create"), 1)
        self.assertGreater(len(trace.turns()), 2000)

    def test_bound(self):
        trace = self.traced("play", "2000", options=["-m", "bound"])
        self.assertEqual(trace.on("P"), [])
        turns = [s for s in trace.on("bound") if s.depth == 0]
        for name in "ping G", "pong G":
            self.assertGreater(
                sum(s.name.startswith(name) and
                    (s.then or "").startswith("waits: cond")
                    for s in turns), 10)
        self.assertEqual(trace.count("create"), 2)
        self.assertEqual(sum(s.then == "ends" for s in turns), 2)

    def test_what_does_not_fit_is_counted(self):
        r = run(GMPRUN, "-P", "1", "--trace", self.path(), self.program,
                "yield", "700000", env=environment())
        self.assertEqual(r.returncode, 0)
        n, lost = map(int, re.search(
            r": (\d+) events, (\d+) earlier ones lost", r.stderr).groups())
        self.assertGreater(lost, 0)
        # Two for each switch: one of two threads gives way to the other.
        self.assertGreaterEqual(n + lost, 2 * 2 * 700000)
        self.assertLess(n + lost, 2.1 * 2 * 700000)


class Ends(TraceCase):
    def test_killed(self):
        for sig in signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV:
            trace = self.traced("kill", str(int(sig)), status=-sig)
            self.assertEqual(trace.count("create"), 2)

    def test_calls_that_never_return(self):
        # With the command that it waits for.
        trace = self.traced("stuck", status=-signal.SIGKILL,
                            options=["-P", "1"])
        calls = {s.name: s for s in trace.on("M") if s.depth == 1}
        for name in "mq_receive", "system":
            self.assertGreater(calls[name].end - calls[name].start, 100e6)
        self.assertEqual(
            sum(s.name == "system" for s in trace.on("M")), 2)
        self.assertGreater(trace.count("handoff"), 0)

    def test_exec_goes_on_in_the_same_trace(self):
        trace = self.traced("exec")
        self.assertEqual(trace.count("create"), 2 + 5)

    def test_a_child_is_traced_when_it_calls_exec(self):
        trace = self.traced("fork")
        self.assertEqual(trace.count("create"), 2 + 5)
        pids = [t.process for t in trace.tracks.values() if t.process]
        self.assertEqual(len(pids), 2)

    def test_pid_children_and_session_are_the_program_s(self):
        script = ("echo $$; cat /proc/$$/task/$$/children; echo; "
                  "ps -o pid=,pgid=,sid= -p $$")
        p = subprocess.Popen(
            [GMPRUN, "--trace", self.path("none"), "/bin/sh", "-c",
             script],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        out, err = p.communicate(timeout=60)
        lines = out.split("\n")
        self.assertEqual(lines[0], str(p.pid))
        # cat itself.
        self.assertEqual(len(lines[1].split()), 1)
        pgid, sid = map(int, lines[2].split()[1:])
        self.assertEqual((pgid, sid), (os.getpgid(0), os.getsid(0)))
        self.assertEqual(p.returncode, 0)
        self.assertIn("no thread was made", err)
        self.assertFalse(os.path.exists(self.path("none")))

    def test_output_does_not_wait_for_the_trace(self):
        p = subprocess.Popen(
            [GMPRUN, "--trace", self.path("late"), self.program, "create",
             "5"], env=environment(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        p.communicate(timeout=60)
        end = time.monotonic() + 30
        while (not os.path.exists(self.path("late")) and
               time.monotonic() < end):
            time.sleep(0.005)
        # It is complete as soon as it is there.
        self.assertEqual(Trace(self.path("late")).count("create"), 5)

    def test_what_cannot_be(self):
        r = run(GMPRUN, "--trace", "/nowhere/trace", self.program, "create")
        self.assertEqual(r.returncode, 125)
        self.assertEqual(
            r.stderr, "gmprun: /nowhere/trace: No such file or directory\n")
        r = run(GMPRUN, "--trace", self.temp.name, self.program, "create")
        self.assertEqual(r.returncode, 125)
        broken = self.path("broken")
        with open(broken, "wb") as f:
            f.write(b"\x7fELF" + b"\0" * 100)
        os.chmod(broken, 0o755)
        r = run(GMPRUN, "--trace", self.path("none"), broken)
        self.assertEqual(r.returncode, 126)
        self.assertEqual(r.stderr.count("\n"), 1)
        self.assertEqual(
            [n for n in os.listdir(self.temp.name) if "none" in n], [])


class Live(TraceCase):
    """gmp-top --trace, on a process that was started without."""

    def start(self):
        p = subprocess.Popen([GMPRUN, "-P", "2", self.program, "forever"],
                             env=environment(), stdout=subprocess.PIPE)
        self.addCleanup(p.communicate)
        self.addCleanup(p.kill)
        p.stdout.readline()
        end = time.monotonic() + 30
        while (run(GMPTOP, "--once", str(p.pid)).returncode != 0 and
               time.monotonic() < end):
            pass
        return p

    def test_some_time_of_it(self):
        p = self.start()
        for i in range(2):
            r = run(GMPTOP, "--trace", self.path("live"), "-d", "0.3",
                    str(p.pid))
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertRegex(r.stdout, r": \d+ events, 0 earlier ones lost")
            trace = Trace(self.path("live"))
            # One computed all of the time, and was on its M before; on a busy
            # machine the program begins late.
            computed = sum(s.end - s.start for s in trace.turns("computes"))
            self.assertGreater(computed, 50e6)
            naps = [s for s in trace.turns("naps")
                    if s.then.startswith("waits: sleep")]
            self.assertGreater(len(naps), 5)

    def test_its_end(self):
        p = self.start()
        top = subprocess.Popen(
            [GMPTOP, "--trace", self.path("end"), "-d", "60", str(p.pid)],
            env=environment(), stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        p.kill()
        out, err = top.communicate(timeout=60)
        self.assertEqual(top.returncode, 0)
        self.assertTrue(Trace(self.path("end")).turns("naps"))

    def test_what_cannot_be(self):
        r = run(GMPTOP, "--trace", self.path("none"), str(os.getpid()))
        self.assertEqual(r.returncode, 1)
        self.assertIn("not preloaded", r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
