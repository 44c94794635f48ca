/* Running a vCPU without a board, for users of the library. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "bus/clock.h"
#include "vmm/ctx.h"

#define INFO_VALID 0x80000000u
#define BASIC_REASON 0xffffu

/* What each exit of an engine is called in the library, and where it is counted. */
static const struct {
	enum vm_exitcode exitcode;
	enum vmm_stat stat;
} exits[] = {
    [ENGINE_CANCELED] = {VM_EXITCODE_BOGUS, VMM_STAT_EXIT_EXTINT},
    [ENGINE_HYPERCALL] = {VM_EXITCODE_HYPERCALL, VMM_STAT_EXIT_HYPERCALL},
    [ENGINE_HLT] = {VM_EXITCODE_HLT, VMM_STAT_EXIT_HLT},
    [ENGINE_TRIPLE_FAULT] = {VM_EXITCODE_VMX, VMM_STAT_EXIT_TRIPLE_FAULT},
    [ENGINE_ENTRY_FAILED] = {VM_EXITCODE_VMX, VMM_STAT_ENTRY_FAILED},
    [ENGINE_DEBUG] = {VM_EXITCODE_DEBUG, VMM_STAT_EXITS},
    [ENGINE_STOPPED] = {VM_EXITCODE_BOGUS, VMM_STAT_EXITS},
    [ENGINE_INOUT] = {VM_EXITCODE_INOUT, VMM_STAT_EXIT_INOUT},
    [ENGINE_PAGING] = {VM_EXITCODE_PAGING, VMM_STAT_EXIT_PAGING},
    [ENGINE_ERROR] = {VM_EXITCODE_MAX, VMM_STAT_EXITS},
};

void
vmm_set_engine(struct vmctx *ctx, const struct engine_ops *engine)
{
	ctx_drop_engines(ctx);
	ctx->engine = engine;
}

/* The engine's vCPU, made at the first run, up to date with all that was changed since. */
static int
prepare(struct vmctx *ctx, struct ctx_vcpu *cpu, struct vmm_error *err)
{
	struct engine_world world = {0};

	world.mem = vmm_memory(ctx, err);
	if (world.mem == NULL)
		return (-1);
	if (!cpu->has_engine) {
		if (vcpu_create(&cpu->engine, ctx->engine, &cpu->state, &cpu->vmx, &world,
			ENGINE_OPT_HYPERCALL) != 0)
			return (vmm_fail(err, errno, "%s: no CPU engine: %s", ctx->store.name,
			    cpu->engine.exit.text));
		cpu->has_engine = true;
	}
	/* The caller may have written through the addresses that it was given. */
	for (unsigned i = 0; i < ctx->nmappings; i++) {
		memory_touched(world.mem, 0, ctx->config.low_size);
		memory_touched(world.mem, MEMORY_HIGH_BASE, ctx->config.high_size);
	}
	vcpu_push(&cpu->engine, VCPU_ALL);
	cpu->engine.entry_unchecked = true;
	return (0);
}

/* Run on the host CPU that was asked for; returns the affinity of before in OLD. */
static void
pin(const struct ctx_host *host, cpu_set_t *old)
{
	cpu_set_t cpus;

	if (host->pinned < 0 || sched_getaffinity(0, sizeof(*old), old) != 0)
		return;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)host->pinned, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void
count_run(struct ctx_vcpu *cpu, uint64_t ns, uint64_t instructions)
{
	uint64_t *stats = cpu->host.stats;
	int host_cpu = sched_getcpu();

	if (host_cpu != cpu->host.last) {
		stats[VMM_STAT_MIGRATIONS]++;
		cpu->host.last = host_cpu;
	}
	stats[VMM_STAT_RUNTIME] += ns;
	stats[VMM_STAT_INSTRUCTIONS] += instructions;
}

void
vmm_stat_exit(struct vmctx *ctx, int vcpu, unsigned kind)
{
	vmm_stat_add(ctx, vcpu, VMM_STAT_EXITS, 1);
	if (kind < sizeof(exits) / sizeof(exits[0]) && exits[kind].stat != VMM_STAT_EXITS)
		vmm_stat_add(ctx, vcpu, exits[kind].stat, 1);
}

static void
fill_exit(struct vm_exit *out, const struct ctx_vcpu *cpu)
{
	const struct engine_exit_info *exit = &cpu->engine.exit;

	memset(out, 0, sizeof(*out));
	out->exitcode = exits[exit->kind].exitcode;
	out->inst_length = (int)exit->instruction_length;
	out->rip = exit->rip;
	switch (out->exitcode) {
	case VM_EXITCODE_INOUT:
		out->u.inout.bytes = exit->inout.bytes & 7u;
		out->u.inout.in = exit->inout.in;
		out->u.inout.port = exit->inout.port;
		out->u.inout.eax = exit->inout.value;
		break;
	case VM_EXITCODE_PAGING:
		out->u.paging.cr3 = cpu->state.sregs.cr3;
		break;
	default:
		out->u.vmx.error = (int)cpu->vmx.instruction_error;
		out->u.vmx.exit_reason = exit->reason & BASIC_REASON;
		out->u.vmx.exit_qualification = exit->qualification;
		break;
	}
}

int
vmm_run(struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t budget, struct vm_exit *vmexit,
    struct vmm_error *err)
{
	struct ctx_vcpu *cpu = ctx_vcpu(ctx, vcpu);
	uint64_t start, before;
	cpu_set_t old;

	if (cpu == NULL)
		return (vmm_fail(err, EINVAL, "no vCPU %d", vcpu));
	cpu->state.gpr.rip = rip;
	/* Who runs on after a HLT has waited enough. */
	if (cpu->state.events.activity == VCPU_HLT)
		cpu->state.events.activity = VCPU_ACTIVE;
	if (prepare(ctx, cpu, err) != 0)
		return (-1);
	pin(&cpu->host, &old);
	before = vcpu_instructions(&cpu->engine);
	start = host_ns();
	vcpu_run(&cpu->engine, budget);
	count_run(cpu, host_ns() - start, vcpu_instructions(&cpu->engine) - before);
	vmm_stat_exit(ctx, vcpu, cpu->engine.exit.kind);
	if (cpu->host.pinned >= 0)
		sched_setaffinity(0, sizeof(old), &old);
	vcpu_pull(&cpu->engine, VCPU_ALL);
	if (cpu->state.events.inject_type == EVENT_NONE)
		cpu->vmx.entry_interruption_info &= ~INFO_VALID; /* delivered: 27.8.3 */
	if (cpu->engine.exit.kind == ENGINE_ERROR)
		return (vmm_fail(err, EIO, "%s: the CPU engine failed: %s", ctx->store.name,
		    cpu->engine.exit.text));
	fill_exit(vmexit, cpu);
	return (0);
}

void
vmm_kick(struct vmctx *ctx, int vcpu)
{
	if (vcpu >= 0 && vcpu < VM_MAXCPU && ctx->vcpus[vcpu].has_engine)
		vcpu_kick(&ctx->vcpus[vcpu].engine);
}

int
vm_run(struct vmctx *ctx, int vcpu, uint64_t rip, struct vm_exit *vmexit)
{
	int error, saved;

	if (vcpu < 0 || vcpu >= VM_MAXCPU) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_run_begin(ctx, NULL) != 0)
		return (-1);
	error = vmm_run(ctx, vcpu, rip, UINT64_MAX, vmexit, NULL);
	saved = errno;
	if (vmm_run_end(ctx, NULL) != 0)
		return (-1);
	errno = saved;
	return (error);
}
