/* A walk through the page tables, told level by level. */
#ifndef INSPECT_WALK_H
#define INSPECT_WALK_H

#include <stdio.h>

#include "inspect/subject.h"

/* How an access that a walk is about was made. */
struct walk_access {
	bool write, user, fetch;
};

/*
 * Where linear LIN leads: *PA, when the subject's paging and memory let one know. Rights are not
 * looked at.
 */
bool walk_translate(const struct subject *s, uint64_t lin, uint64_t *pa);
/* The same; *SPAN: for how many bytes from LIN on the entry that decided it does so. */
bool walk_span(const struct subject *s, uint64_t lin, uint64_t *pa, uint64_t *span);
/* Read SIZE bytes at linear LIN; how many could be. */
size_t walk_read(const struct subject *s, uint64_t lin, void *buf, size_t size);
/*
 * Print the walk for LIN to OUT, one line a level with PREFIX before it, down to the entry that
 * stops ACCESS, and what is the matter there to WHY (a phrase; "" when nothing is).
 */
void walk_print(const struct subject *s, uint64_t lin, const struct walk_access *access, FILE *out,
    const char *prefix, char *why, size_t size);

#endif
