/* The library's calls for VM objects. */
#include <errno.h>

#include "vmm/ctx.h"

int
vm_create(const char *name)
{
	return (vmm_create(name, NULL));
}

struct vmctx *
vm_open(const char *name)
{
	struct vmctx *ctx = vmm_open(name, NULL);
	int saved;

	if (ctx == NULL)
		return (NULL);
	/* A VM that cannot be read is refused here, not at the first call. */
	if (vmm_begin(ctx, VMM_READ, NULL) == 0) {
		vmm_end(ctx, false, NULL);
	} else if (errno != EBUSY) {
		saved = errno;
		ctx_free(ctx);
		errno = saved;
		return (NULL);
	}
	return (ctx);
}

void
vm_close(struct vmctx *ctx)
{
	if (ctx == NULL)
		return;
	if (ctx->running) {
		ctx->depth = 1;
		vmm_run_end(ctx, NULL);
	}
	ctx_free(ctx);
}

void
vm_destroy(struct vmctx *ctx)
{
	if (store_lock(&ctx->store, STORE_EXCLUSIVE, NULL) == 0)
		store_remove(&ctx->store, NULL);
	ctx_free(ctx);
}
