/*
 * String instructions. SDM vol. 2, MOVS, CMPS, STOS, LODS, SCAS, REP. With REP the work is done in
 * spans of memory within a page; registers are brought up to date after each span, so a fault or
 * an interrupt finds them as after the last complete iteration.
 */
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/watch.h"

/* At most this many iterations between two looks at what waits. */
#define SPAN_MAX 4096u

/* A host view of up to COUNT elements from SEG:EA upward. */
struct span {
	uint8_t *host;
	uint64_t count;
	uint32_t code; /* the page holds decoded code */
};

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return (a < b ? a : b);
}

/*
 * Of COUNT elements stored from LIN upward those up to the first that changes the instruction
 * itself: what comes then is another instruction.
 */
static uint64_t
up_to_own_code(const struct cpu *c, const struct op *op, uint64_t lin, uint64_t count)
{
	uint64_t own = (c->segc[SEG_CS].base + op_rip(op, c->s)) & c->lin_mask;

	if (lin >= own + op->len || lin + count * op->size <= own)
		return (count);
	return (lin >= own ? 1 : (own - lin) / op->size + 1);
}

/* Elements that lie in one page and within limits and are in the TLB: none means "one by one". */
static struct span
span_at(struct cpu *c, const struct op *op, unsigned seg, uint64_t ea, uint64_t count, bool write)
{
	const struct seg_cache *sc = &c->segc[seg];
	uint64_t lin = (sc->base + ea) & c->lin_mask, end = write ? sc->wend : sc->rend;
	const struct tlb_entry *e = tlb_slot(c, lin);
	uint64_t tag = lin & ~(uint64_t)X86_PAGE_MASK;
	struct span span = {0};

	if ((c->s->gpr.rflags & RFLAGS_DF) || ea >= end || tag != (write ? e->wtag : e->rtag))
		return (span);
	count = min_u64(count, (X86_PAGE_SIZE - (lin & X86_PAGE_MASK)) / op->size);
	count = min_u64(count, (end - ea) / op->size);
	span.count = min_u64(count, (op->amask - ea) / op->size);
	if (write && unlikely(*e->code != 0))
		span.count = up_to_own_code(c, op, lin, span.count);
	span.host = (uint8_t *)(e->addend + lin); // NOLINT(performance-no-int-to-ptr)
	span.code = *e->code;
	return (span);
}

/* Bytes were stored to a span directly: code that was decoded from them goes. */
static void
span_written(struct cpu *c, const struct span *span, uint64_t bytes)
{
	if (span->code != 0)
		trace_drop_range(c, (uint64_t)(span->host - c->mem->base), bytes);
}

/* Add N elements, in the direction of DF, to an index register as wide as the address. */
static void
advance(struct cpu *c, const struct op *op, uint64_t *reg, uint64_t n)
{
	uint64_t by = n * op->size;

	if (c->s->gpr.rflags & RFLAGS_DF)
		by = 0 - by;
	*reg = op->amask == UINT16_MAX ? (*reg & ~op->amask) | ((*reg + by) & op->amask)
				       : (*reg + by) & op->amask;
}

static void
count_down(const struct op *op, struct vcpu_state *s, uint64_t n)
{
	uint64_t left = (RCX(s) - n) & op->amask;

	RCX(s) = op->amask == UINT16_MAX ? (RCX(s) & ~op->amask) | left : left;
}

/* One step: up to COUNT iterations. Returns how many were done; 0 is a fault. *STOP: a condition
 * (REPE, REPNE) ended it. */
typedef uint64_t step_fn(
    struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop);

static inline __attribute__((always_inline)) enum op_result
repeat(struct cpu *c, const struct op *op, struct vcpu_state *s, step_fn *step)
{
	bool stop = false;
	uint64_t done;

	if (op->rep == REP_NONE)
		return (step(c, op, s, 1, &stop) != 0 ? OP_NEXT : OP_FAULT);
	count_down(
	    op, s, 0); /* with 32-bit addresses ECX is written first: RCX's upper half goes */
	while ((RCX(s) & op->amask) != 0) {
		uint64_t count = min_u64(RCX(s) & op->amask, SPAN_MAX);
		int64_t room = c->left - op->idx;

		count = min_u64(count, room > 1 ? (uint64_t)room : 1);
		if (s->gpr.rflags & RFLAGS_TF) /* a trap behind each iteration */
			count = 1;
		done = step(c, op, s, count, &stop);
		if (done == 0)
			return (OP_FAULT);
		count_down(op, s, done);
		if (stop || (RCX(s) & op->amask) == 0) {
			c->left -= (int64_t)done - 1;
			return (OP_NEXT);
		}
		c->left -= (int64_t)done;
		if (c->attention != 0 || c->left <= op->idx || op->fn == op_leave)
			return (OP_AGAIN);
	}
	return (OP_NEXT);
}

/*
 * A 286 notices a fault when its index registers have moved already, and CX by COUNTS: its
 * microcode is one iteration ahead (as captured from the part). Later processors leave all as it
 * was. Returns 0, a step's sign of a fault. B may be NULL.
 */
static uint64_t
step_fault(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t *a, uint64_t *b,
    uint64_t counts)
{
	if (!c->traits->string_commits)
		return (0);
	advance(c, op, a, 1);
	if (b != NULL)
		advance(c, op, b, 1);
	if (op->rep != REP_NONE)
		count_down(op, s, counts);
	return (0);
}

static uint64_t
movs_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t si = RSI(s) & op->amask, di = RDI(s) & op->amask, value, n = 1;
	struct span from, to;

	(void)stop;
	from = span_at(c, op, op->seg, si, count, false);
	to = span_at(c, op, SEG_ES, di, count, true);
	if (from.count > 1 && to.count > 1) {
		n = min_u64(from.count, to.count);
		if (to.host > from.host && to.host < from.host + n * op->size) {
			/* Overlapping upward: each element is read after the ones before it. */
			for (uint64_t i = 0; i < n * op->size; i += op->size)
				memmove(to.host + i, from.host + i, op->size);
		} else
			memmove(to.host, from.host, n * op->size);
		span_written(c, &to, n * op->size);
	} else if (!load(c, op->seg, si, op->size, &value))
		return (step_fault(c, op, s, &RSI(s), NULL, 1));
	else if (!store(c, SEG_ES, di, op->size, value))
		return (step_fault(c, op, s, &RSI(s), &RDI(s), 2));
	advance(c, op, &RSI(s), n);
	advance(c, op, &RDI(s), n);
	return (n);
}

static void
fill(uint8_t *to, uint64_t value, uint64_t n, unsigned size)
{
	if (size == 1)
		memset(to, (int)(value & 0xff), n);
	else
		for (uint64_t i = 0; i < n; i++)
			memcpy(to + i * size, &value, size);
}

static uint64_t
stos_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t di = RDI(s) & op->amask, n = 1;
	struct span to = span_at(c, op, SEG_ES, di, count, true);

	(void)stop;
	if (to.count > 1) {
		n = to.count;
		fill(to.host, RAX(s), n, op->size);
		span_written(c, &to, n * op->size);
	} else if (!store(c, SEG_ES, di, op->size, RAX(s)))
		return (step_fault(c, op, s, &RDI(s), NULL, 2));
	advance(c, op, &RDI(s), n);
	return (n);
}

static uint64_t
lods_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t value;

	(void)count;
	(void)stop;
	if (!load(c, op->seg, RSI(s) & op->amask, op->size, &value))
		return (step_fault(c, op, s, &RSI(s), NULL, 1));
	gpr_write(&RAX(s), op->size, value);
	advance(c, op, &RSI(s), 1);
	return (1);
}

/* Does the comparison of A and B end a REPE or REPNE? */
static bool
ends_here(const struct op *op, uint64_t a, uint64_t b)
{
	return ((a == b) != (op->rep == REP_E));
}

static uint64_t
cmps_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t a, b;

	(void)count;
	/* ES:DI is read first, by a 286 as by current processors. */
	if (!load(c, SEG_ES, RDI(s) & op->amask, op->size, &b))
		return (step_fault(c, op, s, &RDI(s), NULL, 0));
	if (!load(c, op->seg, RSI(s) & op->amask, op->size, &a))
		return (step_fault(c, op, s, &RSI(s), &RDI(s), 1));
	flags_sub(c, a, b, a - b, op->size);
	*stop = ends_here(op, a, b);
	advance(c, op, &RSI(s), 1);
	advance(c, op, &RDI(s), 1);
	return (1);
}

static uint64_t
scas_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t di = RDI(s) & op->amask, a = RAX(s) & size_mask(op->size), b = 0, n = 0;
	struct span at = span_at(c, op, SEG_ES, di, count, false);

	if (at.count > 1) {
		while (n < at.count && !*stop) {
			memcpy(&b, at.host + n++ * op->size, op->size);
			*stop = ends_here(op, a, b);
		}
	} else {
		if (!load(c, SEG_ES, di, op->size, &b))
			return (step_fault(c, op, s, &RDI(s), NULL, 1));
		*stop = ends_here(op, a, b);
		n = 1;
	}
	flags_sub(c, a, b, a - b, op->size);
	advance(c, op, &RDI(s), n);
	return (n);
}

/*
 * With REP, MOVS and STOS write their index registers before the first iteration, as all do with
 * the count: with 32-bit addresses the upper halves are gone even if no iteration is completed.
 */
static void
begin_index(struct cpu *c, const struct op *op, uint64_t *reg)
{
	if (op->rep != REP_NONE)
		advance(c, op, reg, 0);
}

enum op_result
do_movs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	begin_index(c, op, &RSI(s));
	begin_index(c, op, &RDI(s));
	return (repeat(c, op, s, movs_step));
}

enum op_result
do_stos(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	begin_index(c, op, &RDI(s));
	return (repeat(c, op, s, stos_step));
}

enum op_result
do_lods(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (repeat(c, op, s, lods_step));
}

/*
 * Comparing instructions write the flags at their end: what comes between iterations, a fault or
 * a trap, finds them as before the first, though registers have moved (as current processors do
 * it). Those before the 386 write them each time round.
 */
static inline __attribute__((always_inline)) enum op_result
compare(struct cpu *c, const struct op *op, struct vcpu_state *s, step_fn *step)
{
	int64_t res = c->fl_res;
	uint32_t aux = c->fl_aux;
	enum op_result result = repeat(c, op, s, step);

	if ((result == OP_FAULT || result == OP_AGAIN) && !c->traits->string_commits) {
		c->fl_res = res;
		c->fl_aux = aux;
	}
	return (result);
}

enum op_result
do_cmps(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (compare(c, op, s, cmps_step));
}

enum op_result
do_scas(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (compare(c, op, s, scas_step));
}

/* --- INS, OUTS: a port access an iteration ------------------------------------------------------------ */

/* No bus to ask: the library's user does it (bhyve's INOUT exit has no strings: an error). */
static enum op_result
no_bus(struct cpu *c, const struct op *op, struct vcpu_state *s, bool in)
{
	c->inout = (struct cpu_inout){.port = (uint16_t)RDX(s), .bytes = op->size, .in = in};
	c->exit = CPU_EXIT_INOUT;
	return (OP_EXIT);
}

static uint64_t
ins_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t di = RDI(s) & op->amask;

	(void)count;
	(void)stop;
	/* The store is checked first: a port read cannot be taken back. */
	if (!probe_write(c, SEG_ES, di, op->size))
		return (step_fault(c, op, s, &RDI(s), NULL, 2));
	if (!store(c, SEG_ES, di, op->size, bus_in(c->bus, (uint16_t)RDX(s), op->size)))
		return (0);
	advance(c, op, &RDI(s), 1);
	return (1);
}

static uint64_t
outs_step(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t count, bool *stop)
{
	uint64_t value;

	(void)count;
	(void)stop;
	if (!load(c, op->seg, RSI(s) & op->amask, op->size, &value))
		return (step_fault(c, op, s, &RSI(s), NULL, 1));
	bus_out(c->bus, (uint16_t)RDX(s), op->size, (uint32_t)value);
	advance(c, op, &RSI(s), 1);
	return (1);
}

static enum op_result
string_io(struct cpu *c, const struct op *op, struct vcpu_state *s, bool in)
{
	enum op_result result;

	if (!io_allowed(c, (uint16_t)RDX(s), op->size))
		return (OP_FAULT);
	if (c->bus == NULL)
		return (no_bus(c, op, s, in));
	if (unlikely(c->watch_kinds & WATCH_PORT) && (op->rep == REP_NONE || (RCX(s) & op->amask)))
		watch_port(c, (uint16_t)RDX(s), op->size);
	result = in ? repeat(c, op, s, ins_step) : repeat(c, op, s, outs_step);
	return (result == OP_NEXT ? OP_END : result);
}

enum op_result
do_ins(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (string_io(c, op, s, true));
}

enum op_result
do_outs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (string_io(c, op, s, false));
}
