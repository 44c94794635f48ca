/* Guest memory of a VM: its file, its sizes, and the library's calls for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ctx.h"

#define MB (1ull << 20)

void
ctx_drop_engines(struct vmctx *ctx)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i].has_engine)
			vcpu_destroy(&ctx->vcpus[i].engine);
		ctx->vcpus[i].has_engine = false;
	}
}

void
ctx_drop_memory(struct vmctx *ctx)
{
	ctx_drop_engines(ctx);
	if (ctx->has_memory)
		memory_fini(&ctx->mem);
	ctx->has_memory = false;
}

int
ctx_open_memory(struct vmctx *ctx, struct vmm_error *err)
{
	if (ctx->memfd >= 0)
		return (0);
	if (ctx->is_volatile)
		return (vmm_fail(
		    err, ENODEV, "%s: its memory is seen by its runner alone", ctx->store.name));
	ctx->memfd = openat(ctx->store.dirfd, STORE_MEMORY, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ctx->memfd < 0)
		return (vmm_fail(err, errno, "%s: cannot open its memory: %s", ctx->store.name,
		    strerror(errno)));
	return (0);
}

struct memory *
vmm_memory(struct vmctx *ctx, struct vmm_error *err)
{
	if (ctx->has_memory)
		return (&ctx->mem);
	if (ctx_open_memory(ctx, err) != 0)
		return (NULL);
	if (memory_init(&ctx->mem, ctx->memfd, ctx->config.low_size, ctx->config.high_size, true) !=
	    0) {
		vmm_fail(err, errno, "%s: no space for guest memory: %s", ctx->store.name,
		    strerror(errno));
		return (NULL);
	}
	ctx->has_memory = true;
	return (&ctx->mem);
}

int
vmm_memory_fd(const struct vmctx *ctx)
{
	return (ctx->memfd);
}

/* End of the memory file for these sizes. */
static uint64_t
file_size(uint64_t low_size, uint64_t high_size)
{
	return (high_size != 0 ? MEMORY_HIGH_BASE + high_size : low_size);
}

static int
check_sizes(struct vmctx *ctx, uint64_t low_size, uint64_t high_size, struct vmm_error *err)
{
	uint64_t free_bytes;

	if (low_size % X86_PAGE_SIZE != 0 || high_size % X86_PAGE_SIZE != 0)
		return (vmm_fail(
		    err, EINVAL, "%s: memory comes in pages of 4096 bytes", ctx->store.name));
	if (low_size > VMM_LOW_MAX)
		return (vmm_fail(err, EINVAL,
		    "%s: %llu MB of low memory asked, at most %llu MB fit below the PCI hole",
		    ctx->store.name, (unsigned long long)(low_size / MB),
		    (unsigned long long)(VMM_LOW_MAX / MB)));
	if (high_size > VMM_MEMORY_MAX - low_size)
		return (vmm_fail(err, EINVAL,
		    "%s: %llu MB of memory asked, at most %llu MB are possible", ctx->store.name,
		    (unsigned long long)((low_size + high_size) / MB),
		    (unsigned long long)(VMM_MEMORY_MAX / MB)));
	free_bytes = ctx->is_volatile ? UINT64_MAX : store_free(&ctx->store);
	if (low_size + high_size > free_bytes)
		return (vmm_fail(err, ENOSPC,
		    "%s: no space for guest memory: %llu MB asked, %llu MB free where VMs live",
		    ctx->store.name, (unsigned long long)((low_size + high_size) / MB),
		    (unsigned long long)(free_bytes / MB)));
	return (0);
}

int
vmm_set_memory(struct vmctx *ctx, uint64_t low_size, uint64_t high_size, struct vmm_error *err)
{
	struct ctx_config *config = &ctx->config;

	if (low_size == config->low_size && high_size == config->high_size)
		return (0);
	if ((config->low_size != 0 && low_size != config->low_size) ||
	    (config->high_size != 0 && high_size != config->high_size))
		return (vmm_fail(err, EEXIST,
		    "%s: it has %llu MB of low and %llu MB of high memory, not %llu and %llu",
		    ctx->store.name, (unsigned long long)(config->low_size / MB),
		    (unsigned long long)(config->high_size / MB),
		    (unsigned long long)(low_size / MB), (unsigned long long)(high_size / MB)));
	if (check_sizes(ctx, low_size, high_size, err) != 0 || ctx_open_memory(ctx, err) != 0)
		return (-1);
	if (ftruncate(ctx->memfd, (off_t)file_size(low_size, high_size)) != 0)
		return (vmm_fail(err, errno, "%s: no space for guest memory: %s", ctx->store.name,
		    strerror(errno)));
	ctx_drop_memory(ctx);
	config->low_size = low_size;
	config->high_size = high_size;
	return (0);
}

void
vmm_memory_sizes(const struct vmctx *ctx, uint64_t *low_size, uint64_t *high_size)
{
	*low_size = ctx->config.low_size;
	*high_size = ctx->config.high_size;
}

int
vmm_reset(struct vmctx *ctx, struct vmm_error *err)
{
	uint64_t low_size = ctx->config.low_size;
	uint64_t high_size = ctx->config.high_size;

	if (ctx_open_memory(ctx, err) != 0)
		return (-1);
	if (ftruncate(ctx->memfd, 0) != 0 ||
	    ftruncate(ctx->memfd, (off_t)file_size(low_size, high_size)) != 0)
		return (vmm_fail(err, errno, "%s: cannot clear its memory: %s", ctx->store.name,
		    strerror(errno)));
	ctx_drop_engines(ctx);
	ctx_init_vm(ctx);
	ctx->config.low_size = low_size;
	ctx->config.high_size = high_size;
	statefile_free(&ctx->file);
	ctx->killed = false;
	return (0);
}

/* The library's calls. */

int
vm_get_memory_seg(struct vmctx *ctx, vm_paddr_t gpa, vm_paddr_t *hpa, size_t *len)
{
	if (vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (-1);
	*hpa = 0;
	*len = 0;
	if (gpa == 0 && ctx->config.low_size != 0) {
		*hpa = VMX_HOST_MEMORY;
		*len = ctx->config.low_size;
	} else if (gpa == MEMORY_HIGH_BASE && ctx->config.high_size != 0) {
		*hpa = VMX_HOST_MEMORY + ctx->config.low_size;
		*len = ctx->config.high_size;
	}
	return (vmm_end(ctx, false, NULL));
}

/* Whether [gpa, gpa+len) is memory of one segment. */
static bool
in_segment(const struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	uint64_t base = gpa >= MEMORY_HIGH_BASE ? MEMORY_HIGH_BASE : 0;
	uint64_t size = base != 0 ? ctx->config.high_size : ctx->config.low_size;

	return (len <= size && gpa - base <= size - len);
}

static char *
map_locked(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	struct ctx_mapping *mapping;
	void *address;

	if (len == 0 || gpa % X86_PAGE_SIZE != 0 || !in_segment(ctx, gpa, len)) {
		errno = EINVAL;
		return (MAP_FAILED);
	}
	if (ctx->nmappings == CTX_MAPPINGS_MAX) {
		errno = ENOSPC;
		return (MAP_FAILED);
	}
	if (ctx_open_memory(ctx, NULL) != 0)
		return (MAP_FAILED);
	address = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, ctx->memfd, (off_t)gpa);
	if (address == MAP_FAILED)
		return (MAP_FAILED);
	mapping = &ctx->mappings[ctx->nmappings++];
	mapping->address = address;
	mapping->size = len;
	return (address);
}

char *
vm_map_memory(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	char *address;

	if (vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (MAP_FAILED);
	address = map_locked(ctx, gpa, len);
	vmm_end(ctx, false, NULL);
	return (address);
}

int
vm_setup_memory(struct vmctx *ctx, vm_paddr_t gpa, size_t len, char **mapaddr)
{
	uint64_t low_size, high_size;
	int error;

	if ((gpa != 0 && gpa != MEMORY_HIGH_BASE) || len == 0) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	vmm_memory_sizes(ctx, &low_size, &high_size);
	if (gpa == 0)
		low_size = len;
	else
		high_size = len;
	error = vmm_set_memory(ctx, low_size, high_size, NULL);
	if (error == 0 && mapaddr != NULL) {
		*mapaddr = map_locked(ctx, gpa, len);
		error = *mapaddr == MAP_FAILED ? -1 : 0;
	}
	if (vmm_end(ctx, error == 0, NULL) != 0)
		return (-1);
	return (error);
}
