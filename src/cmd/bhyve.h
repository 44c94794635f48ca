/* What bhyve was asked for, and its run of a VM that has a board. */
#ifndef CMD_BHYVE_H
#define CMD_BHYVE_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/engine.h"
#include "vmm/vmm.h"

struct bhyve_options {
	bool bios;
	bool strict;
	bool halt_exit;
	bool pause_exit;
	bool breakpoint;
	int pin; /* host CPU, -1: any */
	uint64_t low_size;
	uint64_t high_size;
	const char *drives[VMM_DRIVES_MAX]; /* of -s */
	unsigned ndrives;
	struct engine_wish engine;
};

struct bhyve_board; /* the machine and its host's side */

/*
 * Run CTX, which is marked as running, on the board and on ENGINE; the status to end with. *BOARD
 * holds what the state file is written from: free it after that.
 */
int bhyve_run_board(struct vmctx *ctx, const struct bhyve_options *opts,
    const struct engine_ops *engine, struct bhyve_board **board);
void bhyve_free_board(struct bhyve_board *board);

/* Tell of an exit that ends a run: its block, and one line in words. The status to end with. */
int bhyve_report_exit(struct vmctx *ctx, const struct vm_exit *vmexit);

#endif
