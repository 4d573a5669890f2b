/* GMPPROCS, GMP_MODE, GMP_DETOURS and GMPDEBUG, read once before the first thread. */
#include <stdlib.h>
#include <string.h>

#include "core/runtime.h"

struct debugvars debug = { .dump = -1 };
int envprocs;
enum gmpmode envmode = MODE_MN;
bool envdetours = true;

/* A whole decimal number from 0 to max, or -1. */
static int64_t
number(const char *s, size_t n, int64_t max)
{
	int64_t v = 0;
	size_t i;

	if (n == 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
		if (v > max)
			return -1;
	}
	return v;
}

#define DEBUGKEYS                                                              \
	"allowed is a comma-separated list of asyncpreemptoff=0|1, "           \
	"checkdead=0|1, detours=0|1, dump=SIGNAL, dumpjson=0|1, "              \
	"inittrace=0|1, randomize=SEED, "                                      \
	"scheddetail=0|1, schedtrace=MS, stats=PREFIX, tracebackancestors=N; " \
	"ignored"

static const struct {
	const char *key;
	bool *value;
} flags[] = {
	{ "asyncpreemptoff", &debug.asyncpreemptoff },
	{ "checkdead", &debug.checkdead },
	{ "detours", &debug.detours },
	{ "dumpjson", &debug.dumpjson },
	{ "inittrace", &debug.inittrace },
	{ "scheddetail", &debug.scheddetail },
};

static const struct {
	const char *key;
	int64_t *value;
	int64_t min, max;
} numbers[] = {
	{ "randomize", &debug.randomize, 1, INT64_MAX / 10 - 1 },
	{ "schedtrace", &debug.schedtrace, 0, INT32_MAX },
	{ "tracebackancestors", &debug.tracebackancestors, 0, 100 },
};

/*
 * A signal's number, or its name with or without SIG; -1: it is none, or none for
 * this: not to be caught, libc's, a fault's, or the end of abort().
 */
static int64_t
signalof(const char *s, size_t n)
{
	static const uint64_t others = 1ull << SIGKILL | 1ull << SIGSTOP |
	    3ull << 32 | 1ull << SIGSEGV | 1ull << SIGBUS | 1ull << SIGFPE |
	    1ull << SIGILL | 1ull << SIGTRAP | 1ull << SIGSYS | 1ull << SIGABRT;
	int64_t sig = number(s, n, 63);
	const char *name;

	if (sig < 0 && n > 3 && memcmp(s, "SIG", 3) == 0) {
		s += 3;
		n -= 3;
	}
	for (int i = 1; sig < 0 && i < 32; i++) {
		name = sigabbrev_np(i);
		if (name != NULL && strlen(name) == n &&
		    memcmp(name, s, n) == 0)
			sig = i;
	}
	return sig >= 0 && (others >> sig & 1) != 0 ? -1 : sig;
}

/* One key=value of GMPDEBUG; false when it is none of ours. */
static bool
debugkey(const char *key, size_t nkey, const char *val, size_t nval)
{
	int64_t v;
	char *copy;

	size_t i;

	for (i = 0; i < nelem(flags); i++) {
		if (strlen(flags[i].key) != nkey ||
		    memcmp(key, flags[i].key, nkey) != 0)
			continue;
		v = number(val, nval, 1);
		if (v < 0)
			return false;
		*flags[i].value = v != 0;
		return true;
	}
	for (i = 0; i < nelem(numbers); i++) {
		if (strlen(numbers[i].key) != nkey ||
		    memcmp(key, numbers[i].key, nkey) != 0)
			continue;
		v = number(val, nval, numbers[i].max);
		if (v < numbers[i].min)
			return false;
		*numbers[i].value = v;
		return true;
	}
	if (nkey == 4 && memcmp(key, "dump", 4) == 0) {
		v = signalof(val, nval);
		if (v < 0)
			return false;
		debug.dump = v;
		return true;
	}
	if (nkey == 5 && memcmp(key, "stats", 5) == 0 && nval > 0) {
		copy = persistentalloc(nval + 1);
		if (copy == NULL)
			return false;
		memcpy(copy, val, nval);
		debug.stats = copy;
		return true;
	}
	return false;
}

static void
parsedebug(const char *s)
{
	const char *p, *end, *eq, *wrong = NULL;
	size_t nwrong = 0;

	for (p = s; *p != 0; p = *end != 0 ? end + 1 : end) {
		end = strchrnul(p, ',');
		eq = memchr(p, '=', (size_t)(end - p));
		if (eq != NULL &&
		    debugkey(p, (size_t)(eq - p), eq + 1,
			(size_t)(end - eq - 1)))
			continue;
		if (wrong == NULL) {
			wrong = p;
			nwrong = (size_t)(end - p);
		}
	}
	if (wrong != NULL)
		badsetting("GMPDEBUG", wrong, nwrong, DEBUGKEYS);
}

/* Our variables as the process was started with them; NULL: not set. */
static const char *const settings[] = { "GMPPROCS", "GMP_MODE", "GMP_DETOURS",
	"GMPDEBUG", TRACEVAR };
static char *saved[nelem(settings)];

/*
 * Programs overwrite their environment (nginx, whatever shows a title in ps), or
 * empty it, before they make a thread.
 */
__attribute__((constructor)) static void
saveenv(void)
{
	const char *s;
	size_t i, n;

	for (i = 0; i < nelem(settings); i++) {
		s = getenv(settings[i]);
		if (s == NULL)
			continue;
		n = strlen(s) + 1;
		saved[i] = persistentalloc(n);
		if (saved[i] != NULL)
			memcpy(saved[i], s, n);
	}
}

/* What the program sets later counts too. */
static const char *
setting(const char *name)
{
	const char *s = getenv(name);
	size_t i;

	for (i = 0; s == NULL && i < nelem(settings); i++)
		if (strcmp(settings[i], name) == 0)
			s = saved[i];
	return s;
}

/* Says what is wrong in one line for each variable, and keeps the default. */
void
parsedebugvars(void)
{
	static bool done;
	const char *s;
	int64_t v;

	if (done)
		return; /* the child of a fork */
	done = true;
	s = setting("GMPPROCS");
	if (s != NULL) {
		v = number(s, strlen(s), MAXPROCS);
		if (v > 0)
			envprocs = (int)v;
		else
			badsetting("GMPPROCS", s, strlen(s),
			    "allowed is a number from 1 to 4096; "
			    "using the number of CPUs");
	}
	s = setting("GMP_MODE");
	if (s != NULL) {
		if (strcmp(s, "off") == 0)
			envmode = MODE_OFF;
		else if (strcmp(s, "bound") == 0)
			envmode = MODE_BOUND;
		else if (strcmp(s, "mn") != 0)
			badsetting("GMP_MODE", s, strlen(s),
			    "allowed are off, bound and mn; using mn");
	}
	s = setting("GMP_DETOURS");
	if (s != NULL) {
		v = number(s, strlen(s), 1);
		if (v >= 0)
			envdetours = v != 0;
		else
			badsetting("GMP_DETOURS", s, strlen(s),
			    "allowed are 0 and 1; using 1");
	}
	tracepath = setting(TRACEVAR);
	s = setting("GMPDEBUG");
	if (s != NULL)
		parsedebug(s);
}

/*
 * Where the random numbers of the nth P begin, or sysmon's.  Of those that take
 * part in its decisions each P has its own, so that the Ms, which come and go with
 * the kernel's timing, have no say.
 */
uint32_t
randseed(uint32_t n)
{
	uint64_t x = debug.randomize != 0 ? (uint64_t)debug.randomize
					  : (uint64_t)nanotime();

	/* The finish of SplitMix64. */
	x += (n + 1) * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	x ^= x >> 31;
	return (uint32_t)x | 1; /* 0 would stay there */
}

bool
detourswanted(void)
{
	return envdetours;
}

bool
detoursshown(void)
{
	return debug.detours || debug.inittrace;
}
