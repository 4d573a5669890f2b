#include "tools/gmp-top/term.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "tools/gmp-top/snapshot.h"
#include "tools/trace/text.h"

#define KEYMS 100 /* between the bytes that a key sends at the most */

enum { BUSY = 1, STUCK };

/*
 * Of 256 colours, on white as on black of a contrast of 4.5 and more.  Of the first
 * eight green cannot be read on white, and red is brighter when bold.
 */
#define GREEN 29
#define RED 131

static bool opened;
static volatile sig_atomic_t ended_by;

/* For a crash: what ncurses would do may not be done in a handler. */
static struct termios before;
static char restore[128];

static void
note_signal(int sig)
{
	ended_by = sig;
}

static void
crash(int sig)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	if (write(STDOUT_FILENO, restore, strlen(restore)) >= 0)
		raise(sig);
}

/* Appends a capability, without the time that terminals took long ago. */
static void
add_capability(const char *name)
{
	const char *s = tigetstr(name);
	size_t n = strlen(restore);

	if (s == NULL || s == (const char *)-1)
		return;
	while (*s != '\0' && n + 1 < sizeof(restore)) {
		if (s[0] == '$' && s[1] == '<' && strchr(s, '>') != NULL)
			s = strchr(s, '>') + 1;
		else
			restore[n++] = *s++;
	}
	restore[n] = '\0';
}

static void
catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
		SIGABRT };
	struct sigaction sa = { .sa_handler = note_signal }, old;
	size_t i;

	for (i = 0; i < nelem(ends); i++)
		if (sigaction(ends[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(ends[i], &sa, NULL);
	sa.sa_handler = crash;
	sa.sa_flags = SA_RESETHAND | SA_NODEFER;
	for (i = 0; i < nelem(faults); i++)
		sigaction(faults[i], &sa, NULL);
}

static void
choose_colours(void)
{
	const char *none = getenv("NO_COLOR");

	if (!has_colors() || (none != NULL && none[0] != '\0'))
		return;
	/* Attributes say as much where the colours do not suit. */
	start_color();
	use_default_colors();
	if (COLORS >= 256) {
		init_pair(BUSY, GREEN, -1);
		init_pair(STUCK, RED, -1);
	} else {
		init_pair(BUSY, -1, -1);
		init_pair(STUCK, COLOR_RED, -1);
	}
}

bool
term_open(const char **why)
{
	const char *move;

	*why = "not a terminal: -b writes to a file or a pipe";
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	*why = "the terminal is not one that TERM describes: -b writes text";
	if (setupterm(NULL, STDOUT_FILENO, &(int){ 0 }) != OK)
		return false;
	*why = "the terminal cannot move its cursor: -b writes text";
	move = tigetstr("cup");
	if (move == NULL || move == (const char *)-1)
		return false;
	*why = "the terminal cannot be opened";
	/* ncurses leaves alone what is caught. */
	catch_signals();
	if (newterm(NULL, stdout, stdin) == NULL)
		return false;
	opened = true;
	add_capability("sgr0");
	add_capability("cnorm");
	add_capability("rmkx");
	add_capability("rmcup");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	/* Of terminals that have not been told, or not understood, to send others. */
	define_key("\033[A", KEY_UP);
	define_key("\033[B", KEY_DOWN);
	set_escdelay(KEYMS);
	curs_set(0);
	choose_colours();
	return true;
}

void
term_close(void)
{
	if (opened)
		endwin();
	opened = false;
	if (ended_by != 0) {
		signal(ended_by, SIG_DFL);
		raise(ended_by);
	}
}

attr_t
busy(void)
{
	return COLORS >= 256 ? (attr_t)COLOR_PAIR(BUSY) : A_BOLD;
}

attr_t
stuck(void)
{
	return A_BOLD | (attr_t)COLOR_PAIR(STUCK);
}

void
put(int y, const char *text, attr_t attr)
{
	if (y >= LINES)
		return;
	attrset(attr);
	mvaddnstr(y, 0, text, (int)text_fit(text, COLS));
	attrset(A_NORMAL);
}

void
bar(int y, const char *text, attr_t attr)
{
	put(y, text, attr);
	mvchgat(y, 0, -1, attr, (short)PAIR_NUMBER(attr), NULL);
}

/* The rest of what a key sends that terminfo does not know; ESCAPE when it is none. */
static int
rest_of_key(void)
{
	int c;

	timeout(0);
	c = getch();
	if (c == ERR)
		return ESCAPE;
	if (c == '[' || c == 'O')
		do
			c = getch();
		while (c != ERR && (c < '@' || c > '~'));
	return ERR;
}

int
term_key(int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int key;

	timeout(ms);
	key = getch();
	if (key == ESCAPE)
		key = rest_of_key();
	if (ended_by != 0)
		return KEY_CLOSE;
	/* Else the end of a terminal that is gone were a key that never comes. */
	if (key == ERR && poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
		return KEY_CLOSE;
	return key;
}
