/* VM objects: create, open, destroy, and the state file's part in all that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/ctx.h"

/* The sections of every vCPU, by name and place in struct ctx_vcpu. */
static const struct {
	const char *name;
	uint32_t version;
	uint32_t offset;
	uint32_t size;
} vcpu_sections[] = {
#define PART(name, version, field) \
	{ \
		name, version, offsetof(struct ctx_vcpu, field), \
		    sizeof(((struct ctx_vcpu *)NULL)->field) \
	}
    PART("gpr", 1, state.gpr),
    PART("sregs", 1, state.sregs),
    PART("events", 1, state.events),
    PART("fpu", 1, state.fpu),
    PART("msr", 1, state.msr),
    PART("debug", 1, state.debug),
    PART("vmx", 1, vmx),
    PART("host", 1, host),
    PART("irqs", 1, irqs),
#undef PART
};

#define VCPU_SECTIONS (sizeof(vcpu_sections) / sizeof(vcpu_sections[0]))

static bool
config_valid(const struct ctx_config *config)
{
	return (config->low_size % X86_PAGE_SIZE == 0 && config->high_size % X86_PAGE_SIZE == 0 &&
	    config->low_size <= VMM_LOW_MAX && config->high_size <= VMM_MEMORY_MAX &&
	    config->ncpus >= 1 && config->ncpus <= VM_MAXCPU && config->firmware <= VMM_FW_DIRECT);
}

static bool
drives_valid(const struct ctx_drives *drives)
{
	size_t at = 0;

	if (drives->count > VMM_DRIVES_MAX)
		return (false);
	for (uint32_t i = 0; i < drives->count; i++) {
		const char *end = memchr(drives->paths + at, 0, CTX_PATHS_SIZE - at);

		if (end == NULL)
			return (false);
		at = (size_t)(end - drives->paths) + 1;
	}
	return (true);
}

static int
config_restored(void *owner)
{
	return (config_valid(owner) ? 0 : -1);
}

static int
drives_restored(void *owner)
{
	return (drives_valid(owner) ? 0 : -1);
}

void
ctx_init_vm(struct vmctx *ctx)
{
	memset(&ctx->config, 0, sizeof(ctx->config));
	memset(&ctx->drives, 0, sizeof(ctx->drives));
	ctx->config.ncpus = 1;
	for (int i = 0; i < VM_MAXCPU; i++) {
		struct ctx_vcpu *vcpu = &ctx->vcpus[i];

		vcpu_state_reset(&vcpu->state, 0);
		vcpu->state.debug.dr7 = 0; /* as bhyve's new VMCS has it */
		vmx_init(&vcpu->vmx);
		memset(&vcpu->host, 0, sizeof(vcpu->host));
		vcpu->host.pinned = -1;
		vcpu->host.last = -1;
	}
}

/* The sections of the VM itself; that of the drives, the longest of all, only if there are any. */
static unsigned
vm_sections(struct vmctx *ctx, bool with_drives, struct section *out)
{
	out[0] = (struct section){.id = "vm",
	    .version = 1,
	    .size = sizeof(ctx->config),
	    .data = &ctx->config,
	    .restored = config_restored,
	    .owner = &ctx->config};
	if (!with_drives)
		return (1);
	out[1] = (struct section){.id = "drives",
	    .version = 1,
	    .size = sizeof(ctx->drives),
	    .data = &ctx->drives,
	    .restored = drives_restored,
	    .owner = &ctx->drives};
	return (2);
}

static unsigned
all_vcpu_sections(struct vmctx *ctx, struct section *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ctx->config.ncpus; i++) {
		for (size_t k = 0; k < VCPU_SECTIONS; k++) {
			struct section *section = &out[n++];

			*section = (struct section){
			    .version = vcpu_sections[k].version,
			    .size = vcpu_sections[k].size,
			    .data = (char *)&ctx->vcpus[i] + vcpu_sections[k].offset,
			};
			snprintf(section->id, sizeof(section->id), "vcpu%u.%s", i,
			    vcpu_sections[k].name);
		}
	}
	return (n);
}

static bool
has_section(const struct section *sections, unsigned count, const char *id)
{
	for (unsigned i = 0; i < count; i++)
		if (strncmp(sections[i].id, id, SECTION_ID_MAX) == 0)
			return (true);
	return (false);
}

uint8_t *
ctx_build(struct vmctx *ctx, uint32_t flags, size_t *size)
{
	struct section sections[STATEFILE_SECTIONS_MAX];
	unsigned n = vm_sections(ctx, ctx->drives.count > 0, sections);

	n += all_vcpu_sections(ctx, sections + n);
	for (unsigned i = 0; i < ctx->nsections; i++)
		sections[n++] = ctx->sections[i];
	/* What was in the file and nobody registered stays in it. */
	for (unsigned i = 0; i < ctx->file.count && n < STATEFILE_SECTIONS_MAX; i++) {
		const struct statefile_entry *entry = &ctx->file.entries[i];

		if (has_section(sections, n, entry->id))
			continue;
		sections[n] = (struct section){.version = entry->version,
		    .size = entry->size,
		    .data = (void *)(uintptr_t)entry->data};
		memcpy(sections[n++].id, entry->id, SECTION_ID_MAX);
	}
	return (statefile_build(sections, n, flags, size));
}

static int
restore_sections(struct vmctx *ctx, const struct statefile *file, struct vmm_error *err)
{
	struct section sections[VM_MAXCPU * VCPU_SECTIONS];
	unsigned n = vm_sections(ctx, true, sections);

	memset(&ctx->drives, 0, sizeof(ctx->drives));
	for (unsigned i = 0; i < n; i++)
		if (statefile_restore(file, &sections[i], err) < 0)
			return (-1);
	n = all_vcpu_sections(ctx, sections);
	for (unsigned i = 0; i < n; i++)
		if (statefile_restore(file, &sections[i], err) < 0)
			return (-1);
	for (unsigned i = 0; i < ctx->config.ncpus; i++)
		ctx->vcpus[i].state.gpr.zero = 0; /* as src/cpu relies on */
	for (unsigned i = 0; i < ctx->nsections; i++)
		if (statefile_restore(file, &ctx->sections[i], err) < 0)
			return (-1);
	return (0);
}

/* Read the state file if it is not the one that was read last. The lock is held. */
static int
load(struct vmctx *ctx, struct vmm_error *err)
{
	struct ctx_config old = ctx->config;
	struct vmm_error why = {0};
	struct statefile file;
	uint8_t header[STATEFILE_HEADER_SIZE];

	if (ctx->loaded && statefile_peek(header, ctx->store.dirfd, STORE_STATE) == 0 &&
	    memcmp(header, ctx->seen, sizeof(header)) == 0)
		return (0);
	if (statefile_read(&file, ctx->store.dirfd, STORE_STATE, &why) != 0)
		return (vmm_fail(
		    err, why.error, "%s: its state cannot be read: %s", ctx->store.name, why.text));
	statefile_free(&ctx->file);
	ctx->file = file;
	ctx->loaded = false;
	if (restore_sections(ctx, &file, &why) != 0)
		return (vmm_fail(
		    err, why.error, "%s: its state cannot be read: %s", ctx->store.name, why.text));
	memcpy(ctx->seen, file.bytes, sizeof(ctx->seen));
	ctx->loaded = true;
	ctx->killed = (file.flags & STATEFILE_RUNNING) != 0;
	ctx->is_volatile = (file.flags & STATEFILE_VOLATILE) != 0;
	if (old.low_size != ctx->config.low_size || old.high_size != ctx->config.high_size)
		ctx_drop_memory(ctx);
	return (0);
}

int
ctx_peek(struct vmctx *ctx, struct vmm_error *err)
{
	return (load(ctx, err));
}

uint8_t *
vmm_snapshot(struct vmctx *ctx, size_t *size)
{
	return (
	    ctx_build(ctx, STATEFILE_RUNNING | (ctx->is_volatile ? STATEFILE_VOLATILE : 0u), size));
}

int
vmm_show_snapshot(struct vmctx *ctx, uint8_t *bytes, size_t size, int memfd, struct vmm_error *err)
{
	struct vmm_error why = {0};
	struct statefile file;

	ctx_drop_memory(ctx);
	if (memfd >= 0) {
		if (ctx->memfd >= 0)
			close(ctx->memfd);
		ctx->memfd = memfd;
	}
	if (statefile_parse(&file, bytes, size, &why) != 0)
		return (vmm_fail(
		    err, why.error, "%s: its state cannot be read: %s", ctx->store.name, why.text));
	statefile_free(&ctx->file);
	ctx->file = file;
	ctx->is_volatile = (file.flags & STATEFILE_VOLATILE) != 0;
	ctx->shown = true;
	if (restore_sections(ctx, &file, &why) == 0)
		return (0);
	return (vmm_fail(
	    err, why.error, "%s: its state cannot be read: %s", ctx->store.name, why.text));
}

static int
save(struct vmctx *ctx, bool running, struct vmm_error *err)
{
	uint32_t flags =
	    (running ? STATEFILE_RUNNING : 0u) | (ctx->is_volatile ? STATEFILE_VOLATILE : 0u);
	size_t size;
	uint8_t *bytes = ctx_build(ctx, flags, &size);
	int error = 0;

	if (bytes == NULL)
		return (vmm_fail(err, ENOMEM, "%s: out of memory", ctx->store.name));
	if (statefile_write(ctx->store.dirfd, STORE_STATE, bytes, size) != 0)
		error = errno;
	memcpy(ctx->seen, bytes, sizeof(ctx->seen));
	ctx->loaded = error == 0;
	free(bytes);
	if (error != 0)
		return (vmm_fail(err, error, "%s: its state cannot be written: %s", ctx->store.name,
		    strerror(error)));
	return (0);
}

int
vmm_begin(struct vmctx *ctx, enum vmm_access access, struct vmm_error *err)
{
	enum store_lock lock = access == VMM_READ ? STORE_SHARED : STORE_EXCLUSIVE;

	if (ctx->shown && access != VMM_READ)
		return (vmm_fail(err, EBUSY, "%s: it is running", ctx->store.name));
	if (ctx->depth == 0 && !ctx->shown) {
		if (store_lock(&ctx->store, lock, err) != 0)
			return (-1);
		if (load(ctx, err) != 0) {
			store_lock(&ctx->store, STORE_UNLOCKED, NULL);
			return (-1);
		}
		ctx->changed = false;
	}
	if (access == VMM_WRITE && ctx->killed) {
		if (ctx->depth == 0)
			store_lock(&ctx->store, STORE_UNLOCKED, NULL);
		return (vmm_fail(err, EOWNERDEAD,
		    "%s: it cannot be run or changed: its runner was killed, so memory and "
		    "registers disagree (it can be read, destroyed or loaded again)",
		    ctx->store.name));
	}
	ctx->depth++;
	return (0);
}

int
vmm_end(struct vmctx *ctx, bool changed, struct vmm_error *err)
{
	int error = 0, saved = errno;

	if (changed)
		ctx->changed = true;
	if (--ctx->depth > 0)
		return (0);
	if (ctx->shown)
		return (0);
	if (ctx->running)
		store_set_runner(&ctx->store, false);
	ctx->running = false;
	if (ctx->changed)
		error = save(ctx, false, err);
	store_lock(&ctx->store, STORE_UNLOCKED, NULL);
	if (error == 0)
		errno = saved;
	return (error);
}

void
vmm_cancel(struct vmctx *ctx)
{
	ctx->changed = false;
	ctx->loaded = false; /* read anew at the next vmm_begin() */
	ctx->depth = 1;
	vmm_end(ctx, false, NULL);
}

int
vmm_run_begin(struct vmctx *ctx, struct vmm_error *err)
{
	if (vmm_begin(ctx, VMM_WRITE, err) != 0)
		return (-1);
	if (ctx->running)
		return (0);
	if (save(ctx, true, err) != 0) {
		vmm_end(ctx, false, NULL);
		return (-1);
	}
	ctx->running = true;
	store_set_runner(&ctx->store, true);
	return (0);
}

int
vmm_run_end(struct vmctx *ctx, struct vmm_error *err)
{
	return (vmm_end(ctx, true, err));
}

int
vmm_add_section(struct vmctx *ctx, const struct section *section, struct vmm_error *err)
{
	struct vmm_error why = {0};
	int result;

	if (ctx->nsections == CTX_SECTIONS_MAX)
		return (vmm_fail(err, ENOSPC, "too many sections in the state file"));
	result = statefile_restore(&ctx->file, section, &why);
	if (result < 0)
		return (vmm_fail(
		    err, why.error, "%s: its state cannot be read: %s", ctx->store.name, why.text));
	ctx->sections[ctx->nsections++] = *section;
	return (result);
}

int
vmm_read_section(struct vmctx *ctx, const struct section *section, struct vmm_error *err)
{
	return (statefile_restore(&ctx->file, section, err));
}

static struct vmctx *
ctx_new(void)
{
	struct vmctx *ctx = calloc(1, sizeof(*ctx));

	if (ctx == NULL)
		return (NULL);
	ctx->store.dirfd = ctx->store.lockfd = ctx->memfd = -1;
	ctx->engine = &engine_soft;
	ctx_init_vm(ctx);
	return (ctx);
}

void
ctx_free(struct vmctx *ctx)
{
	ctx_drop_memory(ctx);
	for (unsigned i = 0; i < ctx->nmappings; i++)
		munmap(ctx->mappings[i].address, ctx->mappings[i].size);
	if (ctx->memfd >= 0)
		close(ctx->memfd);
	statefile_free(&ctx->file);
	store_close(&ctx->store);
	free(ctx);
}

static int
create(const char *name, uint32_t flags, struct vmm_error *err)
{
	struct vmctx *ctx = ctx_new();
	uint8_t *bytes = NULL;
	size_t size;
	int error;

	if (ctx == NULL || (bytes = ctx_build(ctx, flags, &size)) == NULL) {
		free(ctx);
		return (vmm_fail(err, ENOMEM, "out of memory"));
	}
	error = store_create(name, bytes, size, err);
	free(bytes);
	ctx_free(ctx);
	return (error);
}

int
vmm_create(const char *name, struct vmm_error *err)
{
	return (create(name, 0, err));
}

struct vmctx *
vmm_open(const char *name, struct vmm_error *err)
{
	struct vmctx *ctx = ctx_new();
	int saved;

	if (ctx == NULL) {
		vmm_fail(err, ENOMEM, "out of memory");
		return (NULL);
	}
	if (store_open(name, &ctx->store, err) != 0) {
		saved = errno;
		free(ctx);
		errno = saved;
		return (NULL);
	}
	return (ctx);
}

int
vmm_destroy(const char *name, struct vmm_error *err)
{
	struct store_vm store;
	int error, saved;

	if (store_open(name, &store, err) != 0)
		return (-1);
	error = store_lock(&store, STORE_EXCLUSIVE, err);
	if (error == 0)
		error = store_remove(&store, err);
	saved = errno;
	store_close(&store);
	errno = saved;
	return (error);
}

int
vmm_each(void (*each)(void *opaque, const char *name), void *opaque, struct vmm_error *err)
{
	return (store_each(each, opaque, err));
}

int
vmm_info(const char *name, struct vmm_info *info, struct vmm_error *err)
{
	struct vmm_error why = {0};
	struct statefile file;
	struct vmctx *ctx = vmm_open(name, err);

	if (ctx == NULL)
		return (-1);
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "%s", name);
	info->runner = store_runner(&ctx->store);
	if (statefile_read(&file, ctx->store.dirfd, STORE_STATE, &why) != 0 ||
	    restore_sections(ctx, &file, &why) != 0) {
		info->status = VMM_DAMAGED;
		snprintf(info->problem, sizeof(info->problem), "%.190s", why.text);
	} else if ((file.flags & STATEFILE_RUNNING) != 0) {
		info->status = info->runner != 0 ? VMM_RUNNING : VMM_KILLED;
	}
	info->low_size = ctx->config.low_size;
	info->high_size = ctx->config.high_size;
	if (file.bytes != NULL)
		info->is_volatile = (file.flags & STATEFILE_VOLATILE) != 0;
	statefile_free(&file);
	ctx_free(ctx);
	return (0);
}

const char *
vmm_name(const struct vmctx *ctx)
{
	return (ctx->store.name);
}

int
vmm_dirfd(const struct vmctx *ctx)
{
	return (ctx->store.dirfd);
}

bool
vmm_was_killed(const struct vmctx *ctx)
{
	return (ctx->killed);
}
