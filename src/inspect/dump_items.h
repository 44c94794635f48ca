/* vmmctl's items as a table, for those who print them. Only src/inspect includes this. */
#ifndef INSPECT_DUMP_ITEMS_H
#define INSPECT_DUMP_ITEMS_H

#include <stdio.h>

#include "vmm/vmm.h"

enum dump_kind {
	ITEM_MEMORY,   /* source: guest-physical address of the segment */
	ITEM_REGISTER, /* source: enum vm_reg_name */
	ITEM_SELECTOR,
	ITEM_DESC,
	ITEM_TABLE,
	ITEM_PINNING,
	ITEM_STATS,
	ITEM_VIEW64, /* source: offset in struct vmx_view */
	ITEM_VIEW32,
	ITEM_VIEW16,
	ITEM_MSRS,
};

struct dump_item {
	const char *name; /* --get-NAME; NULL: shown with the item before */
	enum dump_kind kind;
	const char *label; /* up to the vCPU's number */
	const char *tabs;  /* behind it */
	uint64_t source;
};

/* The items of --get-all, in its order, and behind them *MORE others; *COUNT of --get-all's. */
const struct dump_item *dump_items(size_t *count, const struct dump_item **more, size_t *nmore);
/* The item called NAME, and the *COUNT of it and those that are shown with it; NULL: none is. */
const struct dump_item *dump_find_item(const char *name, size_t *count);

#endif
