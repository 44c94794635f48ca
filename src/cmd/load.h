/* The VM that a loading command makes, or takes if it exists. */
#ifndef CMD_LOAD_H
#define CMD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vmm.h"

struct load_target {
	const char *name;
	uint64_t low_size;  /* 0: not given */
	uint64_t high_size; /* 0: not given */
	bool created;
	struct vmctx *ctx;
};

/*
 * Create the VM if there is none, give it its memory (256 MB if no size is given and it has none)
 * and reset it. On success CTX is open, locked for loading; load_end() must follow.
 */
int load_begin(struct load_target *target, struct vmm_error *err);
/* Keep what was loaded; or if not KEEP, destroy the VM if it was made here, else leave it empty. */
int load_end(struct load_target *target, bool keep, struct vmm_error *err);
/* Add the drive PATH[,ro] after a look whether it can be opened. */
int load_drive(struct vmctx *ctx, const char *spec, struct vmm_error *err);

#endif
