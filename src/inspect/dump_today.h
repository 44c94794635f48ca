/* What today's bhyvectl shows and vmmctl of 2012 did not. Only src/inspect includes this. */
#ifndef INSPECT_DUMP_TODAY_H
#define INSPECT_DUMP_TODAY_H

#include <jansson.h>
#include <stdio.h>

#include "vmm/vmm.h"

struct dump_today {
	const char *name; /* --get-NAME */
	/* Print it, and give it as JSON (a new reference); between vmm_begin() and vmm_end(). */
	void (*print)(FILE *out, struct vmctx *ctx, int vcpu);
	json_t *(*value)(struct vmctx *ctx, int vcpu);
};

/* All of them, *COUNT. */
const struct dump_today *dump_today_items(size_t *count);
/* The one called NAME, or NULL. */
const struct dump_today *dump_today_find(const char *name);

#endif
