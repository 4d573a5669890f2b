/* gmp-top: what goes on in a process that runs with libgmpthread. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/gmp-top/attach.h"
#include "tools/gmp-top/batch.h"
#include "tools/gmp-top/choose.h"
#include "tools/gmp-top/screen.h"
#include "tools/gmp-top/trace.h"
#include "tools/gmp-top/stacks.h"
#include "tools/gmp-top/term.h"

#define TRACEMS 500 /* between renewals of a trace, within SNAPLEASE */
#define WANT (SNAPWANTPS | SNAPWANTGS | SNAPWANTLAT)
#define NAMESMS 2000	 /* for the names of one thread's stack */
#define ALLNAMESMS 30000 /* of all */

static const char usage[] =
    "usage: gmp-top [-b] [-d seconds] [-n count] [-s order] [-f text] [-r "
    "rows]\n"
    "               [--json] [--once] [--stacks] [PID | program]\n"
    "\n"
    "Shows the threads of a process that runs with libgmpthread, and what "
    "runs\n"
    "them.  Without a process there is a list to choose from.\n"
    "\n"
    "  -b          write text instead of drawing on the terminal\n"
    "  -d seconds  between two looks (1)\n"
    "  -n count    so many looks, then end\n"
    "  -s order    threads by cpu, wait, age or stack\n"
    "  -f text     only threads that have it in goid, tid, name, state or "
    "wait\n"
    "  -r rows     no more than so many threads, with -b\n"
    "  --json      -b with one JSON object on a line for each look\n"
    "  --once      the same as -b -n 1\n"
    "  --stacks    the stacks of all threads, equal ones together, and end\n"
    "  --trace file\n"
    "              what the scheduler does in -d seconds, for Perfetto's UI\n"
    "  -h, -V      this text, the version\n"
    "\n"
    "Exit status: 0, or 1 when there is nothing to see, 2 for wrong usage.\n";

struct options {
	bool batch, json, stacks;
	double delay;
	long count, rows;
	enum sort sort;
	const char *filter, *target, *trace;
};

/* One line on stderr, the terminal as it was before, and out. */
static _Noreturn void fail(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static _Noreturn void
fail(int status, const char *fmt, ...)
{
	va_list ap;

	term_close();
	fputs("gmp-top: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/* --- options ------------------------------------------------------------------------ */

static long
number(const char *text, const char *what)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || n < 1)
		fail(2, "%s: %s is a number from 1 on", text, what);
	return n;
}

static double
seconds(const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0.01 && s <= 86400))
		fail(2, "%s: seconds from 0.01 to 86400 are wanted", text);
	return s;
}

static enum sort
order(const char *text)
{
	int i;

	for (i = 0; i < NSORTS; i++)
		if (strcmp(text, sort_name((enum sort)i)) == 0)
			return (enum sort)i;
	fail(2, "%s: the orders are cpu, wait, age and stack", text);
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "once", no_argument, NULL, '1' },
		{ "stacks", no_argument, NULL, 'S' },
		{ "trace", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*o = (struct options){ .delay = 1 };
	while (
	    (c = getopt_long(argc, argv, "bd:n:s:f:r:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'b':
			o->batch = true;
			break;
		case 'd':
			o->delay = seconds(optarg);
			break;
		case 'n':
			o->count = number(optarg, "the count");
			break;
		case 's':
			o->sort = order(optarg);
			break;
		case 'f':
			o->filter = optarg;
			break;
		case 'r':
			o->rows = number(optarg, "the number of rows");
			break;
		case 'j':
			o->batch = o->json = true;
			break;
		case 'S':
			o->stacks = true;
			/* fallthrough */
		case '1':
			o->batch = true;
			o->count = 1;
			break;
		case 't':
			o->batch = true;
			o->trace = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			puts("gmp-top (libgmpthread) " VERSION);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (argc - optind > 1) {
		fputs(usage, stderr);
		exit(2);
	}
	o->target = argv[optind];
}

/* --- what to watch ------------------------------------------------------------------ */

static pid_t
find(const char *target)
{
	pid_t pids[2];
	size_t n;
	long pid;

	if (target[0] != '\0' && target[strspn(target, "0123456789")] == '\0') {
		pid = strtol(target, NULL, 10);
		if (pid < 1 || pid > INT_MAX)
			fail(1, "%s: no such process", target);
		return (pid_t)pid;
	}
	n = targets(target, pids, 2);
	if (n == 0)
		fail(1, "%s: no such program runs with libgmpthread", target);
	if (n > 1)
		fail(1, "%s: several run, %d and %d among them: name one",
		    target, (int)pids[0], (int)pids[1]);
	return pids[0];
}

/* --- the loops ------------------------------------------------------------------------- */

static const char *missed; /* why there was no look, at last; or NULL */

enum looked { LOOKED, MISSED, ENDED };

/*
 * With stacks, those of the G stackof, or of all when that is 0.  What is frozen gets
 * nothing else.
 */
static enum looked
look(struct target *t, struct model *m, struct symbols *sy, bool stacks,
    uint64_t stackof)
{
	struct snapshot s;
	const char *why;

	why = take(t, WANT | (stacks ? SNAPWANTSTACKS : 0) | trace_want(),
	    stackof, &s);
	if (why != NULL) {
		if (m->now.h.magic == 0)
			fail(1, "%d: %s", (int)t->pid, why);
		screen_message(why);
		missed = why;
		return t->gone ? ENDED : MISSED;
	}
	if (missed != NULL)
		screen_message("");
	missed = NULL;
	if (screen_frozen())
		model_stacks(m, &s);
	else if (!model_next(m, &s))
		fail(1, "out of memory");
	if (stacks &&
	    !symbols_learn(sy, t->pid, &m->now,
		stackof != 0 ? NAMESMS : ALLNAMESMS))
		fail(1, "out of memory");
	return LOOKED;
}

static void
batch(struct target *t, struct model *m, struct symbols *sy,
    const struct options *o)
{
	struct timespec ts = { .tv_sec = (time_t)o->delay };
	bool ok = true;
	long i;

	ts.tv_nsec = (long)((o->delay - (double)ts.tv_sec) * 1e9);
	for (i = 0; o->count == 0 || i < o->count; i++) {
		if (i > 0)
			nanosleep(&ts, NULL);
		switch (look(t, m, sy, o->stacks, 0)) {
		case LOOKED:
			break;
		case MISSED:
			fprintf(stderr, "gmp-top: %d: %s\n", (int)t->pid,
			    missed);
			continue;
		case ENDED:
			return;
		}
		if (o->json)
			ok = batch_json(m, o->stacks ? sy : NULL, stdout);
		else if (o->stacks)
			ok = stacks_text(m, sy, stdout);
		else
			batch_text(m, (size_t)o->rows, stdout);
		if (!ok)
			fail(1, "out of memory");
		if (ferror(stdout))
			fail(1, "writing: %s", strerror(errno));
	}
}

/* So that a trace goes on.  False when the process has ended. */
static bool
renew(struct target *t)
{
	struct snapshot s;

	if (take(t, trace_want(), 0, &s) == NULL)
		snapshot_free(&s);
	return !t->gone;
}

/* So long as -d says, or until the process ends. */
static void
trace_file(struct target *t, const struct options *o)
{
	const struct timespec turn = { .tv_nsec = TRACEMS * 1000000l };
	long left = (long)(o->delay * 1000);
	const char *why = trace_begin(t);
	struct timespec rest = { 0 };
	char text[4096];

	if (why != NULL)
		fail(1, "%s: %s", o->target, why);
	for (; left > TRACEMS; left -= TRACEMS) {
		nanosleep(&turn, NULL);
		if (!renew(t))
			break;
	}
	rest.tv_nsec = left <= TRACEMS ? left * 1000000l : 0;
	nanosleep(&rest, NULL);
	if (!trace_end(o->trace, text, sizeof(text)))
		fail(1, "%s", text);
	puts(text);
}

static void
trace_key(struct target *t)
{
	char path[64], text[4096];
	const char *why;

	if (trace_want() == 0) {
		why = trace_begin(t);
		screen_message(
		    why != NULL ? why : "traces; t: writes the file");
		return;
	}
	snprintf(path, sizeof(path), "gmp-top.%d.pftrace", (int)t->pid);
	trace_end(path, text, sizeof(text));
	screen_message(text);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
interactive(struct target *t, struct model *m, struct symbols *sy,
    const struct options *o)
{
	uint64_t goid;
	double delay = o->delay, next = 0, wait;
	bool asked = true;
	long looks = 0;

	for (;;) {
		if (!t->gone && (asked || now() >= next)) {
			if (o->count != 0 && looks == o->count)
				return;
			goid = screen_detail();
			if (asked || !screen_frozen())
				look(t, m, sy, goid != 0, goid);
			else if (trace_want() != 0)
				renew(t);
			looks++;
			asked = false;
			/* Within SNAPLEASE. */
			next = now() +
			    (trace_want() != 0 && delay > 1 ? 1 : delay);
		}
		screen_draw(m, sy, delay);
		wait = t->gone ? 3600 : next - now();
		switch (screen_key(m, wait > 0 ? (int)(wait * 1000) + 1 : 0,
		    &delay)) {
		case QUIT:
			return;
		case TRACE:
			trace_key(t);
			break;
		case REFRESH:
			asked = true;
			break;
		case NOTHING:
			break;
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o;
	struct symbols sy = { 0 };
	struct target t;
	struct model m;
	const char *why;
	pid_t pid;

	/* Which characters the terminal has, and how wide they are. */
	setlocale(LC_CTYPE, "");
	parse(&o, argc, argv);
	if (o.target == NULL && o.batch)
		fail(2, "which process?");
	/* Before the terminal changes: what goes wrong is said as it was. */
	pid = o.target != NULL ? find(o.target) : 0;
	why = pid != 0 ? attach(&t, pid) : NULL;
	if (why != NULL)
		fail(1, "%s: %s", o.target, why);
	if (!o.batch && !term_open(&why))
		fail(1, "%s", why);
	if (pid == 0) {
		pid = choose();
		if (pid == 0) {
			term_close();
			return 0;
		}
		why = attach(&t, pid);
		if (why != NULL)
			fail(1, "%d: %s", (int)pid, why);
	}
	model_init(&m);
	m.sort = o.sort;
	if (o.filter != NULL)
		snprintf(m.filter, sizeof(m.filter), "%s", o.filter);
	if (o.trace != NULL)
		trace_file(&t, &o);
	else if (o.batch)
		batch(&t, &m, &sy, &o);
	else
		interactive(&t, &m, &sy, &o);
	term_close();
	if (t.gone)
		fprintf(stderr, "gmp-top: %d: %s\n", (int)pid, missed);
	symbols_free(&sy);
	model_free(&m);
	detach(&t);
	return 0;
}
