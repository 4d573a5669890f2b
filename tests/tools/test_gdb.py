"""tools/gmp-gdb.py in gdb: on processes that it attaches to or runs, and on
core dumps; threads in known states have known functions in their stacks.
"""

import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
import unittest

from built import LIBRARY, OUT, ROOT, environment, run

GMPTOP = os.path.join(OUT, "gmp-top")
SCRIPT = os.path.join(ROOT, "tools", "gmp-gdb.py")

# One command a line on stdin, an answer on stdout when it is done.
C_SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int pipes[2];
static volatile int stop;
static pthread_t threads[20000], last;
static int nthreads;

static void *
locks(void *arg)
{
	volatile long mine = 1000 + (long)arg;

	pthread_mutex_lock(&m);
	pthread_mutex_unlock(&m);
	return (void *)(mine - 1000);
}

static void *
waits(void *arg)
{
	pthread_mutex_lock(&other);
	while (!stop)
		pthread_cond_wait(&c, &other);
	pthread_mutex_unlock(&other);
	return arg;
}

static void *
reads(void *arg)
{
	char ch;

	while (read(pipes[0], &ch, 1) > 0)
		;
	return arg;
}

static void *
sleeps(void *arg)
{
	while (!stop)
		usleep(200000);
	return arg;
}

static void *
computes(void *arg)
{
	while (!stop)
		;
	return arg;
}

static void *
yields(void *arg)
{
	while (!stop)
		sched_yield();
	return arg;
}

static void
inhandler(int sig)
{
	(void)sig;
	sem_wait(&sem);
}

static void *
returns(void *arg)
{
	return arg;
}

__attribute__((noinline)) static int
deep(int n)
{
	if (n == 0)
		sem_wait(&sem);
	return n == 0 ? 0 : 1 + deep(n - 1);
}

static void *
recurses(void *arg)
{
	deep(50);
	return arg;
}

__attribute__((noinline)) void
made(void)
{
	__asm__ volatile("");
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_t holder;

static void *
holds(void *arg)
{
	holder = pthread_self();
	pthread_rwlock_wrlock(&rw);
	sem_wait(&sem);
	return arg;
}

static void *
wants(void *arg)
{
	pthread_rwlock_rdlock(&rw);
	return arg;
}

static void *
joins(void *arg)
{
	pthread_join(holder, NULL);
	return arg;
}

static const struct {
	const char *name;
	void *(*fn)(void *);
} kinds[] = { { "locks", locks }, { "waits", waits }, { "reads", reads },
	{ "sleeps", sleeps }, { "computes", computes }, { "yields", yields },
	{ "returns", returns }, { "recurses", recurses }, { "holds", holds },
	{ "wants", wants }, { "joins", joins } };

static int
finish(void)
{
	long sum = 0;
	void *r;

	stop = 1;
	pthread_mutex_unlock(&m);
	pthread_mutex_lock(&other);
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&other);
	close(pipes[1]);
	for (int i = 0; i < nthreads; i++)
		sem_post(&sem);
	for (int i = 0; i < nthreads; i++) {
		pthread_join(threads[i], &r);
		sum += (long)r;
	}
	printf("%d threads, %ld\n", nthreads, sum);
	return 7;
}

int
main(void)
{
	char line[64], word[16];
	int n;

	if (pipe(pipes) != 0)
		return 1;
	signal(SIGUSR1, inhandler);
	sem_init(&sem, 0, 0);
	pthread_mutex_lock(&m);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		n = 0;
		sscanf(line, "%15s %d", word, &n);
		for (int i = 0; i < 11; i++)
			while (strcmp(word, kinds[i].name) == 0 && n-- > 0) {
				pthread_create(&last, NULL, kinds[i].fn,
				    (void *)(long)nthreads);
				threads[nthreads++] = last;
				pthread_setname_np(last, word);
				made();
			}
		if (strcmp(word, "signal") == 0)
			pthread_kill(last, SIGUSR1);
		if (strcmp(word, "abort") == 0)
			abort();
		if (strcmp(word, "exit") == 0)
			return finish();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
"""

CC_SOURCE = r"""
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

namespace depot {
struct Queue {
	std::mutex m;
	std::condition_variable c;
	std::vector<int> items;

	template <typename Filter> int take(Filter filter)
	{
		std::unique_lock<std::mutex> l(m);
		c.wait(l, [&] { return !items.empty() && filter(items[0]); });
		return items[0];
	}
};
}

static depot::Queue queue;

int
main()
{
	std::string line;
	std::vector<std::thread> threads;

	for (int i = 0; i < 3; i++)
		threads.emplace_back([] {
			queue.take([](int n) { return n > 0; });
		});
	std::cout << "ready" << std::endl;
	std::getline(std::cin, line);
	queue.m.lock();
	queue.items.push_back(1);
	queue.m.unlock();
	queue.c.notify_all();
	for (auto &t : threads)
		t.join();
	std::cout << "ended" << std::endl;
}
"""


class Program:
    """A program, preloaded, in a process of its own."""

    def __init__(self, path, **env):
        self.path = path
        self.child = subprocess.Popen(
            [path], env=environment(LD_PRELOAD=LIBRARY, **env), text=True,
            cwd=os.path.dirname(path), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=1,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
        self.pid = self.child.pid
        self.child.stdout.readline()

    def say(self, line):
        self.child.stdin.write(line + "\n")

    def do(self, *lines):
        for line in lines:
            self.say(line)
            self.child.stdout.readline()

    def ends(self):
        """Asks it to, and returns what it says, and how it ends."""
        self.say("exit")
        return self.child.communicate(timeout=60)[0], self.child.returncode

    def kill(self):
        self.child.kill()
        self.child.communicate()


def gdb(commands, *args):
    words = ["gdb", "-nx", "-batch", "-ex", f"source {SCRIPT}"]
    for command in commands:
        words += ["-ex", command]
    r = run(*words, *args)
    return r.stdout, r.stderr


def rows(output):
    """The threads of a list: by their numbers, what follows."""
    found = re.findall(r"(?m)^[* ] (\d+) +(\d+) +(\S.*)", output)
    return {int(goid): (int(tid), rest) for goid, tid, rest in found}


def stacks(output):
    """What "gthread apply all bt" says of each thread: its functions.  Where
    the compiler has left a frame of gstart(), without that.
    """
    found = {}
    for part in re.split(r"(?m)^(?=gthread \d+ \()", output):
        head = re.match(r"gthread (\d+) ", part)
        if head:
            functions = re.findall(r"(?m)^#\d+ +(?:0x\w+ in )?(.+?) \(",
                                   re.split(r"(?m)^\[", part)[0])
            found[int(head[1])] = [f for f in functions if f != "gstart"]
    return found


def setUpModule():
    temp = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(temp.cleanup)
    for language, compiler, source in (("c", "gcc", C_SOURCE),
                                       ("c++", "g++", CC_SOURCE)):
        path = os.path.join(temp.name, "prog-" + language)
        subprocess.run([compiler, "-x", language, "-", "-O1", "-g", "-pthread",
                        "-o", path], input=source, text=True, check=True)
    Case.temp = temp.name


class Case(unittest.TestCase):
    temp = None

    def path(self, name):
        return os.path.join(self.temp, name)

    def program(self, *lines, name="prog-c", settle=True, **env):
        """One that has obeyed; its threads have got where they are to wait."""
        p = Program(self.path(name), **env)
        self.addCleanup(p.kill)
        p.do(*lines)
        if settle:
            self.settle(p)
        return p

    def settle(self, p):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            r = run(GMPTOP, "--json", "-n", "1", str(p.pid))
            if r.returncode == 0 and all(
                    g["state"] == "waiting"
                    for g in json.loads(r.stdout)["gs"]):
                break

    def attach(self, p, *commands):
        return gdb(commands, "-p", str(p.pid))[0]

    def ends_well(self, p, threads):
        self.assertEqual(
            p.ends(),
            (f"{threads} threads, {threads * (threads - 1) // 2}\n", 7))


ALL_KINDS = ("locks 3", "waits 2", "reads 1", "sleeps 1", "recurses 1")


class Process(Case):
    def test_states(self):
        p = self.program(*ALL_KINDS, GMPPROCS="2")
        out = self.attach(p, "info gthreads")
        threads = rows(out)
        rests = [rest for _, rest in threads.values()]
        self.assertEqual(len(threads), 9)
        address = re.search(r"mutex (0x\w+) ", out)[1]
        holder = next(goid for goid, (tid, _) in threads.items()
                      if tid == p.pid)
        self.assertEqual(sum(bool(re.match(
            rf"mutex {address} of {holder} +locks +locks at \S+:\d+$", r))
            for r in rests), 3)
        for state in (r"condition variable 0x\w+ +waits +waits at ",
                      r"descriptor \d+ +reads +reads at ",
                      r"sleep +sleeps +sleeps at ",
                      r"semaphore 0x\w+ +recurses +deep at ",
                      r"(descriptor 0|syscall|running) .*"):
            self.assertTrue(any(re.match(state, r) for r in rests), out)
        self.ends_well(p, 8)

    def test_who_holds_it(self):
        p = self.program("holds 1", GMPPROCS="2")
        p.do("wants 2", "joins 1")
        self.settle(p)
        out = self.attach(p, "info gthreads")
        threads = rows(out)
        holder, joined = (next(
            goid for goid, (_, rest) in threads.items() if name in rest)
            for name in (" holds ", " joins "))
        self.assertEqual(len(re.findall(
            rf"rwlock 0x\w+ of {holder} +wants ", out)), 2, out)
        self.assertIn(f"join {holder} ", threads[joined][1])

    def test_stacks(self):
        p = self.program(*ALL_KINDS, GMPPROCS="2")
        out = self.attach(p, "gthread apply all bt")
        found = stacks(out)
        self.assertEqual(len(found), 9)
        whole = [s for s in found.values() if s[-2:] ==
                 ["threadstart", "goexit"]]
        self.assertEqual(len(whole), 8)
        self.assertEqual(sorted(s[-3] for s in whole), [
            "locks", "locks", "locks", "reads", "recurses", "sleeps", "waits",
            "waits"])
        deep = next(s for s in whole if s[-3] == "recurses")
        self.assertEqual(deep.count("deep"), 51)
        self.assertTrue(any("main" in s for s in found.values()))
        self.assertNotIn("corrupt", out)
        self.assertNotIn("Exception", out)
        self.ends_well(p, 8)

    def test_variables_of_frames(self):
        p = self.program("locks 3", GMPPROCS="2")
        goids = list(rows(self.attach(p, "info gthreads locks")))
        commands = []
        for goid in goids:
            commands += [f"gthread {goid}", "frame function locks",
                         "info locals", "up", "p *(long *)&threads[1] != 0"]
        out = self.attach(p, *commands)
        self.assertEqual(re.findall(r"mine = (\d+)", out),
                         ["1000", "1001", "1002"])
        self.assertEqual(out.count("in threadstart"), 3)
        self.ends_well(p, 3)

    def test_by_any_id(self):
        p = self.program("locks 2", GMPPROCS="2")
        threads = rows(self.attach(p, "info gthreads locks"))
        out = self.attach(
            p, *(f"gthread {tid}" for tid, _ in threads.values()),
            "gthread threads[1]", "gthread", "info gthreads")
        self.assertEqual(
            re.findall(r"(?m)^\[Switching to gthread (\d+) ", out),
            [str(goid) for goid in [*threads, max(threads)]])
        self.assertRegex(out, rf"\[Current is gthread {max(threads)} ")
        self.assertEqual(re.findall(r"(?m)^\* (\d+) ", out),
                         [str(max(threads))])

    def test_computing_and_preempted(self):
        p = self.program("computes 3", settle=False, GMPPROCS="1")
        for _ in range(20):
            out = self.attach(p, "info gthreads", "gthread apply all bt")
            # On a busy machine one may have lost its P instead, or not begun.
            if "runnable, preempted" in out and "runnable, new" not in out:
                break
        states = [rest for _, rest in rows(out).values()
                  if " computes at " in rest]
        self.assertEqual(len(states), 3, out)
        self.assertTrue(any(s.startswith("runnable, preempted")
                            for s in states), out)
        self.assertTrue(any(s.startswith("running") for s in states), out)
        found = [s for s in stacks(out).values() if "computes" in s]
        self.assertEqual([s[-3:] for s in found],
                         [["computes", "threadstart", "goexit"]] * 3)
        self.assertTrue(any("onpreempt" in s for s in found))
        self.ends_well(p, 3)

    def test_in_a_handler(self):
        p = self.program("computes 1", "signal", GMPPROCS="2")
        out = self.attach(p, "info gthreads", "gthread apply all bt")
        self.assertRegex(out, r"semaphore 0x\w+ +computes +inhandler at ")
        found = [s for s in stacks(out).values() if "inhandler" in s]
        self.assertEqual(found[0][-3:], ["computes", "threadstart", "goexit"])
        self.ends_well(p, 1)

    def test_switching_all_the_time(self):
        p = self.program("yields 4", settle=False, GMPPROCS="1")
        looks = []
        for _ in range(8):
            looks += ["echo look\\n", "gthread apply all bt", "detach",
                      f"attach {p.pid}"]
        for out in self.attach(p, *looks).split("look\n")[1:]:
            found = [s for s in stacks(out).values() if "yields" in s]
            self.assertEqual([s[-3:] for s in found], [
                ["yields", "threadstart", "goexit"]] * 4, out)
        self.ends_well(p, 4)

    def test_bound(self):
        p = self.program(*ALL_KINDS, settle=False, GMP_MODE="bound")
        out = self.attach(p, "info gthreads", "gthread apply all bt")
        self.assertEqual(len(re.findall(
            r"mutex 0x\w+ of 1 +bound \{\d+\} +locks ", out)), 3)
        self.assertEqual(
            sum("locks" in s for s in stacks(out).values()), 3)
        self.ends_well(p, 8)

    def test_ten_thousand(self):
        p = self.program("locks 10000")
        began = time.monotonic()
        out = self.attach(p, "info gthreads", "info gthreads -limit 5 mutex")
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(out.count(" locks at "), 10005)
        self.assertIn("\n5 of 10001 gthreads", out)
        self.ends_well(p, 10000)

    def test_cplusplus(self):
        p = self.program(name="prog-c++")
        out = self.attach(p, "info gthreads", "gthread apply all bt")
        self.assertEqual(len(re.findall(
            r"condition variable 0x\w+ .*condition_variable", out)), 3, out)
        found = [s for s in stacks(out).values()
                 if any(f.startswith("depot::Queue::take<") for f in s)]
        self.assertEqual(len(found), 3, out)
        self.assertTrue(all(s[-1] == "goexit" for s in found))
        self.assertEqual(p.ends(), ("ended\n", 0))


class Running(Case):
    """Under gdb from the beginning."""

    def run_in(self, *commands, procs="1"):
        """gdb 13 takes a process that ends while one of its threads makes
        another for an error of its own (linux-nat.c:1849); or it sees its
        threads end, and the process not."""
        for _ in range(5):
            out, err = gdb(
                [f"set exec-wrapper env LD_PRELOAD={LIBRARY} "
                 f"GMPPROCS={procs}", *commands], self.path("prog-c"))
            if "internal-error" not in out + err and (
                    "exited with code" in out or commands[-1] == "kill"):
                break
        return out, err

    def with_input(self, text):
        path = self.path("input")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return f"run <{path}"

    def test_goes_on_as_natively(self):
        before = self.with_input("waits 2\nreturns 2\nlocks 2\nexit\n")
        out, err = self.run_in(
            "break made if nthreads == 6", before, "info gthreads",
            "gthread apply all bt -3", "gthread threads[0]", "up 2", "delete",
            "continue")
        self.assertIn("[Switching to gthread ", out, err)
        self.assertIn("6 threads, 15", out)
        self.assertIn("exited with code 07", out, err)
        self.assertEqual(err.count("Exception"), 0, err)

    def test_a_thread_that_has_not_run(self):
        before = self.with_input("locks 1\nexit\n")
        out, _ = self.run_in("break made", before, "info gthreads",
                             "gthread threads[0]", "bt", "continue")
        self.assertRegex(out, r"runnable, new +\d* *\S*locks +locks")
        self.assertRegex(out, r"(?m)^#1 .* in gstart \(")
        self.assertRegex(out, r"(?m)^#2 .* in goexit \(")
        self.assertIn("exited with code 07", out)

    def test_the_selection_ends_when_the_program_runs(self):
        before = self.with_input("waits 2\nlocks 2\nexit\n")
        out, err = self.run_in(
            "break made if nthreads == 4", before, "gthread threads[0]",
            "info gthreads", "bt 2", "next", "gthread", "bt 2", "kill")
        switched = re.search(r"\[Switching to gthread (\d+) ", out)[1]
        self.assertRegex(out, rf"(?m)^\* {switched} ", err)
        self.assertRegex(out, rf"(?m)^#0 +<gthread {switched} .*>")
        last = out[out.index("[Current is "):]
        self.assertIn(f'(tid {re.search("process ([0-9]+)", out)[1]} ', last)
        self.assertNotIn("<gthread", last)
        self.assertRegex(last, r"(?m)^#0 .*main \(")

    def test_no_function_is_called_for_a_parked_thread(self):
        p = self.program("locks 2")
        out = self.attach(p, "info gthreads")
        ids = [str(goid) for goid, (_, rest) in rows(out).items()
               if " locks " in rest]
        out, err = gdb(["show may-call-functions", f"gthread {ids[0]}",
                        "print (int)getpid()", "print nthreads",
                        f"gthread apply {' '.join(ids)} print made()",
                        "gthread none",
                        "show may-call-functions"], "-p", str(p.pid))
        refused = "Cannot call functions in the program: may-call-functions"
        self.assertEqual((out + err).count(refused), 3, out + err)
        self.assertIn("$1 = 2", out)
        self.assertEqual(len(re.findall(
            r"Permission to call functions in the program is on\.", out)), 2,
            out)
        self.ends_well(p, 2)

    def test_none_shows_the_kernel_thread(self):
        before = self.with_input("waits 2\nlocks 2\nexit\n")
        out, _ = self.run_in(
            "break made if nthreads == 4", before, "gthread threads[0]",
            "gthread none", "bt", "kill")
        last = out[out.index("[Switching to gthread"):]
        self.assertRegex(last, r"(?m)^#0 +made \(")
        self.assertNotIn("<gthread", last)


class Dump(Case):
    def look(self, core):
        out, err = gdb(["info gthreads", "gthread apply all bt",
                        "gthread threads[0]", "frame function locks",
                        "p mine"], self.path("prog-c"), core)
        self.assertEqual(len(rows(out)), 10, out + err)
        found = stacks(out)
        self.assertEqual(
            sorted(s[-3] for s in found.values() if s[-1] == "goexit"),
            ["locks", "locks", "locks", "reads", "recurses", "sleeps",
             "sleeps", "waits", "waits"], out)
        self.assertIn("= 1000", out)
        self.assertNotIn("Exception", err)
        return found

    def test_of_a_crash(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
            if f.read().strip() not in ("core", "core.%p"):
                self.skipTest("core dumps go elsewhere")
        p = self.program(*ALL_KINDS, "sleeps 1", GMPPROCS="1")
        p.say("abort")
        self.assertEqual(p.child.wait(60), -signal.SIGABRT)
        core = next(self.path(name)
                    for name in os.listdir(self.temp)
                    if name in ("core", f"core.{p.pid}"))
        self.addCleanup(os.unlink, core)
        found = self.look(core)
        self.assertTrue(any("main" in s and any("abort" in f for f in s)
                            for s in found.values()))


    def test_of_a_process_that_goes_on(self):
        p = self.program(*ALL_KINDS, "sleeps 1", GMPPROCS="1")
        core = self.path("gcore")
        out = self.attach(p, f"gthread gcore {core}")
        self.assertIn("The stacks are in it too", out)
        self.addCleanup(os.unlink, core)
        self.look(core)
        self.ends_well(p, 9)


class Refusals(Case):
    def refused(self, *commands, args=()):
        return gdb(commands, *args)[1]

    def test_no_program(self):
        for command in "info gthreads", "gthread 1", "gthread apply all bt":
            self.assertIn("No program: run one",
                          self.refused(command, args=[self.path("prog-c")]))

    def test_no_library(self):
        for command in "info gthreads", "gthread", "gthread apply 1 bt":
            self.assertIn("runs without libgmpthread", self.refused(
                "break main", "run", command, "kill",
                args=[self.path("prog-c")]))

    def test_no_thread(self):
        p = self.program(settle=False)
        self.assertIn("has made no thread yet", self.refused(
            "info gthreads", args=["-p", str(p.pid)]))

    def test_off(self):
        p = self.program("locks 1", settle=False, GMP_MODE="off")
        self.assertIn("runs with GMP_MODE=off", self.refused(
            "info gthreads", args=["-p", str(p.pid)]))

    def test_wrong_arguments(self):
        p = self.program("locks 1")
        err = self.refused(
            "gthread 99999", "gthread apply bt", "gthread apply 1-3",
            "info gthreads -limit", "gthread nonsense",
            args=["-p", str(p.pid)])
        self.assertIn("No gthread 99999: see info gthreads.", err)
        self.assertEqual(err.count("Usage: gthread apply all|ID... COMMAND"),
                         2)
        self.assertIn("-limit: a number is wanted.", err)
        self.assertIn('No symbol "nonsense"', err)

    def test_a_thread_that_has_ended(self):
        p = self.program("returns 1", "locks 1")
        self.assertIn("gthread threads[0] has ended.", self.refused(
            "gthread threads[0]", args=["-p", str(p.pid)]))

    def test_no_debug_information(self):
        library = self.path("libgmpthread.so")
        self.assertEqual(
            run("strip", "-g", "-o", library, LIBRARY).returncode, 0)
        out = run("gdb", "-nx", "-batch", "-ex", f"source {SCRIPT}",
                  "-ex", f"set exec-wrapper env LD_PRELOAD={library}", "-ex",
                  "break main", "-ex", "run", "-ex", "info gthreads", "-ex",
                  "kill", self.path("prog-c"))
        self.assertIn("libgmpthread.so: no debug information", out.stderr)


class Loading(Case):
    def test_by_itself(self):
        p = self.program("locks 1")
        out = run("gdb", "-nx", "-batch", "-iex",
                  f"add-auto-load-safe-path {OUT}", "-p", str(p.pid),
                  "-ex", "info gthreads").stdout
        self.assertEqual(len(rows(out)), 2, out)

    def test_twice(self):
        p = self.program("locks 1")
        out = self.attach(p, "info gthreads", f"source {SCRIPT}",
                          "gthread threads[0]", "bt", "info gthreads")
        self.assertEqual(out.count(" locks at "), 2)
        self.assertEqual(len(re.findall(r"(?m)^#\d+ .*in locks \(", out)), 1)


class Help(Case):
    def test_help_and_completion(self):
        p = self.program("locks 2")
        out = self.attach(
            p, "help gthread", "help info gthreads", "help gthread apply",
            "complete gthread ", "complete gthread apply ",
            "complete info gthr")
        for text in ("Usage: gthread [ID]", "Usage: info gthreads [-limit N]",
                     "Usage: gthread apply ID... COMMAND",
                     "gthread apply\n", "gthread none\n",
                     "gthread apply all\n", "info gthreads\n"):
            self.assertIn(text, out)
