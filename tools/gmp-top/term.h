/* The terminal: opened, given back, written to, and its keys. */
#ifndef TOOLS_GMP_TOP_TERM_H
#define TOOLS_GMP_TOP_TERM_H

#include <curses.h>
#include <stdbool.h>

#define ESCAPE 27

/* False, with *why set, when there is no terminal that can show it. */
bool term_open(const char **why);
/* Gives the terminal back as it was.  Also when it was not opened. */
void term_close(void);

/* A line, cut at the screen's edge; one as wide as the screen. */
void put(int y, const char *text, attr_t attr);
void bar(int y, const char *text, attr_t attr);
/* Of what runs, and of what never will. */
attr_t busy(void);
attr_t stuck(void);

/* ERR after ms milliseconds without a key; KEY_CLOSE when it is time to end. */
int term_key(int ms);

#endif
