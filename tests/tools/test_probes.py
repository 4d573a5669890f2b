"""The library's static probes (core/README.md): gdb stops at each of them, and
finds the arguments that belong to what the program has just done.
"""

import os
import re
import tempfile
import unittest

from built import LIBRARY, environment, run

PROBES = {"create", "exit", "park", "ready", "switch", "syscall_enter",
          "syscall_exit", "handoff", "steal", "preempt"}

PROGRAM_SOURCE = r"""
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <sys/random.h>

pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
atomic_int phase, stop;

void *
locks(void *arg)
{
	phase = 1;
	pthread_mutex_lock(&m);
	pthread_mutex_unlock(&m);
	return arg;
}

void *
computes(void *arg)
{
	phase++;
	while (!stop)
		;
	return arg;
}

void *
stops(void *arg)
{
	stop = 1;
	return arg;
}

/* One thread waits for a mutex, which main() gives back. */
void
mutex(void)
{
	pthread_t t;

	pthread_mutex_lock(&m);
	pthread_create(&t, NULL, locks, NULL);
	while (phase != 1)
		sched_yield();
	pthread_mutex_unlock(&m);
	pthread_join(t, NULL);
}

/* A call of the kernel's that is announced, and one that is known to sleep. */
void
calls(void)
{
	pthread_t t;
	char c;

	stop = 1;
	pthread_create(&t, NULL, computes, NULL);
	pthread_join(t, NULL);
	getrandom(&c, 1, 0);
	fsync(0);
}

/* More who compute than Ps; then many for one of them, which others steal. */
void
compute(void)
{
	pthread_t t[4];
	int i;

	phase = stop = 0;
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, computes, NULL);
	while (phase < 3)
		;
	pthread_create(&t[3], NULL, stops, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "compute") == 0)
		compute();
	else if (argc > 1 && strcmp(argv[1], "calls") == 0)
		calls();
	else
		mutex();
	return 0;
}
"""

HIT = re.compile(r"^hit (\w+)(.*)$", re.M)


class Probes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.temp.name, "program")
        source = cls.program + ".c"
        with open(source, "w") as f:
            f.write(PROGRAM_SOURCE)
        r = run("gcc", "-O1", "-g", "-pthread", "-o", cls.program, source)
        assert r.returncode == 0, r.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()

    def hits(self, what, probes, procs="1"):
        """The program under gdb: (probe, [argument...]) in their order."""
        commands = [
            "set startup-with-shell off", "set confirm off",
            "set debuginfod enabled off", "set print address on",
            "set print symbol on", "set print thread-events off",
            "handle SIG33 nostop noprint pass", "break main", f"run {what}"]
        for probe, narg in probes.items():
            args = "".join(f'\nprintf " "\noutput/a $_probe_arg{i}'
                           for i in range(narg))
            commands += [
                f"break -probe-stap gmpthread:{probe}",
                f'commands\nsilent\nprintf "hit {probe}"{args}\n'
                'printf "\\n"\ncontinue\nend']
        commands += ["continue"]
        script = os.path.join(self.temp.name, "script")
        with open(script, "w") as f:
            f.write("\n".join(commands) + "\n")
        r = run("/usr/bin/gdb", "-nx", "-q", "-batch",
                "-ex", f"set environment LD_PRELOAD {LIBRARY}",
                "-ex", f"set environment GMPPROCS {procs}",
                "-x", script, self.program, env=environment())
        self.assertIn("exited normally", r.stdout, r.stdout + r.stderr)
        return [(m.group(1), re.findall(r"0x[0-9a-f]+(?: <[^>]*>)?",
                                        m.group(2)))
                for m in HIT.finditer(r.stdout)]

    def test_all_are_there(self):
        notes = run("readelf", "-nW", LIBRARY).stdout
        found = set(re.findall(r"Provider: gmpthread\s+Name: (\w+)", notes))
        self.assertEqual(found, PROBES)
        # Arguments in registers would be instructions for nothing.
        for args in re.findall(r"Arguments: (.*)", notes):
            for arg in args.split():
                self.assertRegex(arg, r"^-?\d+@(-?\d*\(%\w+\)|\$-?\d+)$")

    def test_a_wait(self):
        hits = self.hits("mutex", {"create": 2, "exit": 2, "park": 4,
                                   "ready": 1, "switch": 3})
        goid, fn = next(a for p, a in hits if p == "create")
        self.assertIn("<locks>", fn)
        park = [a for p, a in hits if p == "park" and a[0] == goid]
        self.assertEqual(len(park), 1, hits)
        self.assertEqual(park[0][2], "0x1", "WAITMUTEX")
        self.assertIn("<m>", park[0][3])
        of = [p for p, a in hits if a[0] == goid]
        # Made, run, parked, woken by main(), run again, ended.
        self.assertEqual(
            of, ["create", "ready", "switch", "park", "ready", "switch",
                 "exit"], hits)
        main = {a[0] for p, a in hits if p == "switch"} - {goid}
        self.assertEqual(len(main), 1, hits)
        for p, a in hits:
            if p == "switch":
                self.assertEqual(a[2], "0x0", "P0")

    def test_calls(self):
        hits = self.hits("calls", {"create": 2, "syscall_enter": 2,
                                   "syscall_exit": 2, "handoff": 1})
        enter = [a for p, a in hits if p == "syscall_enter"]
        leave = [a for p, a in hits if p == "syscall_exit"]
        self.assertEqual(len(enter), 2, hits)
        self.assertEqual([goid for goid, m in enter],
                         [goid for goid, m in leave])
        # The second is known to sleep: the P goes when it begins.  It may go
        # in the first too, as gdb takes its time.
        self.assertEqual([p for p, a in hits][-3:], [
            "syscall_enter", "handoff", "syscall_exit"], hits)
        self.assertEqual({tuple(a) for p, a in hits if p == "handoff"},
                         {("0x0",)})

    def test_two_ps(self):
        hits = self.hits("compute", {"create": 2, "preempt": 2, "steal": 3},
                         procs="2")
        goids = {a[0] for p, a in hits if p == "create"}
        self.assertEqual(len(goids), 4)
        preempts = [a for p, a in hits if p == "preempt"]
        self.assertTrue(preempts)
        self.assertTrue(goids & {a[0] for a in preempts}, hits)
        steals = [a for p, a in hits if p == "steal"]
        self.assertTrue(steals, hits)
        for goid, by, victim in steals:
            self.assertIn(goid, goids | {"0x1"})
            self.assertEqual({by, victim}, {"0x0", "0x1"})


if __name__ == "__main__":
    unittest.main()
