"""What GMPDEBUG shows of a program, beside known numbers of threads in known
states: schedtrace and scheddetail; what the start has cost: inittrace; and what
becomes of the threads' turns: randomize.
"""

import os
import re
import subprocess
import tempfile
import unittest

from built import LIBRARY, environment, run

# program MILLISECONDS [NAME N]...: so many threads of each kind, for so long.
PROGRAM_SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

static void *
locks(void *arg)
{
	pthread_mutex_lock(&m);
	return arg;
}

static void *
computes(void *arg)
{
	for (volatile long i = 0;; i++)
		;
	return arg;
}

static void *
returns(void *arg)
{
	return arg;
}

/* On a kernel thread of its own; CPUs would not do where there is one only. */
static void *
pinned(void *arg)
{
	struct sched_param param = { 0 };

	pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
	return locks(arg);
}

static void *
churns(void *arg)
{
	pthread_t t[10];

	for (;;) {
		for (int i = 0; i < 10; i++)
			pthread_create(&t[i], NULL, returns, NULL);
		for (int i = 0; i < 10; i++)
			pthread_join(t[i], NULL);
	}
	return arg;
}

static void *
forks(void *arg)
{
	pthread_t t;

	usleep(100000);
	if (fork() == 0) {
		pthread_create(&t, NULL, locks, NULL);
		usleep(200000);
		_exit(0);
	}
	wait(NULL);
	return arg;
}

static const struct {
	const char *name;
	void *(*fn)(void *);
} kinds[] = { { "locks", locks }, { "computes", computes },
	{ "churns", churns }, { "forks", forks }, { "pinned", pinned } };

int
main(int argc, char **argv)
{
	pthread_t t;

	pthread_mutex_lock(&m);
	for (int i = 2; i + 1 < argc; i += 2)
		for (int k = 0; k < 5; k++)
			if (strcmp(argv[i], kinds[k].name) == 0)
				for (int n = atoi(argv[i + 1]); n > 0; n--)
					pthread_create(&t, NULL, kinds[k].fn,
					    NULL);
	usleep(1000 * atoi(argv[1]));
	return 0;
}
"""

# Prints the turns of eight threads, which are tens of microseconds at the most.
TURNS_SOURCE = r"""
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER;
static char turns[8 * 40 + 1];
static int n, ready;

static void *
takes(void *arg)
{
	pthread_mutex_lock(&m);
	if (++ready == 8)
		pthread_cond_broadcast(&all);
	while (ready < 8)
		pthread_cond_wait(&all, &m);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 40; i++) {
		pthread_mutex_lock(&m);
		turns[n++] = 'a' + (long)arg;
		pthread_mutex_unlock(&m);
		sched_yield();
	}
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_t t[8];

	for (long i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, takes, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	puts(turns);
	fflush(stdout);
	if (argc > 1) {
		if (fork() == 0) {
			memset(turns, 0, sizeof(turns));
			n = ready = 0;
			return main(1, argv);
		}
		wait(NULL);
	}
	return 0;
}
"""

# What Go prints, as its users' scripts read it.
HEAD = (r"SCHED (?P<ms>\d+)ms: gomaxprocs=(?P<procs>\d+) "
        r"idleprocs=(?P<idle>\d+) threads=(?P<threads>\d+) "
        r"spinningthreads=(?P<spinning>\d+) needspinning=0 "
        r"idlethreads=(?P<idlethreads>\d+) runqueue=(?P<global>\d+)")
SHORT = re.compile(HEAD + r" \[(?P<queues>\d+( \d+)*)\]")
LONG = re.compile(HEAD + r" gcwaiting=\d+ stopwait=\d+ sysmonwait=\d+")
P = re.compile(r"  P(?P<id>\d+): status=(?P<status>[0-4]) schedtick=\d+ "
               r"syscalltick=\d+ m=(?P<m>\d+|nil) runqsize=(?P<queue>\d+) "
               r"gfreecnt=\d+ timerslen=(?P<timers>\d+)")
M = re.compile(r"  M(?P<id>\d+): p=(?P<p>\d+|nil) curg=(?P<g>\d+|nil) "
               r"locks=\d+ spinning=(true|false) blocked=(true|false) "
               r"lockedg=(?P<lockedg>\d+|nil) tid=(?P<tid>\d+)")
G = re.compile(r"  G(?P<id>\d+): status=(?P<status>[1-4])\((?P<why>[a-z ]*)\) "
               r"m=(?P<m>\d+|nil) lockedm=(?P<lockedm>\d+|nil)"
               r"( at=0x[0-9a-f]+)?")


class Trace:
    """The lines of one moment, with scheddetail."""

    def __init__(self, head):
        self.head, self.p, self.m, self.g = head, [], [], []


class Debugged(unittest.TestCase):
    SOURCE = PROGRAM_SOURCE

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.temp.name, "program")
        subprocess.run(["gcc", "-O1", "-pthread", "-o", cls.program, "-xc", "-"],
                       input=cls.SOURCE, text=True, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()


class Traced(Debugged):
    def start(self, arguments, stderr=subprocess.PIPE, **env):
        env.setdefault("GMPPROCS", "2")
        return subprocess.Popen(
            [self.program, *arguments.split()], stdin=subprocess.DEVNULL,
            stderr=stderr, text=True,
            env=environment(LD_PRELOAD=LIBRARY, **env))

    def run_(self, arguments, **env):
        """The lines on stderr of a run that ends well."""
        child = self.start(arguments, **env)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0, err)
        return err.splitlines()

    def match(self, pattern, line):
        found = pattern.fullmatch(line)
        self.assertIsNotNone(found, line)
        return found

    def short(self, arguments, **env):
        return [self.match(SHORT, line) for line in self.run_(arguments, **env)]

    def detailed(self, lines):
        """A list of Trace; what the end of the process has cut off is not in it."""
        traces = []
        for line in lines:
            if line.startswith("SCHED"):
                traces.append(Trace(self.match(LONG, line)))
                continue
            for pattern, where in ((P, traces[-1].p), (M, traces[-1].m),
                                   (G, traces[-1].g)):
                found = pattern.fullmatch(line)
                if found:
                    where.append(found)
                    break
            else:
                self.fail(line)
        return traces[:-1]


def total(line):
    """Gs in queues."""
    return int(line["global"]) + sum(map(int, line["queues"].split()))


class Lines(Traced):
    def test_nothing_is_said_unless_asked(self):
        self.assertEqual(self.run_("100 locks 3 computes 1"), [])
        self.assertEqual(self.run_("100 locks 3", GMPDEBUG="schedtrace=0"), [])
        self.assertEqual(self.run_("100 locks 3", GMPDEBUG="scheddetail=1"), [])

    def period(self, arguments):
        found = self.short(arguments, GMPDEBUG="schedtrace=100")
        times = [int(line["ms"]) for line in found]
        # A busy machine may leave out some, and adds none.
        self.assertGreaterEqual(len(times), 4, times)
        self.assertLessEqual(len(times), (times[-1] - times[0]) // 100 + 2,
                             times)
        return found

    def test_each_period_while_threads_run(self):
        for line in self.period("1000 computes 3"):
            self.assertEqual(line["procs"], "2")
            self.assertEqual(len(line["queues"].split()), 2)

    def test_each_period_while_everybody_sleeps(self):
        last = self.period("1000 locks 3")[-2]
        self.assertEqual((last["idle"], last["spinning"]), ("2", "0"))
        # But for one that waits for timers.
        self.assertGreaterEqual(int(last["idlethreads"]),
                                int(last["threads"]) - 1)
        self.assertEqual(total(last), 0)

    def test_queues_hold_who_has_no_turn(self):
        found = self.short("600 computes 5", GMPDEBUG="schedtrace=20",
                           GMPPROCS="1")[3:]
        # In the middle of a switch it is all five.  On a busy machine one may
        # compute without the P, as a kernel thread more.
        for line in found:
            self.assertLessEqual(total(line), 5, line[0])
            self.assertGreaterEqual(total(line), 5 - int(line["threads"]),
                                    line[0])

    def test_of_a_child_of_fork_too(self):
        found = self.short("600 forks 1", GMPDEBUG="schedtrace=50")
        # The child counts from its own start.
        times = [int(line["ms"]) for line in found]
        self.assertTrue(any(b < a for a, b in zip(times, times[1:])), times)
        self.assertGreater(times[-1], 400)

    def test_none_without_a_scheduler(self):
        self.assertEqual(self.run_("100 locks 3", GMPDEBUG="schedtrace=10",
                                   GMP_MODE="bound"), [])


class Details(Traced):
    DEBUG = "schedtrace=50,scheddetail=1"

    def test_every_p_m_and_g_in_its_state(self):
        traces = self.detailed(self.run_("600 locks 3 computes 5",
                                         GMPDEBUG=self.DEBUG))
        self.assertGreaterEqual(len(traces), 4)
        last = traces[-1]
        self.assertEqual([p["id"] for p in last.p], ["0", "1"])
        # A busy machine may be slow to start the M for one.
        self.assertTrue(all(p["status"] in "01" for p in last.p))
        # Main's sleep.
        self.assertEqual(sum(int(p["timers"]) for p in last.p), 1)
        self.assertGreaterEqual(len(last.m), int(last.head["threads"]))
        why = [g["why"] for g in last.g if g["status"] == "4"]
        self.assertEqual(sorted(why), ["mutex"] * 3 + ["sleep"])
        running = [g for g in last.g if g["status"] == "2"]
        runnable = [g for g in last.g if g["status"] == "1"]
        self.assertEqual(len(running) + len(runnable), 5)
        ms = {m["id"] for m in last.m}
        for g in running:
            self.assertIn(g["m"], ms)
        for g in runnable:
            self.assertEqual(g["m"], "nil")

    def test_threads_that_come_and_go(self):
        traces = self.detailed(self.run_("500 churns 4 computes 1",
                                         GMPDEBUG="schedtrace=1,scheddetail=1"))
        self.assertGreater(len(traces), 5)
        for trace in traces:
            # Between being made and counted, a thread is in neither.
            self.assertLess(len(trace.g), 60)
            self.assertEqual(len(trace.p), 2)

    def test_a_bound_thread_is_locked_to_its_m(self):
        traces = self.detailed(self.run_("300 pinned 2 locks 1",
                                         GMPDEBUG=self.DEBUG))
        last = traces[-1]
        pinned = {g["id"]: g["lockedm"] for g in last.g
                  if g["lockedm"] != "nil"}
        self.assertEqual(len(pinned), 2)
        self.assertEqual({m["lockedg"]: m["id"] for m in last.m
                          if m["lockedg"] != "nil"}, pinned)


class Readers(Traced):
    """Whoever reads stderr does not stop the program."""

    def test_one_that_does_not_read(self):
        r, w = os.pipe()
        child = self.start("500 computes 3 locks 20", stderr=w,
                           GMPDEBUG="schedtrace=1,scheddetail=1")
        os.close(w)
        self.assertEqual(child.wait(30), 0)
        with open(r, encoding="ascii") as f:
            text = f.read()
        # Full, to the last page.
        self.assertGreater(len(text), 50000)

    def test_one_that_has_gone(self):
        for what in "300 computes 3", "300 locks 3":
            r, w = os.pipe()
            child = self.start(what, stderr=w, GMPDEBUG="schedtrace=5")
            os.close(w)
            os.close(r)
            self.assertEqual(child.wait(30), 0)


class Start(Debugged):
    COST = re.compile(r"init gmpthread @(?P<at>\d+\.\d{3}) ms, "
                      r"(?P<clock>\d+\.\d{3}) ms clock, "
                      r"(?P<cpu>\d+\.\d{3}) ms cpu: "
                      r"(?P<steps>[A-Za-z -]+ \d+\.\d{3}"
                      r"(, [A-Za-z -]+ \d+\.\d{3})*)")

    def start(self, *arguments, **env):
        r = run(self.program, *(arguments or ("10", "locks", "1")),
                env=environment(LD_PRELOAD=LIBRARY, GMPDEBUG="inittrace=1",
                                **env))
        self.assertEqual(r.returncode, 0)
        return r.stderr.splitlines()

    def cost(self, line):
        found = self.COST.fullmatch(line)
        self.assertIsNotNone(found, line)
        steps = dict(step.rsplit(" ", 1)
                     for step in found["steps"].split(", "))
        # Each is cut off, not rounded.
        self.assertAlmostEqual(sum(map(float, steps.values())),
                               float(found["clock"]), delta=0.02)
        return steps

    def test_what_it_cost_and_what_was_found(self):
        detours, cost, found = self.start()
        self.assertIn(" read ", detours)
        self.assertEqual(list(self.cost(cost)), [
            "settings", "kernel", "tls", "self-test", "Ps", "detours",
            "first thread", "monitor"])
        self.assertIn(f" {os.uname().release},", found)
        # Every system that the tests run on has it.
        self.assertIn(" membarrier", found)
        self.assertNotIn("no membarrier", found)

    def test_without_detours(self):
        detours, cost, _ = self.start(GMP_DETOURS="0")
        self.assertIn("GMP_DETOURS=0", detours)
        self.cost(cost)

    def test_without_a_scheduler(self):
        cost, _ = self.start(GMP_MODE="bound")
        self.assertNotIn("detours", self.cost(cost))

    def test_of_a_child_of_fork_too(self):
        lines = self.start("300", "forks", "1")
        self.assertEqual(sum(" ms clock, " in line for line in lines), 2)

    def test_nothing_of_a_program_without_threads(self):
        self.assertEqual(self.start("1"), [])


class Randomized(Debugged):
    SOURCE = TURNS_SOURCE

    def turns(self, seed, *arguments, **env):
        """The order of the threads' turns, one for each process."""
        debug = {"GMPDEBUG": f"randomize={seed}"} if seed else {}
        r = run(self.program, *arguments,
                env=environment(LD_PRELOAD=LIBRARY, GMPPROCS="1", **debug))
        self.assertEqual(r.returncode, 0)
        self.assertEqual(r.stderr, f"libgmpthread: randomize={seed}\n"
                         if seed else "")
        return r.stdout.splitlines()

    def test_the_same_seed_gives_the_same_turns(self):
        orders = set()
        for seed in 1, 2, 3:
            first = self.turns(seed)
            self.assertEqual(sorted(first[0]), sorted("abcdefgh" * 40))
            for _ in range(3):
                self.assertEqual(self.turns(seed), first)
            orders.add(first[0])
        self.assertEqual(len(orders), 3)
        self.assertNotIn(self.turns(None)[0], orders)

    def test_a_child_takes_the_turns_of_its_parent(self):
        parent, child = self.turns(4, "fork")
        self.assertEqual(sorted(child), sorted("abcdefgh" * 40))
        self.assertEqual(self.turns(4, "fork"), [parent, child])
