#include "tools/gmp-top/symbols.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/gmp-top/hash.h"
#include "tools/gmp-top/namer.h"

#define MAXANSWER (64ul << 20) /* bytes */
#define MAXMEMORY (4ul << 30)
#define MAXFRAMES 64	     /* functions inlined at one pc */
#define MAXCODES (1ul << 20) /* pcs: others have no more than their address */

/* --- what is known ------------------------------------------------------------- */

static size_t
slot_of(const struct symbols *sy, uint64_t pc)
{
	size_t i = hash(pc, sy->mask);

	while (sy->slot[i] != 0 && sy->code[sy->slot[i] - 1].pc != pc)
		i = (i + 1) & sy->mask;
	return i;
}

const struct code *
symbols_of(const struct symbols *sy, uint64_t pc)
{
	uint32_t i = sy->slot != NULL ? sy->slot[slot_of(sy, pc)] : 0;

	return i != 0 ? &sy->code[i - 1] : NULL;
}

static void
free_frames(struct code *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->frame[i].function);
		free(c->frame[i].place);
	}
	free(c->frame);
	c->frame = NULL;
	c->n = 0;
}

void
symbols_free(struct symbols *sy)
{
	size_t i;

	for (i = 0; i < sy->ncode; i++)
		free_frames(&sy->code[i]);
	free(sy->code);
	free(sy->slot);
	memset(sy, 0, sizeof(*sy));
}

/* Room for one more, the slots at most half full. */
static bool
grow(struct symbols *sy)
{
	size_t cap = sy->cap == 0 ? 256 : 2 * sy->cap, i;
	struct code *code;
	uint32_t *slot;

	if (sy->code != NULL && sy->ncode < sy->cap)
		return true;
	code = calloc(cap, sizeof(*code));
	slot = calloc(2 * cap, sizeof(*slot));
	if (code == NULL || slot == NULL) {
		free(code);
		free(slot);
		return false;
	}
	if (sy->code != NULL)
		memcpy(code, sy->code, sy->ncode * sizeof(*code));
	free(sy->code);
	free(sy->slot);
	sy->code = code;
	sy->slot = slot;
	sy->cap = cap;
	sy->mask = 2 * cap - 1;
	for (i = 0; i < sy->ncode; i++)
		slot[slot_of(sy, code[i].pc)] = (uint32_t)i + 1;
	return true;
}

static bool
add_frame(struct code *c, const char *function, const char *place)
{
	struct frame *f;

	if (c->n == MAXFRAMES)
		return true;
	f = realloc(c->frame, (c->n + 1) * sizeof(*f));
	if (f == NULL)
		return false;
	c->frame = f;
	f += c->n;
	f->function = function != NULL ? strdup(function) : NULL;
	f->place = strdup(place);
	if (f->place == NULL) {
		free(f->function);
		return false;
	}
	c->n++;
	return true;
}

/* The pc, if it is new, as what is certain about it: its place in a file. */
static bool
add_pc(struct symbols *sy, const struct snapshot *s, uint64_t pc)
{
	const struct snapmodule *mod;
	struct code *c;
	char place[300];

	if (pc == 0 || symbols_of(sy, pc) != NULL || sy->ncode == MAXCODES)
		return true;
	if (!grow(sy))
		return false;
	mod = snapshot_module(s, pc);
	if (mod != NULL && mod->path[0] != '\0')
		snprintf(place, sizeof(place), "%s+0x%llx", mod->path,
		    (unsigned long long)(pc - mod->bias));
	else
		snprintf(place, sizeof(place), "0x%llx",
		    (unsigned long long)pc);
	c = &sy->code[sy->ncode];
	*c = (struct code){ .pc = pc };
	if (!add_frame(c, NULL, place))
		return false;
	sy->slot[slot_of(sy, pc)] = (uint32_t)++sy->ncode;
	return true;
}

/* --- asking for names -------------------------------------------------------------- */

/* A process that may crash and hang without us; the read end, or -1. */
static int
start_namer(pid_t pid, const struct snapshot *s, const uint64_t *pc, size_t n,
    int ms, pid_t *child)
{
	const struct rlimit none = { 0, 0 }, memory = { MAXMEMORY, MAXMEMORY };
	struct rlimit cpu = { (rlim_t)ms / 1000 + 1, (rlim_t)ms / 1000 + 1 };
	FILE *out;
	int fd[2], sig;

	if (pipe(fd) != 0)
		return -1;
	*child = fork();
	if (*child == 0) {
		/* The terminal is not its own. */
		for (sig = 1; sig < NSIG; sig++)
			signal(sig, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[0]);
		close(STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &none);
		setrlimit(RLIMIT_AS, &memory);
		setrlimit(RLIMIT_CPU, &cpu);
		out = fdopen(fd[1], "w");
		if (out != NULL) {
			/* What is known when a file makes it crash. */
			setvbuf(out, NULL, _IOLBF, BUFSIZ);
			name_code(pid, s, pc, n, out);
			fflush(out);
		}
		_exit(0);
	}
	close(fd[1]);
	if (*child < 0) {
		close(fd[0]);
		return -1;
	}
	return fd[0];
}

static int64_t
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What comes until the end, or the time is over; a string. */
static char *
read_answer(int fd, int ms)
{
	int64_t until = milliseconds() + ms, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0, cap = 1 << 16;
	char *buf = malloc(cap), *more;
	ssize_t r;

	if (buf == NULL)
		return NULL;
	while (n < MAXANSWER) {
		left = until - milliseconds();
		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
			break;
		if ((p.revents & (POLLIN | POLLHUP)) == 0)
			continue;
		if (n + 4096 > cap) {
			more = realloc(buf, cap *= 2);
			if (more == NULL)
				break;
			buf = more;
		}
		r = read(fd, buf + n, cap - n - 1);
		if (r == 0 || (r < 0 && errno != EINTR))
			break;
		n += r > 0 ? (size_t)r : 0;
	}
	buf[n] = '\0';
	return buf;
}

/* One line of it. */
static bool
take_line(struct code *code, size_t n, char *line, size_t *last)
{
	char *function, *place;
	size_t i = strtoul(line, &function, 10);

	if (i >= n || *function++ != '\t' ||
	    (place = strchr(function, '\t')) == NULL)
		return true;
	*place++ = '\0';
	if (i != *last)
		free_frames(&code[i]);
	*last = i;
	return add_frame(&code[i], function, place);
}

static bool
take_answer(struct code *code, size_t n, char *answer)
{
	char *line, *end;
	size_t last = SIZE_MAX;

	for (line = answer; (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		*end = '\0';
		if (!take_line(code, n, line, &last))
			return false;
	}
	return true;
}

/* Names for the n codes from code on. */
static bool
ask(struct code *code, size_t n, pid_t pid, const struct snapshot *s, int ms)
{
	uint64_t *pc = malloc(n * sizeof(*pc));
	char *answer = NULL;
	bool ok = true;
	pid_t child;
	size_t i;
	int fd;

	if (pc == NULL)
		return false;
	for (i = 0; i < n; i++)
		pc[i] = code[i].pc;
	fd = start_namer(pid, s, pc, n, ms, &child);
	free(pc);
	/* Without it there are places all the same. */
	if (fd < 0)
		return true;
	answer = read_answer(fd, ms);
	close(fd);
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (answer != NULL)
		ok = take_answer(code, n, answer);
	free(answer);
	return ok;
}

/* Of the modules: the same addresses may be others' after an exec, or a dlopen. */
static uint64_t
hash_modules(const struct snapshot *s)
{
	const unsigned char *p = (const unsigned char *)s->module;
	size_t n = s->nmodules * sizeof(*s->module), i;
	uint64_t h = 0xcbf29ce484222325ull;

	for (i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

bool
symbols_learn(struct symbols *sy, pid_t pid, const struct snapshot *s, int ms)
{
	uint64_t modules = hash_modules(s);
	size_t old, i, j;
	bool ok = true;

	if (modules != sy->modules)
		symbols_free(sy);
	sy->modules = modules;
	old = sy->ncode;
	for (i = 0; ok && i < s->nstacks; i++)
		for (j = 0; ok && j < s->stack[i].n; j++)
			ok = add_pc(sy, s, s->stack[i].pc[j]);
	for (i = 0; ok && i < s->ng; i++) {
		if (snapshot_stack(s, s->g[i].goid) == NULL)
			continue;
		ok = add_pc(sy, s, s->g[i].startpc) &&
		    add_pc(sy, s, s->g[i].createdpc);
	}
	return ok &&
	    (sy->ncode == old || ms == 0 ||
		ask(sy->code + old, sy->ncode - old, pid, s, ms));
}
