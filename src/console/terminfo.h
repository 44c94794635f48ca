/* What the terminal database says about a terminal, kept apart from curses for its many macros. */
#ifndef CONSOLE_TERMINFO_H
#define CONSOLE_TERMINFO_H

#include <stddef.h>

/*
 * Look up the type of the terminal OUT (by TERM). *LENGTH bytes in RESTORE end a full screen.
 * Returns 0, or -1 and one line in ERR: no terminal, or one that has no full screen.
 */
int terminfo_restore(int out, char *restore, size_t room, size_t *length, char *err, size_t errlen);

#endif
