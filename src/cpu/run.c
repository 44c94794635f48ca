/*
 * Creating the CPU and the dispatcher: between traces it attends to what waits (kicks, interrupts,
 * shadows, single steps), finds the next trace and starts it.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/flags.h"
#include "cpu/internal.h"
#include "cpu/trace.h"
#include "cpu/watch.h"

#define BUDGET_MAX (INT64_MAX / 2)

static void *
map_zeroed(size_t size)
{
	void *p = mmap(
	    NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

static void
memory_changed(void *opaque, uint64_t gpa, uint64_t size)
{
	(void)gpa;
	(void)size;
	/* Traces stay: they are kept by physical address. */
	tlb_flush(opaque);
}

static void
memory_written(void *opaque, uint64_t gpa, uint64_t size)
{
	struct cpu *c = opaque;

	trace_drop_range(c, gpa, size);
	if (c->config.track_writes)
		note_written(c, gpa, size);
	watch_outside(opaque, gpa, size);
	monitor_written(opaque, gpa, size);
}

static bool
allocate(struct cpu *c)
{
	c->code_pages = c->mem->limit >> X86_PAGE_SHIFT;
	c->jcache = malloc(JCACHE_SIZE * sizeof(*c->jcache));
	c->hash = calloc(HASH_SIZE, sizeof(*c->hash));
	c->page_hash = calloc(PAGE_HASH_SIZE, sizeof(*c->page_hash));
	c->tlbs[0] = malloc(TLB_COUNT * TLB_SIZE * sizeof(struct tlb_entry));
	for (int i = 1; i < TLB_COUNT && c->tlbs[0] != NULL; i++)
		c->tlbs[i] = c->tlbs[0] + i * TLB_SIZE;
	if (c->tlbs[0] != NULL) /* no address has these tags */
		memset(c->tlbs[0], 0xff, TLB_COUNT * TLB_SIZE * sizeof(struct tlb_entry));
	c->single = calloc(1, sizeof(struct trace) + 2 * sizeof(struct op));
	c->arena = map_zeroed(trace_arena_size());
	c->code_map = map_zeroed((size_t)(c->code_pages + 1) * sizeof(*c->code_map));
	c->decoder = decoder_create();
	return (c->jcache != NULL && c->hash != NULL && c->page_hash != NULL &&
	    c->tlbs[0] != NULL && c->single != NULL && c->arena != NULL && c->code_map != NULL &&
	    c->decoder != NULL);
}

struct cpu *
cpu_create(
    struct vcpu_state *state, struct memory *mem, struct bus *bus, const struct cpu_config *config)
{
	struct cpu *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	c->s = state;
	c->mem = mem;
	c->bus = bus;
	c->config = *config;
	c->traits = cpu_traits_of(config->model);
	c->monitored = NO_LINE;
	c->random = config->random_seed;
	if (!allocate(c) ||
	    memory_listen(mem,
		&(struct memory_listener){
		    .changed = memory_changed, .written = memory_written, .opaque = c}) != 0) {
		cpu_destroy(c);
		return (NULL);
	}
	c->tlb = c->tlbs[0];
	trace_flush(c);
	tlb_flush(c);
	cpu_push(c, VCPU_ALL);
	return (c);
}

void
cpu_destroy(struct cpu *c)
{
	if (c == NULL)
		return;
	memory_unlisten(c->mem, c);
	free(c->jcache);
	free(c->hash);
	free(c->page_hash);
	free(c->tlbs[0]);
	free(c->single);
	free(c->decoder);
	if (c->arena != NULL)
		munmap(c->arena, trace_arena_size());
	if (c->code_map != NULL)
		munmap(c->code_map, (size_t)(c->code_pages + 1) * sizeof(*c->code_map));
	free(c);
}

/* --- attention -------------------------------------------------------------------------------- */

/*
 * The bits of MASK become BITS. Only the CPU's own thread changes them, but for kicks, so an atomic
 * operation (slow) is needed only when something changes.
 */
static void
attention_write(struct cpu *c, uint32_t mask, uint32_t bits)
{
	uint32_t change = (__atomic_load_n(&c->attention, __ATOMIC_RELAXED) & mask) ^ bits;

	if (change != 0)
		__atomic_fetch_xor(&c->attention, change, __ATOMIC_RELAXED);
}

static void
attention_set(struct cpu *c, uint32_t bits, bool on)
{
	if (on)
		__atomic_or_fetch(&c->attention, bits, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&c->attention, ~bits, __ATOMIC_RELAXED);
}

static uint32_t
intr_bit(const struct cpu *c)
{
	return (c->intr && (c->s->gpr.rflags & RFLAGS_IF) ? ATT_INTR : 0);
}

/* ATT_NMI, ATT_EVENT by what waits in the state. */
static uint32_t
event_bits(const struct cpu *c)
{
	const struct vcpu_events *ev = &c->s->events;
	uint32_t bits = 0;

	if (ev->nmi_pending && !(ev->interruptibility & SHADOW_NMI))
		bits |= ATT_NMI;
	if (ev->inject_type != EVENT_NONE || ev->pending_debug != 0 || c->debugger_hit ||
	    (ev->interruptibility & (SHADOW_STI | SHADOW_MOVSS)) != 0)
		bits |= ATT_EVENT;
	return (bits);
}

void
attention_update(struct cpu *c)
{
	uint64_t flags = c->s->gpr.rflags;
	uint32_t bits = event_bits(c);

	if (unlikely(flags & (RFLAGS_TF | RFLAGS_RF)))
		bits |= (flags & RFLAGS_TF ? ATT_TRAP : 0) | (flags & RFLAGS_RF ? ATT_EVENT : 0);
	if (c->intr && (flags & RFLAGS_IF))
		bits |= ATT_INTR;
	attention_write(c, ATT_INTR | ATT_NMI | ATT_EVENT | ATT_TRAP, bits);
}

void
cpu_kick(struct cpu *c)
{
	attention_set(c, ATT_KICK, true);
}

void
cpu_stop(struct cpu *c)
{
	attention_set(c, ATT_STOP, true);
}

void
cpu_set_intr(struct cpu *c, bool level)
{
	c->intr = level;
	attention_write(c, ATT_INTR, intr_bit(c));
}

void
cpu_raise_nmi(struct cpu *c)
{
	c->s->events.nmi_pending = 1;
	attention_update(c);
}

/* --- pull and push ----------------------------------------------------------------------------- */

uint64_t
rflags_get(struct cpu *c)
{
	return ((c->s->gpr.rflags & ~(uint64_t)RFLAGS_ARITH) | flags_get(c));
}

/* All ones on an 8086, all zero on a 286. */
uint64_t
rflags_stored(struct cpu *c)
{
	uint64_t flags = rflags_get(c);

	if (!(c->mode & MODE_PE))
		flags = (flags & ~(uint64_t)c->traits->flags_clear) | c->traits->flags_set;
	return (flags);
}

void
rflags_set(struct cpu *c, uint64_t value, uint64_t mask)
{
	uint64_t now = (rflags_get(c) & ~mask) | (value & mask) | RFLAGS_1;
	bool vm_changed = ((now ^ c->s->gpr.rflags) & RFLAGS_VM) != 0;

	c->s->gpr.rflags = now;
	flags_set(c, now);
	attention_update(c);
	tlb_choose(c);
	if (vm_changed)
		cpu_sregs_changed(c);
}

void
cpu_pull(struct cpu *c)
{
	c->s->gpr.rflags = rflags_get(c);
}

void
cpu_push(struct cpu *c, unsigned groups)
{
	if (groups & VCPU_GPR) {
		c->s->gpr.zero = 0;
		c->s->gpr.rflags |= RFLAGS_1;
		flags_set(c, c->s->gpr.rflags);
	}
	if (groups & VCPU_SREGS) {
		c->s->sregs.cr0 |= CR0_ET; /* hardwired to 1, SDM vol. 3A, 2.5 */
		cpu_sregs_changed(c);
	}
	if (groups & (VCPU_DEBUG | VCPU_SREGS))
		watch_changed(c);
	attention_update(c);
}

void
cpu_forget(struct cpu *c)
{
	trace_flush(c);
	tlb_flush(c);
}

/* --- running ------------------------------------------------------------------------------------- */

/* Run the instruction at RIP alone, without interrupts before or behind it. */
static void
run_single(struct cpu *c)
{
	const struct trace *t = trace_single(c);

	if (t == NULL) {
		if (c->exit == CPU_EXIT_NONE)
			fault_deliver(c);
		return;
	}
	/* What follows a branch is looked up by the next round: chaining is off near the end. */
	attention_set(c, ATT_TRAP, true);
	t->ops[0].fn(c, t->ops, c->s);
	attention_update(c);
}

/*
 * One instruction with all that can be special about it: breakpoints before it, RFLAGS.RF that
 * keeps them away once, the shadow of STI or MOV SS, RFLAGS.TF that traps behind it (SDM vol. 3B,
 * 17.3.1).
 */
static void
run_one(struct cpu *c)
{
	uint64_t flags = c->s->gpr.rflags;
	uint32_t shadow = c->s->events.interruptibility & (SHADOW_STI | SHADOW_MOVSS);

	if (!(flags & RFLAGS_RF) && !(shadow & SHADOW_MOVSS) && (c->watch_kinds & WATCH_EXEC) &&
	    watch_instruction(c, (c->segc[SEG_CS].base + c->s->gpr.rip) & c->lin_mask)) {
		if (c->exit == CPU_EXIT_NONE)
			fault_deliver(c);
		return;
	}
	c->s->events.interruptibility &= ~shadow;
	c->s->gpr.rflags &= ~(uint64_t)RFLAGS_RF;
	c->trap_cancel = false;
	run_single(c);
	if (c->trap_cancel || c->exit != CPU_EXIT_NONE || !(flags & RFLAGS_TF))
		return;
	c->s->events.pending_debug |= DR6_BS;
	attention_update(c);
}

static void
inject_event(struct cpu *c)
{
	struct vcpu_events *ev = &c->s->events;
	uint8_t type = ev->inject_type;

	ev->inject_type = EVENT_NONE;
	switch (type) {
	case EVENT_HW_INTR:
	case EVENT_NMI:
		interrupt_deliver(c, ev->inject_vector, type == EVENT_NMI);
		break;
	case EVENT_HW_EXCEPTION:
		fault(c, ev->inject_vector, CAUSE_INSTRUCTION);
		c->fault.has_error = ev->inject_has_error;
		c->fault.error = ev->inject_error;
		fault_deliver(c);
		break;
	default:
		if (interrupt_software(c, ev->inject_vector, type, c->s->gpr.rip) == OP_FAULT)
			fault_deliver(c);
		break;
	}
	attention_update(c);
}

/* Debug exceptions wait until behind the instruction after MOV SS (SDM vol. 3A, 6.8.3). */
static bool
debug_waits(const struct cpu *c)
{
	const struct vcpu_events *ev = &c->s->events;

	return (
	    (ev->pending_debug != 0 || c->debugger_hit) && !(ev->interruptibility & SHADOW_MOVSS));
}

/* Deliver an NMI or an external interrupt, if one is let through. */
static bool
take_interrupt(struct cpu *c, uint32_t att)
{
	int vector;

	if (att & ATT_NMI) {
		c->s->events.nmi_pending = 0;
		c->s->events.interruptibility |= SHADOW_NMI;
		interrupt_deliver(c, VEC_NMI, true);
		attention_update(c);
		return (true);
	}
	if (!(att & ATT_INTR) || c->config.int_ack == NULL)
		return (false);
	vector = c->config.int_ack(c->config.int_ack_opaque);
	interrupt_deliver(c, (unsigned)vector & 0xff, false);
	attention_update(c);
	return (true);
}

/* An instruction in a shadow, behind RF or under TF; if it is none of these, nothing waits. */
static void
run_special(struct cpu *c, uint32_t att)
{
	if (att & (ATT_EVENT | ATT_TRAP))
		run_one(c);
	else
		attention_update(c);
}

/* Do the most urgent of what waits (SDM vol. 3A, table 6-2). */
static void
attend(struct cpu *c)
{
	uint32_t att = __atomic_load_n(&c->attention, __ATOMIC_RELAXED);

	if (att & ATT_STOP) {
		attention_set(c, ATT_STOP, false);
		c->exit = CPU_EXIT_STOP;
	} else if (att & ATT_KICK) {
		attention_set(c, ATT_KICK, false);
		c->exit = CPU_EXIT_BUDGET;
	} else if (c->s->events.inject_type != EVENT_NONE) {
		inject_event(c);
	} else if (debug_waits(c)) {
		watch_deliver(c);
	} else if ((att & ATT_EVENT) || !take_interrupt(c, att)) {
		run_special(c, att);
	}
}

/* HLT sleeps until an interrupt that is let through. */
static bool
wakes_up(struct cpu *c)
{
	if (c->attention & (ATT_INTR | ATT_NMI) || c->s->events.inject_type != EVENT_NONE ||
	    c->s->events.pending_debug != 0) {
		c->s->events.activity = VCPU_ACTIVE;
		return (true);
	}
	c->exit = c->attention & ATT_STOP ? CPU_EXIT_STOP : CPU_EXIT_HLT;
	attention_set(c, ATT_STOP | ATT_KICK, false);
	return (false);
}

static void
run_traces(struct cpu *c)
{
	const struct trace *t = jcache_find(c, c->s->gpr.rip);

	if (t == NULL || t->dead)
		t = trace_find(c);
	if (t == NULL) {
		if (c->exit == CPU_EXIT_NONE)
			fault_deliver(c);
		return;
	}
	if (t->nops > c->left) {
		run_single(c);
		return;
	}
	do
		t = t->ops[0].fn(c, t->ops, c->s);
	while (t != NULL);
}

enum cpu_exit
cpu_run(struct cpu *c, uint64_t budget)
{
	c->budget = budget < BUDGET_MAX ? budget : BUDGET_MAX;
	c->left = (int64_t)c->budget;
	c->exit = CPU_EXIT_NONE;
	if (c->s->events.activity == VCPU_SHUTDOWN) {
		c->exit = CPU_EXIT_TRIPLE_FAULT;
		return (c->exit);
	}
	while (c->exit == CPU_EXIT_NONE) {
		if (c->s->events.activity == VCPU_HLT && !wakes_up(c))
			break;
		if (c->left <= 0)
			c->exit = CPU_EXIT_BUDGET;
		else if (c->attention != 0)
			attend(c);
		else
			run_traces(c);
	}
	c->count_base = cpu_instructions(c);
	c->budget = 0;
	c->left = 0;
	c->deliveries = 0;
	return (c->exit);
}

uint64_t
cpu_instructions(const struct cpu *c)
{
	return (c->count_base + c->budget - (uint64_t)c->left - c->deliveries);
}

/* --- what came of it ------------------------------------------------------------------------------ */

const struct cpu_inout *
cpu_inout(const struct cpu *c)
{
	return (&c->inout);
}

uint64_t
cpu_hole_address(const struct cpu *c)
{
	return (c->hole);
}

const char *
cpu_error(const struct cpu *c)
{
	return (c->error != NULL ? c->error : "");
}

void
cpu_history(const struct cpu *c, struct vcpu_history *out)
{
	*out = (struct vcpu_history){
	    .nfaults = c->nfaults < HISTORY_FAULTS ? c->nfaults : HISTORY_FAULTS,
	    .nbranches = c->nbranches < HISTORY_BRANCHES ? c->nbranches : HISTORY_BRANCHES,
	};
	for (unsigned i = 0; i < out->nfaults; i++)
		out->faults[i] = c->faults[(c->nfaults - out->nfaults + i) % HISTORY_FAULTS];
	for (unsigned i = 0; i < out->nbranches; i++) {
		const struct branch *b =
		    &c->branches[(c->nbranches - out->nbranches + i) % HISTORY_BRANCHES];

		out->branches[i] = (struct cpu_branch){.from = b->from,
		    .to = b->to,
		    .bits = b->mode & MODE_L ? 64
			: b->mode & MODE_D   ? 32
					     : 16};
	}
}

unsigned
cpu_instruction_length(struct cpu *c)
{
	const struct trace *t = trace_single(c);

	return (t != NULL ? t->len : 0);
}

/* --- handlers that every op may have ----------------------------------------------------------------- */

const struct trace *
op_fault(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	c->left -= op->idx;
	s->gpr.rip = op_rip(op, s);
	if (c->exit == CPU_EXIT_NONE)
		fault_deliver(c);
	return (NULL);
}

const struct trace *
op_plain(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	switch (op->plain(c, op, s)) {
	case OP_NEXT:
		return (op_next(c, op, s));
	case OP_FAULT:
		return (op_fault(c, op, s));
	case OP_END:
		return (go_to(c, op, s, op_next_rip(op, s) & c->ip_mask));
	case OP_JUMP:
		return (go_to(c, op, s, s->gpr.rip));
	case OP_AGAIN:
		/* A breakpoint here was passed; a trap now shows that (SDM vol. 3B, 17.3.1.1). */
		if ((c->watch_kinds & WATCH_EXEC) || (s->gpr.rflags & RFLAGS_TF))
			rflags_set(c, RFLAGS_RF, RFLAGS_RF);
		break;
	case OP_EXIT:
		break;
	}
	c->left -= op->idx;
	s->gpr.rip = op_rip(op, s);
	return (NULL);
}

/* In a dropped trace: the code from here on changed, look again. */
const struct trace *
op_leave(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	c->left -= op->idx;
	s->gpr.rip = op_rip(op, s);
	return (NULL);
}
