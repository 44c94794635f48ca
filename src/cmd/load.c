/* What bhyveload and bhyvebiosload share: the VM that they load into. */
#include "cmd/load.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"

#define DEFAULT_LOW_SIZE (256ull << 20)

/* The sizes that were asked for; what was not asked for is as the VM has it, or the default. */
static int
set_memory(struct load_target *target, struct vmm_error *err)
{
	uint64_t low_size, high_size;

	vmm_memory_sizes(target->ctx, &low_size, &high_size);
	if (target->low_size != 0)
		low_size = target->low_size;
	else if (low_size == 0)
		low_size = DEFAULT_LOW_SIZE;
	if (target->high_size != 0)
		high_size = target->high_size;
	return (vmm_set_memory(target->ctx, low_size, high_size, err));
}

int
load_begin(struct load_target *target, struct vmm_error *err)
{
	target->created = vmm_create(target->name, err) == 0;
	if (!target->created && errno != EEXIST)
		return (-1);
	target->ctx = vmm_open(target->name, err);
	if (target->ctx == NULL)
		return (-1);
	if (vmm_begin(target->ctx, VMM_LOAD, err) != 0) {
		vm_close(target->ctx);
		return (-1);
	}
	if (set_memory(target, err) == 0 && vmm_reset(target->ctx, err) == 0)
		return (0);
	vmm_end(target->ctx, false, NULL);
	vm_close(target->ctx);
	if (target->created)
		vmm_destroy(target->name, NULL);
	return (-1);
}

int
load_end(struct load_target *target, bool keep, struct vmm_error *err)
{
	int saved = errno;
	int error = 0;

	if (!keep)
		error = vmm_reset(target->ctx, err);
	if (vmm_end(target->ctx, true, err) != 0)
		error = -1;
	vm_close(target->ctx);
	if (!keep && target->created)
		vmm_destroy(target->name, NULL);
	if (error == 0)
		errno = saved;
	return (error);
}

int
load_drive(struct vmctx *ctx, const char *spec, struct vmm_error *err)
{
	size_t len = strlen(spec);
	bool readonly = len > 3 && strcmp(spec + len - 3, ",ro") == 0;
	char path[PATH_MAX], absolute[PATH_MAX];
	struct block_error why;
	struct block *block;

	if ((size_t)snprintf(path, sizeof(path), "%.*s", (int)(readonly ? len - 3 : len), spec) >=
	    sizeof(path))
		return (vmm_fail(err, ENAMETOOLONG, "%s: the path is too long", spec));
	block = block_open(path, readonly ? BLOCK_RO : 0, &why);
	if (block == NULL)
		return (
		    vmm_fail(err, why.error != 0 ? why.error : EINVAL, "%s: %s", path, why.text));
	block_close(block);
	/* The VM may be run from another directory. */
	if (realpath(path, absolute) == NULL)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	return (vmm_add_drive(ctx, absolute, readonly, err));
}
