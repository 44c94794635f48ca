/* bhyve's run of a VM with the built-in pseudo BIOS: on the board that hyve86 boot has too. */
#include "cmd/bhyve.h"
#include "cmd/cmd.h"

int
bhyve_run_board(struct vmctx *ctx, const struct bhyve_options *opts)
{
	(void)opts;
	return (cmd_error("bhyve", "%s: this build has no board to run it on", vmm_name(ctx)));
}
