#include "tools/gmp-top/screen.h"

#include <stdlib.h>
#include <string.h>

#include "tools/gmp-top/lines.h"
#include "tools/gmp-top/stacks.h"
#include "tools/gmp-top/term.h"
#include "tools/gmp-top/words.h"
#include "tools/trace/text.h"

enum view { GS, PS, WAITS, DETAIL, HELP };
#define NVIEWS 5

#define LOW 16 /* lines of a terminal that has no room for the whole header */

static struct {
	enum view view;
	enum view back[NVIEWS]; /* where it was opened */
	size_t top[NVIEWS];	/* the first row that is shown */
	size_t cursor[NVIEWS];	/* the row that is chosen */
	uint64_t detail;	/* goid */
	bool frozen;
	bool typing; /* a filter */
	char message[128];
} scr;

/* --- tables ------------------------------------------------------------------------ */

/* Rows from y on that the screen has room for, above the last line. */
static size_t
room(int y)
{
	return y < LINES - 1 ? (size_t)(LINES - 1 - y) : 0;
}

/* Keeps the cursor within n rows, and near it the first shown row: that is returned. */
static size_t
scroll_to_cursor(size_t n, size_t shown)
{
	size_t *cursor = &scr.cursor[scr.view], *top = &scr.top[scr.view];

	if (*cursor >= n)
		*cursor = n > 0 ? n - 1 : 0;
	if (*cursor < *top)
		*top = *cursor;
	if (shown > 0 && *cursor >= *top + shown)
		*top = *cursor - shown + 1;
	if (*top >= n)
		*top = 0;
	return *top;
}

static attr_t
attr_of(const struct model *m, const struct snapg *g)
{
	if (g->status == SNAPGRUNNING)
		return busy();
	if (m->graph.stuck[g - m->now.g])
		return stuck();
	return A_NORMAL;
}

static void
draw_gs(const struct model *m, int y)
{
	size_t shown, top, i;
	char line[256];

	g_head(m, COLS, line, sizeof(line));
	bar(y++, line, A_REVERSE);
	shown = room(y);
	top = scroll_to_cursor(m->nrows, shown);
	for (i = top; i < m->nrows && i < top + shown; i++) {
		g_line(m, &m->rows[i], COLS, line, sizeof(line));
		if (i == scr.cursor[scr.view])
			bar(y++, line, A_STANDOUT);
		else
			put(y++, line, attr_of(m, m->rows[i].g));
	}
}

static void
draw_ps(const struct model *m, int y)
{
	size_t i, n = m->now.np + m->now.nm + 2, shown, top;
	char line[256];

	shown = room(y);
	top = scroll_to_cursor(n, shown);
	for (i = top; i < n && i < top + shown; i++) {
		if (i == 0) {
			bar(y++, PHEAD, A_REVERSE);
		} else if (i <= m->now.np) {
			const struct snapp *p = &m->now.p[i - 1];

			p_line(m, p, line, sizeof(line));
			put(y++, line,
			    p->status == SNAPPRUNNING ? busy() : A_NORMAL);
		} else if (i == m->now.np + 1) {
			bar(y++, " M   KERNEL-TID   P       G", A_REVERSE);
		} else {
			const struct snapm *mp = &m->now.m[i - m->now.np - 2];

			snprintf(line, sizeof(line), "%2d %12d %3d %7llu%s%s",
			    mp->id, mp->tid, mp->p,
			    (unsigned long long)mp->goid,
			    mp->flags & SNAPMSPINNING ? " spinning" : "",
			    mp->flags & SNAPMSYSCALL ? " syscall" : "");
			put(y++, line, A_NORMAL);
		}
	}
}

/* The cycles, then the table of what is waited for. */
static void
draw_waits(const struct model *m, int y)
{
	size_t dead = deadlock_lines(m), n = dead + m->nwaits, shown, top, i;
	char line[512];
	attr_t attr;

	bar(y++, WAITHEAD, A_REVERSE);
	shown = room(y);
	top = scroll_to_cursor(n, shown);
	for (i = top; i < n && i < top + shown; i++) {
		attr = A_NORMAL;
		if (i >= dead)
			wait_line(m, &m->waits[i - dead], line, sizeof(line));
		else if (deadlock_line(m, i, line, sizeof(line)))
			attr = stuck();
		if (i == scr.cursor[scr.view])
			bar(y++, line, A_STANDOUT);
		else
			put(y++, line, attr);
	}
}

static void
detail_text(const struct model *m, const struct symbols *sy,
    const struct snapg *g, FILE *out)
{
	char a[16], b[16], c[16], name[17], wait[96], chain[256];
	uint64_t waited = model_waited(m, g), age = model_age(m, g);

	fprintf(out, "G %llu  tid %d  \"%s\"%s%s%s%s\n",
	    (unsigned long long)g->goid, g->tid, snapshot_gname(g, name),
	    g->flags & SNAPGMAIN ? "  main" : "",
	    g->flags & SNAPGBOUND ? "  bound" : "",
	    g->flags & SNAPGFOREIGN ? "  foreign" : "",
	    g->flags & SNAPGPREEMPTED ? "  preempted" : "");
	fprintf(out, "%s %s%s%s%s\n", snapshot_gstatus(g),
	    describe_wait(m, g, wait, sizeof(wait)), waited != 0 ? " for " : "",
	    waited != 0 ? format_ns(a, (double)waited) : "",
	    g->flags & SNAPGTIMED ? ", until some time" : "");
	if (*describe_chain(m, g, chain, sizeof(chain)) != '\0')
		fprintf(out, "%s%s\n", chain,
		    m->graph.stuck[g - m->now.g] ? "  DEADLOCK" : "");
	fprintf(out, "CPU time %s, age %s  on M %d, P %d, kernel thread %d\n",
	    format_ns(a, (double)g->cputime),
	    format_ns(b, age != 0 ? (double)age : -1), g->m, g->p, g->ktid);
	fprintf(out, "stack %s, used %s\n", format_bytes(a, g->stacksize),
	    g->stackused != 0 ? format_bytes(c, g->stackused) : "?");
	stack_text(m, sy, g, out);
}

/* The text, from the line on that the cursor is at. */
static void
draw_text(char *text, int y)
{
	size_t n = 0, i, shown = room(y), *at = &scr.cursor[scr.view];
	char *line, *end;

	for (line = text; (line = strchr(line, '\n')) != NULL; line++)
		n++;
	/* It scrolls by its lines, and stops when the last is shown. */
	n = n > shown ? n - shown + 1 : 1;
	if (*at >= n)
		*at = n - 1;
	line = text;
	for (i = 0; (end = strchr(line, '\n')) != NULL; i++) {
		*end = '\0';
		if (i >= *at && i < *at + shown)
			put(y++, line, i == 0 ? A_BOLD : A_NORMAL);
		line = end + 1;
	}
}

static void
draw_detail(const struct model *m, const struct symbols *sy, int y)
{
	const struct snapg *g = NULL;
	char *text = NULL;
	size_t i, n;
	FILE *out;

	for (i = 0; i < m->now.ng && g == NULL; i++)
		if (m->now.g[i].goid == scr.detail)
			g = &m->now.g[i];
	if (g == NULL) {
		put(y, "It has ended.  q goes back.", A_NORMAL);
		return;
	}
	out = open_memstream(&text, &n);
	if (out == NULL)
		return;
	detail_text(m, sy, g, out);
	if (fclose(out) == 0)
		draw_text(text, y);
	free(text);
}

bool
screen_frozen(void)
{
	return scr.frozen;
}

uint64_t
screen_detail(void)
{
	return scr.view == DETAIL ? scr.detail : 0;
}

static void
draw_help(int y)
{
	static const char *const text[] = {
		"  1, g    threads (Gs)            up, down, page up, page "
		"down,",
		"  2, p    Ps and Ms               home, end: move",
		"  3, w    what is waited for      enter: a thread and its "
		"stack",
		"  s       sort by cpu, wait, age, stack in turn",
		"  /       show only threads with a text: goid, tid, name, "
		"state,",
		"          reason, object; enter ends it, escape clears it",
		"  f       freeze, and go on",
		"  + -     refresh less and more often",
		"  t       trace the scheduler, and again: write the file",
		"  h, ?    this text",
		"  q       back, or out",
		"",
		"CPU% is of one CPU, by samples.  A G is a thread of the "
		"program, an",
		"M a kernel thread, a P the right to run program code.",
	};
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		put(y++, text[i], A_NORMAL);
}

void
screen_message(const char *text)
{
	snprintf(scr.message, sizeof(scr.message), "%s", text);
}

static void
draw_foot(const struct model *m, double delay)
{
	char line[256], filter[sizeof(m->filter)];

	text_shown(filter, m->filter, sizeof(filter) - 1);
	if (scr.typing)
		snprintf(line, sizeof(line), "show only: %s_", filter);
	else if (scr.message[0] != '\0')
		snprintf(line, sizeof(line), "%s", scr.message);
	else
		snprintf(line, sizeof(line),
		    "%s%zu of %zu  sort %s%s%s  every %.1f s%s  h: help  "
		    "q: quit",
		    m->graph.ncycles > 0 ? "DEADLOCK (w)  " : "", m->nrows,
		    m->now.ng, sort_name(m->sort),
		    filter[0] != '\0' ? "  only " : "", filter, delay,
		    scr.frozen ? "  FROZEN" : "");
	bar(LINES - 1, line, A_REVERSE);
}

void
screen_draw(const struct model *m, const struct symbols *sy, double delay)
{
	char head[HEADLINES][128];
	int y, heads = LINES < LOW ? 2 : HEADLINES;

	erase();
	head_lines(m, head);
	for (y = 0; y < heads; y++)
		put(y, head[y], y == 0 ? A_BOLD : A_NORMAL);
	switch (scr.view) {
	case GS:
		draw_gs(m, y);
		break;
	case PS:
		draw_ps(m, y);
		break;
	case WAITS:
		draw_waits(m, y);
		break;
	case DETAIL:
		draw_detail(m, sy, y + 1);
		break;
	case HELP:
		draw_help(y + 1);
		break;
	}
	draw_foot(m, delay);
	refresh();
}

/* --- keys ----------------------------------------------------------------------------- */

static void
show(enum view view)
{
	if (view != scr.view)
		scr.back[view] = scr.view;
	scr.view = view;
}

/* Moves the cursor by n rows; scroll_to_cursor() keeps it in the table. */
static void
move_by(long n)
{
	size_t *cursor = &scr.cursor[scr.view];

	if (n < 0 && (size_t)-n > *cursor)
		*cursor = 0;
	else
		*cursor += (size_t)n;
}

static void
type(struct model *m, int key)
{
	size_t n = strlen(m->filter);

	if (key == '\n' || key == KEY_ENTER) {
		scr.typing = false;
	} else if (key == ESCAPE) {
		scr.typing = false;
		m->filter[0] = '\0';
	} else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
		/* All bytes of a character. */
		while (n > 0 && (m->filter[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0)
			m->filter[n - 1] = '\0';
	} else if (key >= ' ' && key <= 0xff && n + 1 < sizeof(m->filter)) {
		m->filter[n] = (char)key;
		m->filter[n + 1] = '\0';
	}
	scr.cursor[GS] = 0;
	model_arrange(m);
}

/* Enter: more about the thread under the cursor.  False when there is none. */
static bool
open_row(const struct model *m)
{
	size_t dead = deadlock_lines(m), row = scr.cursor[scr.view];

	if (scr.view == GS && row < m->nrows)
		scr.detail = m->rows[row].g->goid;
	else if (scr.view == WAITS && row < dead)
		scr.detail = m->now.g[deadlock_member(m, row)].goid;
	else if (scr.view == WAITS && row - dead < m->nwaits)
		scr.detail = m->now.g[m->waits[row - dead].first].goid;
	else
		return false;
	show(DETAIL);
	scr.cursor[DETAIL] = 0;
	return true;
}

/* False when it is no key that moves. */
static bool
move_key(int key)
{
	long page = LINES > 8 ? LINES - 8 : 1;

	switch (key) {
	case KEY_UP:
		move_by(-1);
		return true;
	case KEY_DOWN:
		move_by(1);
		return true;
	case KEY_PPAGE:
		move_by(-page);
		return true;
	case KEY_NPAGE:
		move_by(page);
		return true;
	case KEY_HOME:
		scr.cursor[scr.view] = 0;
		return true;
	case KEY_END:
		scr.cursor[scr.view] = SIZE_MAX / 2;
		return true;
	default:
		return false;
	}
}

/* False when it is no key that chooses what is shown. */
static bool
view_key(int key)
{
	switch (key) {
	case ESCAPE:
	case '1':
	case 'g':
		show(GS);
		return true;
	case '2':
	case 'p':
		show(PS);
		return true;
	case '3':
	case 'w':
		show(WAITS);
		return true;
	case 'h':
	case '?':
		show(HELP);
		return true;
	default:
		return false;
	}
}

static enum action
command_key(struct model *m, int key, double *delay)
{
	switch (key) {
	case 'q':
		if (scr.view == GS)
			return QUIT;
		/* What was opened from another, to that; tables to the first. */
		scr.view = scr.view == DETAIL || scr.view == HELP
		    ? scr.back[scr.view]
		    : GS;
		break;
	case 's':
		m->sort = (enum sort)((m->sort + 1) % NSORTS);
		model_arrange(m);
		break;
	case '/':
		show(GS);
		scr.typing = true;
		break;
	case 'f':
		scr.frozen = !scr.frozen;
		break;
	case 't':
		return TRACE;
	case '+':
		*delay = *delay < 30 ? *delay * 2 : 60;
		break;
	case '-':
		*delay = *delay > 0.2 ? *delay / 2 : 0.1;
		break;
	case '\n':
	case KEY_ENTER:
		/* At once, with its stack. */
		return open_row(m) ? REFRESH : NOTHING;
	default:
		break;
	}
	return NOTHING;
}

enum action
screen_key(struct model *m, int ms, double *delay)
{
	int key = term_key(ms);

	if (key == KEY_CLOSE)
		return QUIT;
	if (key == ERR || key == KEY_RESIZE)
		return NOTHING;
	scr.message[0] = '\0';
	if (scr.typing) {
		type(m, key);
		return NOTHING;
	}
	if (move_key(key) || view_key(key))
		return NOTHING;
	return command_key(m, key, delay);
}
