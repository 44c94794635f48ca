/* Capabilities, events, statistics, pinning, drives, and the calls for devices that do not exist. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "vmm/ctx.h"

/* Entry interruption information, SDM vol. 3C, 25.8.3. */
#define INFO_VALID 0x80000000u
#define INFO_ERROR_CODE 0x800u
#define INFO_TYPE_SHIFT 8

static const char *const cap_names[VM_CAP_MAX] = {
    [VM_CAP_HALT_EXIT] = "hlt_exit",
    [VM_CAP_MTRAP_EXIT] = "mtrap_exit",
    [VM_CAP_PAUSE_EXIT] = "pause_exit",
    [VM_CAP_UNRESTRICTED_GUEST] = "unrestricted_guest",
};

/* The VMCS's number of each event type, SDM vol. 3C, table 25-17. */
static const uint8_t event_types[VM_EVENT_MAX] = {
    [VM_HW_INTR] = 0,
    [VM_NMI] = 2,
    [VM_HW_EXCEPTION] = 3,
    [VM_SW_INTR] = 4,
    [VM_PRIV_SW_EXCEPTION] = 5,
    [VM_SW_EXCEPTION] = 6,
};

static const char *const stat_names[VMM_STAT_COUNT] = {
    [VMM_STAT_MIGRATIONS] = "vcpu migration across host cpus",
    [VMM_STAT_RUNTIME] = "vcpu total runtime",
    [VMM_STAT_EXIT_EXTINT] = "vm exits due to external interrupt",
    [VMM_STAT_EXITS] = "total number of vm exits",
    [VMM_STAT_EXIT_HYPERCALL] = "vm exits due to vmcall",
    [VMM_STAT_EXIT_HLT] = "vm exits due to hlt",
    [VMM_STAT_EXIT_INOUT] = "vm exits due to in/out",
    [VMM_STAT_EXIT_PAGING] = "vm exits due to ept violation",
    [VMM_STAT_EXIT_TRIPLE_FAULT] = "vm exits due to triple fault",
    [VMM_STAT_ENTRY_FAILED] = "vm entries that failed",
    [VMM_STAT_INSTRUCTIONS] = "instructions",
};

int
vm_capability_name2type(const char *capname)
{
	for (int i = 0; i < VM_CAP_MAX; i++)
		if (strcmp(cap_names[i], capname) == 0)
			return (i);
	return (-1);
}

static int
check_numbers(int vcpu, int value, int end)
{
	if (vcpu < 0 || vcpu >= VM_MAXCPU || value < 0 || value >= end) {
		errno = EINVAL;
		return (-1);
	}
	return (0);
}

int
vm_get_capability(struct vmctx *ctx, int vcpu, enum vm_cap_type cap, int *retval)
{
	if (check_numbers(vcpu, (int)cap, VM_CAP_MAX) != 0 || vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (-1);
	*retval = (ctx_vcpu(ctx, vcpu)->vmx.caps >> cap) & 1;
	return (vmm_end(ctx, false, NULL));
}

int
vm_set_capability(struct vmctx *ctx, int vcpu, enum vm_cap_type cap, int val)
{
	struct vmx *vmx;

	if (check_numbers(vcpu, (int)cap, VM_CAP_MAX) != 0 || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	vmx = &ctx_vcpu(ctx, vcpu)->vmx;
	if (val != 0)
		vmx->caps |= 1u << cap;
	else
		vmx->caps &= ~(1u << cap);
	return (vmm_end(ctx, true, NULL));
}

static int
inject(struct vmctx *ctx, int vcpu, enum vm_event_type type, int vector, bool has_error,
    int error_code)
{
	struct ctx_vcpu *cpu;
	struct vcpu_events *events;

	if (check_numbers(vcpu, (int)type, VM_EVENT_MAX) != 0 ||
	    check_numbers(vcpu, vector, 256) != 0 || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	cpu = ctx_vcpu(ctx, vcpu);
	events = &cpu->state.events;
	if (events->inject_type != EVENT_NONE && type != VM_EVENT_NONE) {
		vmm_end(ctx, false, NULL);
		errno = EAGAIN;
		return (-1);
	}
	events->inject_type = (uint8_t)type;
	events->inject_vector = (uint8_t)vector;
	events->inject_has_error = has_error;
	events->inject_error = (uint32_t)error_code;
	cpu->vmx.entry_interruption_info = type == VM_EVENT_NONE
	    ? 0
	    : INFO_VALID | (has_error ? INFO_ERROR_CODE : 0u) |
		(uint32_t)event_types[type] << INFO_TYPE_SHIFT | (uint32_t)vector;
	return (vmm_end(ctx, true, NULL));
}

int
vm_inject_event(struct vmctx *ctx, int vcpu, enum vm_event_type type, int vector)
{
	return (inject(ctx, vcpu, type, vector, false, 0));
}

int
vm_inject_event2(struct vmctx *ctx, int vcpu, enum vm_event_type type, int vector, int error_code)
{
	return (inject(ctx, vcpu, type, vector, true, error_code));
}

int
vm_inject_nmi(struct vmctx *ctx, int vcpu)
{
	if (check_numbers(vcpu, 0, 1) != 0 || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	ctx_vcpu(ctx, vcpu)->state.events.nmi_pending = 1;
	return (vmm_end(ctx, true, NULL));
}

int
vm_lapic_irq(struct vmctx *ctx, int vcpu, int vector)
{
	if (check_numbers(vcpu, vector - 16, 240) != 0 || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	/* Only a VM with the pseudo BIOS runs on the board. */
	if (vmm_firmware(ctx) != VMM_FW_ROM) {
		vmm_end(ctx, false, NULL);
		errno = ENODEV;
		return (-1);
	}
	ctx_vcpu(ctx, vcpu)->irqs.waiting[vector / 64] |= 1ull << vector % 64;
	return (vmm_end(ctx, true, NULL));
}

void
vmm_take_irqs(struct vmctx *ctx, int vcpu, uint64_t out[VMM_VECTOR_WORDS])
{
	struct ctx_vcpu *cpu = ctx_vcpu(ctx, vcpu);

	memset(out, 0, VMM_VECTOR_WORDS * sizeof(*out));
	if (cpu == NULL)
		return;
	memcpy(out, cpu->irqs.waiting, sizeof(cpu->irqs.waiting));
	memset(&cpu->irqs, 0, sizeof(cpu->irqs));
}

int
vm_get_pinning(struct vmctx *ctx, int vcpu, int *hostcpu)
{
	if (check_numbers(vcpu, 0, 1) != 0 || vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (-1);
	*hostcpu = ctx_vcpu(ctx, vcpu)->host.pinned;
	return (vmm_end(ctx, false, NULL));
}

int
vm_set_pinning(struct vmctx *ctx, int vcpu, int hostcpu)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || check_numbers(vcpu, 0, 1) != 0)
		return (-1);
	if (hostcpu < -1 || hostcpu >= CPU_SETSIZE ||
	    (hostcpu >= 0 && !CPU_ISSET((size_t)hostcpu, &cpus))) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	ctx_vcpu(ctx, vcpu)->host.pinned = hostcpu;
	return (vmm_end(ctx, true, NULL));
}

uint64_t *
vm_get_stats(struct vmctx *ctx, int vcpu, struct timeval *tv, int *entries)
{
	if (check_numbers(vcpu, 0, 1) != 0)
		return (NULL);
	if (vmm_begin(ctx, VMM_READ, NULL) == 0)
		vmm_end(ctx, false, NULL);
	else if (errno != EBUSY || ctx_peek(ctx, NULL) != 0)
		return (NULL);
	memcpy(ctx->stats_copy, ctx_vcpu(ctx, vcpu)->host.stats, sizeof(ctx->stats_copy));
	if (tv != NULL)
		gettimeofday(tv, NULL);
	*entries = VMM_STAT_COUNT;
	return (ctx->stats_copy);
}

const char *
vm_get_stat_desc(struct vmctx *ctx, int index)
{
	(void)ctx;
	return (index >= 0 && index < VMM_STAT_COUNT ? stat_names[index] : NULL);
}

void
vmm_stat_add(struct vmctx *ctx, int vcpu, enum vmm_stat stat, uint64_t n)
{
	if (vcpu >= 0 && vcpu < VM_MAXCPU && stat < VMM_STAT_COUNT)
		ctx->vcpus[vcpu].host.stats[stat] += n;
}

/* The VM's parts, for the program. */

struct vcpu_state *
vmm_vcpu_state(struct vmctx *ctx, int vcpu)
{
	struct ctx_vcpu *cpu = ctx_vcpu(ctx, vcpu);

	return (cpu == NULL ? NULL : &cpu->state);
}

struct vmx *
vmm_vmx(struct vmctx *ctx, int vcpu)
{
	struct ctx_vcpu *cpu = ctx_vcpu(ctx, vcpu);

	return (cpu == NULL ? NULL : &cpu->vmx);
}

struct vmx_view
vmm_view(struct vmctx *ctx, int vcpu)
{
	struct ctx_vcpu *cpu = ctx_vcpu(ctx, vcpu);
	struct vmx_place place = {.vcpu = (unsigned)vcpu,
	    .low_size = ctx->config.low_size,
	    .high_size = ctx->config.high_size};

	if (cpu == NULL)
		return ((struct vmx_view){0});
	return (vmx_view(&cpu->state, &cpu->vmx, &place));
}

int
vmm_ncpus(const struct vmctx *ctx)
{
	return ((int)ctx->config.ncpus);
}

enum vmm_firmware
vmm_firmware(const struct vmctx *ctx)
{
	return ((enum vmm_firmware)ctx->config.firmware);
}

void
vmm_set_firmware(struct vmctx *ctx, enum vmm_firmware firmware)
{
	ctx->config.firmware = firmware;
}

uint32_t
vmm_exit_reason(struct vmctx *ctx, int vcpu)
{
	const struct vmx *vmx = vmm_vmx(ctx, vcpu);

	return (vmx == NULL ? 0 : vmx->exit_reason);
}

/* Bytes of DRIVES->paths in use. */
static size_t
paths_used(const struct ctx_drives *drives)
{
	size_t at = 0;

	for (uint32_t i = 0; i < drives->count; i++)
		at += strlen(drives->paths + at) + 1;
	return (at);
}

int
vmm_add_drive(struct vmctx *ctx, const char *path, bool readonly, struct vmm_error *err)
{
	struct ctx_drives *drives = &ctx->drives;
	size_t used = paths_used(drives);
	size_t len = strlen(path) + 1;

	if (drives->count == VMM_DRIVES_MAX || len > CTX_PATHS_SIZE - used)
		return (vmm_fail(err, ENOSPC, "%s: no room for another drive", path));
	memcpy(drives->paths + used, path, len);
	if (readonly)
		drives->readonly |= 1u << drives->count;
	drives->count++;
	return (0);
}

unsigned
vmm_drives(const struct vmctx *ctx, struct vmm_drive *out)
{
	const struct ctx_drives *drives = &ctx->drives;
	size_t at = 0;

	for (uint32_t i = 0; i < drives->count; i++) {
		out[i].path = drives->paths + at;
		out[i].readonly = (drives->readonly >> i & 1) != 0;
		at += strlen(drives->paths + at) + 1;
	}
	return (drives->count);
}

/* What this build has no devices for. */

static int
no_device(void)
{
	errno = ENODEV;
	return (-1);
}

int
vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	(void)ctx, (void)bus, (void)slot, (void)func;
	return (no_device());
}

int
vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	(void)ctx, (void)bus, (void)slot, (void)func;
	return (no_device());
}

int
vm_map_pptdev_mmio(
    struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa)
{
	(void)ctx, (void)bus, (void)slot, (void)func, (void)gpa, (void)len, (void)hpa;
	return (no_device());
}

int
vm_setup_msi(
    struct vmctx *ctx, int vcpu, int bus, int slot, int func, int dest, int vector, int numvec)
{
	(void)ctx, (void)vcpu, (void)bus, (void)slot, (void)func, (void)dest, (void)vector;
	(void)numvec;
	return (no_device());
}

int
vm_setup_msix(struct vmctx *ctx, int vcpu, int bus, int slot, int func, int idx, uint32_t msg,
    uint32_t vector_control, uint64_t addr)
{
	(void)ctx, (void)vcpu, (void)bus, (void)slot, (void)func, (void)idx, (void)msg;
	(void)vector_control, (void)addr;
	return (no_device());
}
