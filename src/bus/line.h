/*
 * A wire between chips: an interrupt request, a gate, a reset. The chip that drives it holds a
 * struct line and calls line_set(); where it leads is the board's business.
 */
#ifndef BUS_LINE_H
#define BUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct line {
	void (*set)(void *opaque, int number, bool level);
	void *opaque;
	int number; /* which input of the receiver */
};

/* Drive LINE to LEVEL. An unconnected line (set == NULL) goes nowhere. */
static inline void
line_set(const struct line *line, bool level)
{
	if (line->set != NULL)
		line->set(line->opaque, line->number, level);
}

#endif
