/* See replay.h. */
#include "inspect/replay.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/cpu.h"

#define PAGE 4096u
#define LONGEST 15u
#define HIGHEST (MEMORY_HIGH_BASE - 3 * PAGE) /* where an instruction without memory is tried */
#define ROUND_MAX 500			      /* instructions of a loop that is seen as one */

/* Memory of a subject that has none: nothing at all, but for where the next instruction is. */
static int
make_memory(struct memory *mem, uint64_t at, unsigned room)
{
	uint64_t end = (at + room + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	uint64_t hidden = room > 0 ? at & ~(uint64_t)(PAGE - 1) : end;
	int fd = memfd_create("replay", MFD_CLOEXEC);
	uint8_t code[LONGEST];
	int result;

	if (fd < 0)
		return (-1);
	/* Of the file's RAM all but that page, or both, is laid over with nothing. */
	result = memory_init(mem, fd, end, 0, true);
	close(fd);
	if (result != 0)
		return (-1);
	if (hidden != 0)
		memory_add_region(
		    mem, &(struct mem_region){.size = hidden, .type = MEM_NONE, .name = "unknown"});
	/* As many prefixes as there is room, and an instruction behind them. */
	memset(code, 0x66, sizeof(code));
	memory_write(mem, at, code, room < LONGEST ? room : LONGEST);
	return (0);
}

/* Bytes from RIP that lie within CS.limit; 15 when that makes no difference. */
static unsigned
room_in_cs(const struct vcpu_state *v)
{
	const struct x86_segment *cs = &v->sregs.seg[SEG_CS];

	if ((v->sregs.efer & EFER_LMA) && (cs->access & AR_L))
		return (LONGEST);
	if (v->gpr.rip > cs->limit)
		return (0);
	return (cs->limit - v->gpr.rip < LONGEST - 1 ? (unsigned)(cs->limit - v->gpr.rip + 1)
						     : LONGEST);
}

/* A state to try things with: nothing pending, no breakpoints, no steps. */
static struct vcpu_state
quiet(const struct vcpu_state *v)
{
	struct vcpu_state state = *v;

	state.events = (struct vcpu_events){0};
	state.gpr.rflags &= ~(uint64_t)(RFLAGS_RF | RFLAGS_TF);
	state.gpr.zero = 0;
	state.debug.dr7 = 0x400;
	return (state);
}

static int
run(struct memory *mem, const struct subject *s, struct replay *r)
{
	const struct cpu_config config = {
	    .model = CPU_X86_64, .exit_on_hole = s->mem == NULL, .vmcall_exits = s->vmcall_exits};
	struct vcpu_state state = quiet(&s->state);
	struct vcpu_history history;
	struct cpu *cpu;
	enum cpu_exit end;

	cpu = cpu_create(&state, mem, NULL, &config);
	if (cpu == NULL)
		return (-1);
	end = cpu_run(cpu, 1);
	cpu_history(cpu, &history);
	r->died = end == CPU_EXIT_TRIPLE_FAULT;
	r->vmcall = end == CPU_EXIT_HYPERCALL;
	r->unknown = end == CPU_EXIT_PAGING;
	r->unknown_at = cpu_hole_address(cpu);
	cpu_destroy(cpu);
	r->nfaults = history.nfaults;
	memcpy(r->fault, history.faults, sizeof(r->fault));
	return (0);
}

int
replay_next(const struct subject *s, struct replay *r)
{
	const struct vcpu_state *v = &s->state;
	unsigned room = room_in_cs(v);
	/* Where nothing can be fetched, any place is as good. */
	uint32_t at = room > 0 ? (uint32_t)(v->sregs.seg[SEG_CS].base + v->gpr.rip) : PAGE;
	struct memory mem;
	int result;

	memset(r, 0, sizeof(*r));
	if (s->mem != NULL)
		return (run(s->mem, s, r));
	if (room == LONGEST || (v->sregs.cr0 & CR0_PG) || at > HIGHEST) {
		r->unknown = true;
		return (0);
	}
	r->supposed = room > 0;
	if (make_memory(&mem, at, room) != 0)
		return (-1);
	result = run(&mem, s, r);
	memory_fini(&mem);
	return (result);
}

/* Note the access that an instruction without a bus left for, and step over it. */
static void
pass_port(struct cpu *cpu, struct vcpu_state *state, struct replay_loop *loop)
{
	const struct cpu_inout *io = cpu_inout(cpu);

	loop->port = true;
	loop->in = io->in;
	loop->number = io->port;
	if (io->in)
		memset(&state->gpr.reg[GPR_RAX], 0xff, io->bytes);
	state->gpr.rip += cpu_instruction_length(cpu);
	cpu_push(cpu, VCPU_GPR);
}

int
replay_loop(const struct subject *s, struct replay_loop *loop)
{
	const struct cpu_config config = {.model = CPU_X86_64};
	struct vcpu_state state = quiet(&s->state);
	uint64_t start = state.gpr.rip;
	struct cpu *cpu;

	*loop = (struct replay_loop){.low = start, .high = start};
	cpu = cpu_create(&state, s->mem, NULL, &config);
	if (cpu == NULL)
		return (-1);
	for (unsigned n = 1; n <= ROUND_MAX && loop->instructions == 0; n++) {
		enum cpu_exit end = cpu_run(cpu, 1);

		if (end == CPU_EXIT_INOUT)
			pass_port(cpu, &state, loop);
		else if (end != CPU_EXIT_BUDGET)
			break;
		if (state.gpr.rip == start)
			loop->instructions = n;
		loop->low = state.gpr.rip < loop->low ? state.gpr.rip : loop->low;
		loop->high = state.gpr.rip > loop->high ? state.gpr.rip : loop->high;
	}
	cpu_destroy(cpu);
	return (0);
}
