"""gmp-top on real processes: what it says of known numbers of threads in known
states, what it cannot do, and how it leaves the terminal.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from built import LIBRARY, OUT, environment, run

GMPTOP = os.path.join(OUT, "gmp-top")

# One command a line on stdin, an answer on stdout when it is done.
PROGRAM_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t free_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static int pipes[2];

static void *
locks(void *arg)
{
	pthread_mutex_lock(&m);
	pthread_mutex_unlock(&m);
	return arg;
}

static void *
waits(void *arg)
{
	pthread_mutex_lock(&free_mutex);
	for (;;)
		pthread_cond_wait(&never, &free_mutex);
	return arg;
}

static void *
sleeps(void *arg)
{
	for (;;)
		sleep(100);
	return arg;
}

static void *
reads(void *arg)
{
	char c;

	while (read(pipes[0], &c, 1) > 0)
		;
	return arg;
}

/* A mutex in memory that is unmapped under those who wait. */
static pthread_mutex_t *doomed;

static void *
gone(void *arg)
{
	pthread_mutex_lock(doomed);
	return arg;
}

static void *
polls(void *arg)
{
	struct pollfd fds[2] = { { pipes[0], POLLIN, 0 },
		{ pipes[0], POLLPRI, 0 } };

	poll(fds, 2, -1);
	return arg;
}

static void *
writes(void *arg)
{
	static char block[1 << 20];
	int p[2];

	if (pipe(p) == 0)
		write(p[1], block, sizeof(block));
	return arg;
}

/*
 * A cycle: thread i holds its lock and waits for that of the next; the kind of it
 * is the i-th letter: m a mutex, w a rwlock to write, r to read, j a join.
 */
#define LINKS 4
static struct link {
	pthread_mutex_t m;
	pthread_rwlock_t rw;
	pthread_t t;
} links[LINKS];
static pthread_barrier_t held;
static char links_kinds[LINKS + 1];

static void *
linked(void *arg)
{
	long i = (long)arg, to = (i + 1) % (long)strlen(links_kinds);
	struct link *next = &links[to];
	void *r;

	pthread_mutex_lock(&links[i].m);
	pthread_rwlock_wrlock(&links[i].rw);
	pthread_barrier_wait(&held);
	if (links_kinds[i] == 'm')
		pthread_mutex_lock(&next->m);
	else if (links_kinds[i] == 'w')
		pthread_rwlock_wrlock(&next->rw);
	else if (links_kinds[i] == 'r')
		pthread_rwlock_rdlock(&next->rw);
	else
		pthread_join(next->t, &r);
	return NULL;
}

static void
cycle(const char *kinds)
{
	long n = (long)strlen(kinds), i;
	char name[16];

	snprintf(links_kinds, sizeof(links_kinds), "%s", kinds);
	pthread_barrier_init(&held, NULL, (unsigned)n + 1);
	for (i = 0; i < n; i++) {
		pthread_mutex_init(&links[i].m, NULL);
		pthread_rwlock_init(&links[i].rw, NULL);
		pthread_create(&links[i].t, NULL, linked, (void *)i);
		snprintf(name, sizeof(name), "link%ld", i);
		pthread_setname_np(links[i].t, name);
	}
	pthread_barrier_wait(&held);
}

static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;

static void *
wants(void *arg)
{
	pthread_rwlock_wrlock(&shared);
	return arg;
}

static int locked;

/* A call that waits for nothing that can be polled. */
static void *
calls(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", locked);
	flock(open(path, O_RDONLY | O_CLOEXEC), LOCK_EX);
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

static const struct {
	const char *name;
	void *(*fn)(void *);
} kinds[] = { { "locks", locks }, { "waits", waits }, { "sleeps", sleeps },
	{ "reads", reads }, { "computes", computes }, { "polls", polls },
	{ "writes", writes }, { "gone", gone }, { "wants", wants },
	{ "calls", calls } };

static void
obey(char *line, char **argv)
{
	char word[16];
	int n = 0, i;
	unsigned byte;
	pthread_t t;
	pid_t child;

	sscanf(line, "%15s %d", word, &n);
	if (strcmp(word, "cycle") == 0 && sscanf(line, "cycle %4s", word) == 1)
		cycle(word);
	for (i = 0; i < (int)(sizeof(kinds) / sizeof(kinds[0])); i++)
		while (strcmp(word, kinds[i].name) == 0 && n-- > 0) {
			pthread_create(&t, NULL, kinds[i].fn, NULL);
			pthread_setname_np(t, word);
		}
	/* Of these bytes, in hex. */
	if (strcmp(word, "named") == 0) {
		for (i = 0; sscanf(line + 6 + 2 * i, "%2x", &byte) == 1; i++)
			word[i] = (char)byte;
		word[i] = '\0';
		pthread_create(&t, NULL, sleeps, NULL);
		pthread_setname_np(t, word);
	}
	if (strcmp(word, "storm") == 0)
		while (n-- > 0) {
			pthread_create(&t, NULL, returns, NULL);
			pthread_join(t, NULL);
		}
	if (strcmp(word, "fork") == 0) {
		child = fork();
		if (child == 0) {
			pthread_create(&t, NULL, sleeps, NULL);
			pause();
		}
		printf("%d ", (int)child);
	}
	if (strcmp(word, "leave") == 0) {
		puts("done");
		fflush(stdout);
		pthread_exit(NULL);
	}
	if (strcmp(word, "unmap") == 0)
		munmap(doomed, 4096);
	if (strcmp(word, "exec") == 0)
		execv("/proc/self/exe", argv);
	if (strcmp(word, "exit") == 0)
		exit(0);
}

int
main(int argc, char **argv)
{
	char line[64];

	(void)argc;
	if (pipe(pipes) != 0)
		return 1;
	pthread_mutex_lock(&m);
	doomed = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_mutex_init(doomed, NULL);
	pthread_mutex_lock(doomed);
	locked = memfd_create("locked", MFD_CLOEXEC);
	flock(locked, LOCK_EX);
	pthread_rwlock_rdlock(&shared);
	pthread_rwlock_rdlock(&shared);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		obey(line, argv);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
"""


class Program:
    """The program, preloaded, in a process of its own."""

    def __init__(self, path, before=(), stderr=None, **env):
        self.child = subprocess.Popen(
            [*before, path], env=environment(LD_PRELOAD=LIBRARY, **env), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            bufsize=1)
        self.pid = self.child.pid
        self.child.stdout.readline()

    def say(self, line):
        self.child.stdin.write(line + "\n")

    def do(self, line):
        self.say(line)
        return self.child.stdout.readline()

    def look(self, *options):
        """What gmp-top says in JSON."""
        end = time.monotonic() + 30
        while True:
            r = run(GMPTOP, "--json", "-n", "1", *options, str(self.pid))
            # The snapshot comes a moment after the first thread.
            if r.returncode == 0 or time.monotonic() > end:
                break
            assert "no thread yet" in r.stderr or \
                "no snapshot" in r.stderr, r.stderr
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def started(self, line):
        """Obeys, and can be watched from then on."""
        self.do(line)
        self.look()

    def until(self, condition, *options):
        """The first look that the condition holds for; threads take a moment."""
        end = time.monotonic() + 30
        while True:
            look = self.look(*options)
            if condition(look) or time.monotonic() > end:
                return look

    def end(self):
        self.child.kill()
        self.child.communicate()


def count(look, **what):
    return sum(all(g.get(k) == v for k, v in what.items()) for g in look["gs"])


class TopCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.temp.name, "watchedprog")
        subprocess.run(["gcc", "-x", "c", "-", "-O1", "-pthread", "-o",
                        cls.path], input=PROGRAM_SOURCE, text=True, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()

    def program(self, **env):
        p = Program(self.path, **env)
        self.addCleanup(p.end)
        return p


class States(TopCase):
    def test_threads_in_known_states(self):
        p = self.program(GMPPROCS="2")
        for kind, n in ("locks", 7), ("waits", 5), ("sleeps", 3), ("reads", 2):
            p.do(f"{kind} {n}")
        look = p.until(lambda x: count(x, state="waiting") == 18)
        self.assertEqual(count(look, reason="mutex", name="locks"), 7)
        self.assertEqual(count(look, reason="cond", name="waits"), 5)
        self.assertEqual(count(look, reason="sleep", timed=True), 3)
        self.assertEqual(count(look, reason="descriptor", name="reads"), 2)
        self.assertEqual(count(look, main=True), 1)
        self.assertEqual(look["live"], 18)
        self.assertEqual(look["procs"], 2)
        self.assertEqual(look["program"], "watchedprog")
        self.assertEqual(look["pid"], p.pid)
        self.assertEqual(look["totals"]["created"], 18)
        self.assertEqual(
            len({g["object"] for g in look["gs"]
                 if g.get("reason") == "mutex"}), 1)
        self.assertEqual(len({g["tid"] for g in look["gs"]}), 18)

    def test_a_thread_that_computes_uses_its_cpu(self):
        p = self.program(GMPPROCS="2")
        p.do("computes 1")
        p.started("sleeps 1")
        r = run(GMPTOP, "--json", "-n", "3", "-d", "0.5", str(p.pid))
        look = json.loads(r.stdout.splitlines()[-1])
        by_name = {g["name"]: g for g in look["gs"]}
        self.assertIn(by_name["computes"]["state"], ("running", "runnable"))
        # By samples, and of a machine that may be busy: but it was alone.
        with open(f"/proc/{p.pid}/stat", encoding="ascii") as f:
            ticks = int(f.read().split()[13])
        self.assertGreater(by_name["computes"]["cpu_ns"] / 1e9,
                           0.5 * ticks / os.sysconf("SC_CLK_TCK"))
        self.assertEqual(look["gs"][0]["name"], "computes")
        self.assertLess(by_name["sleeps"]["cpu"], 0.1)

    def test_rates_and_latencies(self):
        p = self.program(GMPPROCS="1")
        p.started("storm 1")
        top = subprocess.Popen(
            [GMPTOP, "--json", "-n", "8", "-d", "0.3", str(p.pid)],
            stdout=subprocess.PIPE, text=True)
        p.say("storm 3000000")
        looks = [json.loads(line) for line in top.communicate(timeout=60)[0]
                 .splitlines()]
        self.assertEqual(len(looks), 8)
        self.assertNotIn("per_second", looks[0])
        # It may not get a turn between some two of them.
        rates = max((x["per_second"] for x in looks[1:]),
                    key=lambda rates: rates["created"])
        self.assertGreater(rates["created"], 1000)
        self.assertGreater(rates["switches"], 1000)
        self.assertGreater(rates["runnable_p50_ns"], 0)
        self.assertGreaterEqual(rates["runnable_p99_ns"],
                                rates["runnable_p50_ns"])

    def test_ten_thousand(self):
        p = self.program()
        p.do("locks 10000")
        look = p.until(lambda x: count(x, reason="mutex") == 10000)
        self.assertEqual(count(look, reason="mutex"), 10000)
        r = run(GMPTOP, "--once", "-f", "locks", "-r", "5", str(p.pid))
        self.assertEqual(sum("mutex 0x" in line
                             for line in r.stdout.splitlines()), 5)

    def test_how_long(self):
        """Late by a look of sysmon's at the most; also while one computes."""
        for kinds in ("waits", "sleeps", "reads"), ("waits", "computes"):
            p = self.program(GMPPROCS="2")
            p.started("locks 1")
            time.sleep(0.3)
            before = time.monotonic()
            for kind in kinds:
                p.do(f"{kind} 3")
            p.until(lambda x, k=kinds: count(x, name=k[0], state="waiting")
                    == 3)
            began = time.monotonic()
            time.sleep(0.5)
            least = time.monotonic() - began
            look = p.look("-s", "wait")
            most = time.monotonic() - before + 0.2
            for g in look["gs"]:
                if g["name"] in kinds:
                    self.assertLessEqual(g["age_ns"] / 1e9, most)
                if g["name"] in kinds and g["state"] == "waiting":
                    self.assertGreaterEqual(g["since_ns"] / 1e9, least)
                    self.assertLessEqual(g["since_ns"] / 1e9, most)
                    self.assertGreaterEqual(g["age_ns"], g["since_ns"])
            self.assertEqual(look["gs"][0]["name"], "locks")
            p.end()

    def test_owners(self):
        for kinds, mode in (("mm", "mn"), ("mwj", "mn"), ("wr", "mn"),
                            ("jjm", "mn"), ("mwj", "bound")):
            p = self.program(GMP_MODE=mode)
            p.do(f"cycle {kinds}")
            p.do("locks 2")
            look = p.until(lambda x: count(x, state="waiting")
                           >= 2 + len(kinds))
            by_name = {g["name"]: g for g in look["gs"]}
            for i in range(len(kinds)):
                self.assertEqual(
                    by_name[f"link{i}"]["owner_tid"],
                    by_name[f"link{(i + 1) % len(kinds)}"]["tid"], kinds)
            self.assertEqual(by_name["locks"]["owner_tid"], p.pid)
            look = p.until(lambda x: x["deadlocks"])
            self.assertEqual(
                [sorted(c) for c in look["deadlocks"]],
                [sorted(by_name[f"link{i}"]["goid"]
                        for i in range(len(kinds)))])
            text = run(GMPTOP, "--once", str(p.pid)).stdout
            self.assertIn(f"deadlock: {len(kinds)} threads wait", text)
            for i in range(len(kinds)):
                to = by_name[f"link{(i + 1) % len(kinds)}"]
                self.assertRegex(text, rf"link{i} .*(held by|of) "
                                 rf"{to['goid']} {to['name']}")
            self.assertNotIn("owner_tid", by_name["watchedprog"])
            p.end()

    def test_owners_in_memory_that_is_gone(self):
        p = self.program()
        p.do("gone 3")
        look = p.until(lambda x: count(x, reason="mutex", name="gone") == 3)
        self.assertEqual(count(look, owner_tid=p.pid), 3)
        p.do("unmap")
        look = p.look()
        self.assertEqual(count(look, reason="mutex", name="gone"), 3)
        self.assertFalse(any("owner_tid" in g for g in look["gs"]))

    def test_readers(self):
        p = self.program()
        p.do("wants 2")
        look = p.until(lambda x: count(x, reason="rwlock") == 2)
        self.assertEqual(count(look, reason="rwlock", readers=2), 2)
        self.assertRegex(run(GMPTOP, "--once", str(p.pid)).stdout,
                         r"rwlock 0x[0-9a-f]+ held by 2 readers\n")

    def test_long_calls(self):
        p = self.program()
        p.do("calls 2")
        p.until(lambda x: count(x, state="syscall") == 2)
        time.sleep(0.5)
        for g in p.look()["gs"]:
            if g["name"] == "calls":
                self.assertGreater(g["since_ns"], 0.4e9, g)
                self.assertLess(g["since_ns"], 20e9)

    def test_descriptors(self):
        p = self.program()
        for kind in "reads", "polls", "writes":
            p.do(f"{kind} 1")
        look = p.until(lambda x: all(
            count(x, name=kind, state="waiting") == 1
            for kind in ("reads", "polls", "writes")))
        by_name = {g["name"]: g for g in look["gs"]}
        self.assertEqual(by_name["polls"]["state"], "waiting", look["gs"])
        fds = f"/proc/{p.pid}/fd"
        self.assertIn("pipe", os.readlink(
            f"{fds}/{by_name['reads']['fd']}"))
        self.assertGreater(by_name["writes"]["fd"], by_name["reads"]["fd"])
        self.assertEqual(by_name["polls"]["reason"], "descriptors")
        self.assertNotIn("fd", by_name["polls"])
        text = run(GMPTOP, "--once", str(p.pid)).stdout
        for g, what in (by_name["reads"], "read"), (by_name["writes"], "write"):
            self.assertIn(f"{what} fd {g['fd']}\n", text)

    def test_bound(self):
        p = self.program(GMP_MODE="bound")
        p.do("sleeps 4")
        look = p.until(lambda x: count(x, bound=True) == 5)
        self.assertEqual(count(look, bound=True, name="sleeps"), 4)
        tids = os.listdir(f"/proc/{p.pid}/task")
        self.assertTrue(all(str(g["tid"]) in tids for g in look["gs"]))

    def test_two_watch(self):
        p = self.program()
        p.started("sleeps 100")
        tops = [subprocess.Popen(
            [GMPTOP, "--json", "-n", "20", "-d", "0.02", str(p.pid)],
            stdout=subprocess.PIPE, text=True) for _ in range(4)]
        for top in tops:
            lines = top.communicate(timeout=60)[0].splitlines()
            self.assertEqual(top.returncode, 0)
            self.assertEqual([len(json.loads(x)["gs"]) for x in lines],
                             [101] * 20)


CPP_SOURCE = r"""
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace shop {
std::mutex lock;

template <typename T> struct Counter {
	T seen = 0;
	__attribute__((noinline)) void
	take(T n)
	{
		seen += n;
		lock.lock();
		seen += n;
	}
};
}

int
main()
{
	shop::Counter<long> counter;

	shop::lock.lock();
	std::thread t([&] { counter.take(3); });
	puts("ready");
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		;
}
"""


class Stacks(TopCase):
    def stacks(self, p, *options):
        p.look()
        r = run(GMPTOP, "--stacks", *options, str(p.pid))
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def build(self, name, source, *flags, compiler="gcc", language="c"):
        path = os.path.join(self.temp.name, name)
        subprocess.run([compiler, "-x", language, "-", "-O1", "-pthread", "-o",
                        path, *flags], input=source, text=True, check=True)
        return path

    def start(self, path):
        p = Program(path)
        self.addCleanup(p.end)
        return p

    def test_equal_ones_together(self):
        p = self.program()
        p.do("cycle mwj")
        p.do("waits 7")
        p.do("sleeps 3")
        p.until(lambda x: count(x, state="waiting") == 14 and x["deadlocks"])
        text = self.stacks(p)
        self.assertRegex(text, r"7 goroutines .*\[cond, [^]]*\]:\n"
                         r"(\t.*\n)*\twaits\+0x[0-9a-f]+\n")
        self.assertRegex(text, r"3 goroutines .*\[sleep, [^]]*\]:\n"
                         r"(\t.*\n)*\tsleeps\+0x[0-9a-f]+\n")
        self.assertRegex(text, r'goroutine \d+ "link0" tid \d+ \[mutex '
                         r"0x[0-9a-f]+ held by \d+ link1, [^]]*\]:\n")
        self.assertIn("deadlock: 3 threads wait for one another", text)
        self.assertEqual(text.count("created by"), 5)
        chosen = self.stacks(p, "-f", "link")
        self.assertIn("started at linked\n", chosen)
        self.assertNotIn("sleeps", chosen)
        look = json.loads(self.stacks(p, "--json"))
        for g in look["gs"]:
            if g["name"] == "link2":
                self.assertTrue(any(
                    f.get("function", "").startswith("linked+0x")
                    for f in g["stack"]))

    def test_cpp_and_stripped(self):
        for name, flag in ("shop", "-g"), ("stripped", "-s"):
            p = self.start(self.build(name, CPP_SOURCE, flag, compiler="g++",
                                      language="c++"))
            p.until(lambda x: count(x, reason="mutex") == 1)
            text = self.stacks(p)
            if name == "shop":
                self.assertIn("\tshop::Counter<long>::take", text)
                self.assertIn("\tstd::thread::_State_impl<", text)
                self.assertRegex(text, r"\t\t.*<stdin>:17\n")
            else:
                self.assertNotIn("take", text)
                self.assertRegex(text, r"\t\?\n\t\t/.*/stripped\+0x[0-9a-f]+")

    def test_a_file_that_was_replaced_says_nothing(self):
        path = self.build("replaced", PROGRAM_SOURCE)
        p = self.start(path)
        p.do("waits 1")
        p.until(lambda x: count(x, reason="cond") == 1)
        self.assertIn("\twaits", self.stacks(p))
        os.unlink(path)
        self.assertNotIn("\twaits", self.stacks(p))
        self.build("replaced", PROGRAM_SOURCE + "int another;")
        self.assertNotIn("\twaits", self.stacks(p))


class Life(TopCase):
    def test_before_the_first_thread(self):
        p = self.program()
        r = run(GMPTOP, "--once", str(p.pid))
        self.assertEqual(r.returncode, 1)
        self.assertIn("has made no thread yet", r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1)

    def test_a_forked_child_has_its_own(self):
        p = self.program()
        p.do("sleeps 3")
        child = int(p.do("fork").split()[0])
        self.addCleanup(os.kill, child, signal.SIGKILL)
        end = time.monotonic() + 30
        while True:
            r = run(GMPTOP, "--json", "-n", "1", str(child))
            if r.returncode == 0 or time.monotonic() > end:
                break
        look = json.loads(r.stdout)
        self.assertEqual(look["pid"], child)
        self.assertLessEqual(look["live"], 2)
        self.assertEqual(p.look()["live"], 4)

    def test_exec_takes_it_away(self):
        p = self.program()
        p.do("sleeps 3")
        p.look()
        p.do("exec")  # "ready" again
        r = run(GMPTOP, "--once", str(p.pid))
        self.assertEqual(r.returncode, 1)
        p.do("sleeps 1")
        self.assertEqual(p.until(lambda x: x["live"] == 2)["live"], 2)

    def test_the_first_thread_has_ended(self):
        for mode in "mn", "bound":
            p = self.program(GMP_MODE=mode)
            p.started("sleeps 3")
            p.do("leave")
            look = p.until(lambda x: x["live"] == 3)
            self.assertEqual(count(look, name="sleeps"), 3, mode)

    def test_a_process_that_ends_or_is_killed(self):
        for way in "exit", "kill":
            p = self.program()
            p.started("sleeps 3")
            top = subprocess.Popen(
                [GMPTOP, "-b", "-d", "0.05", str(p.pid)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertIn("watchedprog", top.stdout.readline())
            if way == "exit":
                p.say("exit")
            else:
                p.child.kill()
            p.child.wait()
            self.assertEqual(top.communicate(timeout=60)[1],
                             f"gmp-top: {p.pid}: the process has ended\n")
            self.assertEqual(top.returncode, 0)

    def test_an_exec_is_named(self):
        p = self.program()
        p.started("sleeps 3")
        top = subprocess.Popen([GMPTOP, "-b", "-d", "0.05", str(p.pid)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        top.stdout.readline()
        p.do("exec")
        self.assertIn("runs another program", top.communicate(timeout=60)[1])
        self.assertEqual(top.returncode, 0)

    def test_a_stopped_process_is_named(self):
        p = self.program()
        p.started("sleeps 1")
        os.kill(p.pid, signal.SIGSTOP)
        os.waitpid(p.pid, os.WUNTRACED)  # all its threads have stopped
        r = run(GMPTOP, "--once", str(p.pid))
        os.kill(p.pid, signal.SIGCONT)
        self.assertEqual(r.returncode, 1)
        self.assertEqual(r.stderr,
                         f"gmp-top: {p.pid}: the process is stopped\n")
        p.look()


class Refusals(TopCase):
    def refused(self, *args, status=1):
        r = run(GMPTOP, *args)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr

    def test_what_cannot_be_watched(self):
        self.assertEqual(self.refused("--once", "4194300"),
                         "gmp-top: 4194300: no such process\n")
        self.assertIn("not preloaded", self.refused("--once", str(os.getpid())))
        self.assertIn("no such program",
                      self.refused("--once", "nobody-has-this"))

    def test_numbers_that_are_no_process(self):
        for pid in "0", "4294967297", "9" * 30:
            self.assertEqual(self.refused("--once", pid),
                             f"gmp-top: {pid}: no such process\n")
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(self.refused("--once", str(pid)),
                         f"gmp-top: {pid}: the process has ended\n")
        os.waitpid(pid, 0)

    def test_several_of_a_name(self):
        for _ in range(2):
            self.program().started("sleeps 1")
        self.assertIn("several run", self.refused("--once", "watchedprog"))

    @unittest.skipIf(os.getuid() != 0, "only root can become another user")
    def test_another_user(self):
        p = self.program()
        p.started("sleeps 1")
        # The built file may lie where others may not look.
        with open(GMPTOP, "rb") as f:
            fd = os.memfd_create("gmp-top")
            os.write(fd, f.read())
        r = run(f"/proc/self/fd/{fd}", "--once", str(p.pid), user=65534,
                pass_fds=(fd,))
        os.close(fd)
        self.assertEqual(r.returncode, 1)
        self.assertIn("belongs to another user", r.stderr)

    def test_wrong_usage(self):
        for args in (["-d", "0"], ["-n", "x"], ["-s", "size"], ["-z"],
                     ["1", "2"], ["-b"]):
            self.assertNotEqual(self.refused(*args, status=2), "")

    def test_no_terminal(self):
        p = self.program()
        p.started("sleeps 1")
        self.assertIn("not a terminal", self.refused(str(p.pid)))


class ScreenCase(TopCase):
    """On a pseudo-terminal; only what a user reads there is looked for."""

    def start(self, *args, rows=24, columns=80, hangup=signal.SIG_DFL, **env):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm", **env})
            signal.signal(signal.SIGHUP, hangup)
            fcntl.ioctl(0, termios.TIOCSWINSZ,
                        struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(GMPTOP, [GMPTOP, *args])
        self.addCleanup(os.close, fd)
        self.fd, self.top = fd, pid

    def until(self, text):
        seen = b""
        end = time.monotonic() + 30
        while text.encode() not in seen:
            self.assertLess(time.monotonic(), end, f"{text}: {seen[-3000:]}")
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    seen += os.read(self.fd, 65536)
                except OSError:
                    break
        self.assertIn(text.encode(), seen)
        return seen

    def key(self, keys):
        os.write(self.fd, keys.encode())

    def ended(self):
        # Its last words: the screen of before.
        self.until("\x1b[?1049l")
        return os.waitpid(self.top, 0)[1]


class Screen(ScreenCase):
    def test_views_and_the_way_out(self):
        p = self.program()
        p.started("sleeps 3")
        self.start(str(p.pid))
        self.until("watchedprog")
        self.key("h")
        self.until("freeze, and go on")
        self.key("2")
        self.until("KERNEL-TID")
        self.key("3")
        self.until("HELD BY")
        self.key("q/sleeps\n")
        self.until("3 of 4")
        self.key("\n")
        self.until("started at sleeps")
        self.key("qq")
        self.assertEqual(self.ended(), 0)

    def test_sizes(self):
        p = self.program()
        p.started("sleeps 30")
        for rows, columns in (24, 80), (5, 20), (60, 200), (1, 1):
            self.start(str(p.pid), rows=rows, columns=columns)
            time.sleep(0.3)
            for n in 3, 40, 24:
                fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                            struct.pack("HHHH", n, 3 * n, 0, 0))
                time.sleep(0.1)
                self.key("123hg")
            self.until("watchedprog")
            self.key("qqq")
            self.assertEqual(self.ended(), 0)

    def test_signals_give_the_terminal_back(self):
        p = self.program()
        p.started("sleeps 1")
        for sig in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            self.start(str(p.pid))
            self.until("watchedprog")
            os.kill(self.top, sig)
            self.assertEqual(os.WTERMSIG(self.ended()), sig)

    def test_a_crash_gives_the_terminal_back(self):
        p = self.program()
        p.started("sleeps 1")
        for sig in signal.SIGSEGV, signal.SIGABRT:
            self.start(str(p.pid))
            before = termios.tcgetattr(self.fd)
            self.until("watchedprog")
            self.assertNotEqual(termios.tcgetattr(self.fd), before)
            os.kill(self.top, sig)
            self.assertEqual(os.WTERMSIG(self.ended()), sig)
            self.assertTrue(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def test_a_terminal_that_is_gone(self):
        """Also where SIGHUP is ignored, as by nohup."""
        p = self.program()
        p.started("sleeps 1")
        self.start(str(p.pid), hangup=signal.SIG_IGN)
        self.until("watchedprog")
        os.close(self.fd)
        self.fd = os.open("/dev/null", os.O_RDONLY)
        self.assertEqual(os.waitpid(self.top, 0)[1], 0)

    def test_terminals(self):
        p = self.program()
        p.started("sleeps 1")
        for term in "xterm-256color", "linux", "vt100", "screen":
            self.start(str(p.pid), TERM=term)
            self.until("watchedprog")
            self.key("3hq\x1b2q")
            self.key("q")
            self.assertEqual(os.waitpid(self.top, 0)[1], 0)
        for term in "dumb", "nobody-has-this":
            self.start(str(p.pid), TERM=term)
            self.until("gmp-top: the terminal ")
            self.assertEqual(
                os.waitstatus_to_exitcode(os.waitpid(self.top, 0)[1]), 1)

    def test_colours_only_where_they_are_wanted(self):
        p = self.program()
        p.do("cycle mw")
        p.until(lambda x: x["deadlocks"])
        for env, wanted in ({}, True), ({"NO_COLOR": "1"}, False):
            self.start("-s", "wait", str(p.pid), TERM="xterm-256color", **env)
            seen = self.until("h: help")
            self.assertEqual(b"38;5;131m" in seen, wanted, seen)
            self.key("q")
            self.ended()

    def test_keys_that_are_none(self):
        p = self.program()
        p.started("sleeps 3")
        self.start(str(p.pid))
        self.until("watchedprog")
        # Of a mouse, a function key, a paste: none of them is a "q" or a "2".
        self.key("\x1b[<0;2;2M\x1b[15;9~\x1b[200~xyzZ!%\x1b[201~\x01\xff")
        self.key("/sleep\n")
        self.until("3 of 4")
        self.key("/\x1b")
        self.until("4 of 4")
        self.key("q")
        self.assertEqual(self.ended(), 0)

    def test_frozen(self):
        p = self.program()
        p.do("waits 2")
        p.until(lambda x: count(x, reason="cond") == 2)
        self.start("-d", "0.1", "-s", "age", str(p.pid))
        self.until("3 of 3")
        self.key("f")
        self.until("FROZEN")
        p.do("sleeps 2")
        time.sleep(0.5)
        self.key("\x1b[B\n")  # the second thread, and its stack
        self.until("started at waits")
        self.key("q")
        self.assertNotIn(b"sleeps", self.until("WAITS FOR"))
        time.sleep(0.2)
        self.key("f")
        self.until("sleeps")
        self.key("q")
        self.assertEqual(self.ended(), 0)

    def test_a_target_that_stops_and_goes_on(self):
        p = self.program()
        p.started("sleeps 1")
        self.start("-d", "0.1", str(p.pid))
        self.until("watchedprog")
        os.kill(p.pid, signal.SIGSTOP)
        self.until("the process is stopped")
        os.kill(p.pid, signal.SIGCONT)
        # The message has gone.
        self.until("h: help")
        self.key("q")
        self.assertEqual(self.ended(), 0)

    def test_a_target_that_dies(self):
        p = self.program()
        p.started("sleeps 1")
        self.start(str(p.pid))
        self.until("watchedprog")
        p.child.kill()
        p.child.wait()
        self.until("the process has ended")
        self.key("2g\nq")
        self.key("q")
        # After the screen is gone, so that it stays.
        self.assertIn(
            b"\x1b[?1049l",
            self.until(f"gmp-top: {p.pid}: the process has ended\r\n"))
        self.assertTrue(termios.tcgetattr(self.fd)[3] & termios.ECHO)
        self.assertEqual(os.waitpid(self.top, 0)[1], 0)

    def test_a_deadlock_is_seen(self):
        p = self.program()
        p.do("cycle mwj")
        p.until(lambda x: x["deadlocks"])
        self.start("-s", "wait", str(p.pid))
        self.until("DEADLOCK (w)")
        self.key("3")
        self.until("3 threads wait for one another")
        self.key("\x1b[B\n")
        self.until("started at")
        self.key("qqq")
        self.assertEqual(self.ended(), 0)

    def test_the_list(self):
        p = self.program()
        p.started("sleeps 2")
        self.start()
        self.until("watchedprog")
        self.key("q")
        self.assertEqual(self.ended(), 0)
