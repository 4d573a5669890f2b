#include "tools/gmp-top/choose.h"

#include <stdio.h>

#include "tools/gmp-top/attach.h"
#include "tools/gmp-top/term.h"
#include "tools/trace/text.h"

#define LISTMS 2000 /* until it is made anew */

static void
draw(const pid_t *pids, size_t n, size_t cursor)
{
	size_t shown = LINES > 2 ? (size_t)LINES - 2 : 1, i;
	size_t top = cursor >= shown ? cursor - shown + 1 : 0;
	char line[64], name[17], seen[17];

	erase();
	bar(0, "    PID PROGRAM", A_REVERSE);
	for (i = top; i < n && i < top + shown; i++) {
		target_name(pids[i], name);
		snprintf(line, sizeof(line), "%7d %s", (int)pids[i],
		    text_shown(seen, name, 16));
		if (i == cursor)
			bar((int)(i - top) + 1, line, A_STANDOUT);
		else
			put((int)(i - top) + 1, line, A_NORMAL);
	}
	bar(LINES - 1,
	    n > 0 ? "up, down, enter: watch it  q: quit"
		  : "no process runs with libgmpthread  q: quit",
	    A_REVERSE);
	refresh();
}

pid_t
choose(void)
{
	size_t n = 0, cursor = 0;
	pid_t pids[256];
	int key = ERR;

	for (;;) {
		/* A key does not wait for the processes to be looked at. */
		if (key == ERR)
			n = targets(NULL, pids, nelem(pids));
		if (cursor >= n)
			cursor = n > 0 ? n - 1 : 0;
		draw(pids, n, cursor);
		key = term_key(LISTMS);
		if (key == 'q' || key == ESCAPE || key == KEY_CLOSE)
			return 0;
		if (key == KEY_UP && cursor > 0)
			cursor--;
		if (key == KEY_DOWN)
			cursor++;
		if ((key == '\n' || key == KEY_ENTER) && n > 0)
			return pids[cursor];
	}
}
