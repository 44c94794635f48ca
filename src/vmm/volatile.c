/* VMs that go with their process, and what is kept of one for those who ask why it died. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ctx.h"

#define CHUNK 65536u

/* Remove a volatile VM that a killed process left behind. */
static void
remove_stale(const char *name)
{
	struct vmm_info info;

	if (vmm_info(name, &info, NULL) == 0 && info.is_volatile && info.status == VMM_KILLED)
		vmm_destroy(name, NULL);
}

static int
create_and_run(struct vmctx **out, const char *name, uint64_t low_size, uint64_t high_size,
    struct vmm_error *err)
{
	struct vmctx *ctx;

	if (vmm_create(name, err) != 0)
		return (-1);
	ctx = *out = vmm_open(name, err);
	if (ctx == NULL)
		return (-1);
	if (vmm_begin(ctx, VMM_WRITE, err) != 0)
		return (-1);
	ctx->is_volatile = true;
	ctx->memfd = memfd_create(name, MFD_CLOEXEC);
	if (ctx->memfd < 0)
		return (vmm_fail(
		    err, errno, "%s: no space for guest memory: %s", name, strerror(errno)));
	if (vmm_set_memory(ctx, low_size, high_size, err) != 0 || vmm_memory(ctx, err) == NULL ||
	    vmm_run_begin(ctx, err) != 0)
		return (-1);
	ctx->depth = 1;
	return (0);
}

struct vmctx *
vmm_create_volatile(const char *name, uint64_t low_size, uint64_t high_size, struct vmm_error *err)
{
	struct vmctx *ctx = NULL;
	int saved;

	remove_stale(name);
	if (create_and_run(&ctx, name, low_size, high_size, err) != 0) {
		saved = errno;
		if (ctx != NULL)
			vmm_discard(ctx);
		errno = saved;
		return (NULL);
	}
	return (ctx);
}

void
vmm_discard(struct vmctx *ctx)
{
	store_remove(&ctx->store, NULL);
	ctx_free(ctx);
}

/* Copy the data of FROM's first SIZE bytes to TO, leaving holes as they are. */
static int
copy_sparse(int from, int to, off_t size)
{
	char buffer[CHUNK];
	off_t at = 0;

	if (ftruncate(to, size) != 0)
		return (-1);
	while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
		off_t end = lseek(from, at, SEEK_HOLE);

		if (end < 0 || end > size)
			end = size;
		while (at < end) {
			size_t part = end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
			ssize_t n = pread(from, buffer, part, at);

			if (n <= 0 || pwrite(to, buffer, (size_t)n, at) != n)
				return (-1);
			at += n;
		}
	}
	return (0);
}

/* Replace the stopped VM NAME by BYTES and CTX's memory. */
static int
keep_as(
    struct vmctx *ctx, const char *name, const uint8_t *bytes, size_t size, struct vmm_error *err)
{
	uint64_t top = ctx->config.low_size < VMM_KEEP_MAX ? ctx->config.low_size : VMM_KEEP_MAX;
	struct vmctx *copy;
	int error = 0;

	if (vmm_destroy(name, NULL) != 0 && errno != ENOENT)
		return (vmm_fail(err, errno, "%s: cannot be replaced: %s", name, strerror(errno)));
	if (store_create(name, bytes, size, err) != 0)
		return (-1);
	copy = vmm_open(name, err);
	if (copy == NULL)
		return (-1);
	if (ctx_open_memory(copy, err) != 0)
		error = -1;
	else if (copy_sparse(ctx->memfd, copy->memfd, (off_t)top) != 0)
		error = vmm_fail(
		    err, errno, "%s: its memory cannot be kept: %s", name, strerror(errno));
	ctx_free(copy);
	return (error);
}

int
vmm_keep(struct vmctx *ctx, const char *name, struct vmm_error *err)
{
	size_t size;
	uint8_t *bytes = ctx_build(ctx, 0, &size);
	int error;

	if (bytes == NULL)
		return (vmm_fail(err, ENOMEM, "%s: out of memory", name));
	error = keep_as(ctx, name, bytes, size, err);
	free(bytes);
	return (error);
}
