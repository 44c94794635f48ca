/* Near and far branches, LOOP, software interrupts. SDM vol. 2, JMP, Jcc, CALL, RET, INT n ... */
#include "cpu/cond.h"
#include "cpu/insn.h"

#define INLINE static inline __attribute__((always_inline))

/* The target of a branch is checked before anything changes: #GP(0) beyond CS.limit. */
static __attribute__((noinline)) bool
target_bad(struct cpu *c, uint64_t target)
{
	c->fault.seg = SEG_CS;
	return (fault_at(c, VEC_GP, 0, CAUSE_FETCH_LIMIT, target, c->cs_end - 1));
}

static __attribute__((noinline)) const struct trace *
target_fault(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t target)
{
	(void)target_bad(c, target);
	return (op_fault(c, op, s));
}

/* May RIP be TARGET: within CS.limit, canonical in 64-bit mode? */
INLINE bool
target_ok(const struct cpu *c, uint64_t target)
{
	return (likely(c->mode & MODE_L ? is_canonical(target) : target < c->cs_end));
}

/*
 * The first time through a direct branch, or when its link does not serve: look the target up, and
 * keep it as link if it lies in the same page (then what is behind it cannot become another
 * page's code, whatever happens to the translation).
 */
static __attribute__((noinline)) const struct trace *
go_direct_slow(
    struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t target, bool linkable)
{
	uint64_t from = c->segc[SEG_CS].base + op_rip(op, s);
	uint64_t to = c->segc[SEG_CS].base + target;
	const struct trace *t;

	s->gpr.rip = target;
	if (!chain_on(c, op))
		return (NULL);
	t = jcache_find(c, target);
	if (t != NULL && linkable && t->pa2 == NO_PAGE &&
	    ((from ^ to) & c->lin_mask) < X86_PAGE_SIZE)
		((struct op *)(uintptr_t)op)->link = t;
	return (t);
}

/* To RIP = FULL & MASK, by the op's link if it has one. */
INLINE const struct trace *
go_direct(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t full, uint64_t mask)
{
	uint64_t target = full & mask;
	const struct trace *t = op->link;

	if (likely(t != NULL && !t->dead && target == full && target + t->len <= c->cs_end)) {
		s->gpr.rip = target;
		return (chain_on(c, op) ? t : NULL);
	}
	return (go_direct_slow(c, op, s, target, target == full));
}

INLINE const struct trace *
jump_if(struct cpu *c, const struct op *op, struct vcpu_state *s, bool taken)
{
	uint64_t full;

	if (!taken)
		return (op_next(c, op, s));
	full = op_next_rip(op, s) + (uint64_t)op->imm;
	if (!target_ok(c, full & op->amask))
		return (target_fault(c, op, s, full & op->amask));
	return (go_direct(c, op, s, full, op->amask));
}

/* Behind the last op of a trace: straight on. */
const struct trace *
op_end(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (go_direct(c, op, s, s->gpr.rip + op->off, c->ip_mask));
}

#define HANDLER(name, body) \
	static const struct trace *name(struct cpu *c, const struct op *op, struct vcpu_state *s) \
	{ \
		return (body); \
	}
#define ALL_SIZES(name) \
	{ \
		name, name, name, name \
	}
#define JCC(name, cond) \
	HANDLER(name, jump_if(c, op, s, cond_holds(c, cond))) \
	const struct family fam_##name = {.fn = {[FORM_RI] = ALL_SIZES(name)}};

JCC(jo, COND_O)
JCC(jno, COND_NO)
JCC(jb, COND_B)
JCC(jnb, COND_NB)
JCC(jz, COND_Z)
JCC(jnz, COND_NZ)
JCC(jbe, COND_BE)
JCC(jnbe, COND_NBE)
JCC(js, COND_S)
JCC(jns, COND_NS)
JCC(jp, COND_P)
JCC(jnp, COND_NP)
JCC(jl, COND_L)
JCC(jnl, COND_NL)
JCC(jle, COND_LE)
JCC(jnle, COND_NLE)

/* --- LOOP, JCXZ: op->size is the counter's width ------------------------------------------------- */

enum loop { LOOP, LOOPE, LOOPNE };

INLINE const struct trace *
loop(struct cpu *c, const struct op *op, struct vcpu_state *s, enum loop kind)
{
	uint64_t mask = size_mask(op->size), count = (RCX(s) - 1) & mask;
	bool taken = count != 0 && (kind == LOOP || flag_zf(c) == (kind == LOOPE));
	uint64_t target = (op_next_rip(op, s) + (uint64_t)op->imm) & op->amask;

	if (taken && !target_ok(c, target))
		return (target_fault(c, op, s, target));
	gpr_write(&RCX(s), op->size, count);
	return (jump_if(c, op, s, taken));
}

HANDLER(loop_plain, loop(c, op, s, LOOP))
HANDLER(loop_e, loop(c, op, s, LOOPE))
HANDLER(loop_ne, loop(c, op, s, LOOPNE))
HANDLER(jcxz, jump_if(c, op, s, (RCX(s) & size_mask(op->size)) == 0))
const struct family fam_loop = {.fn = {[FORM_RI] = ALL_SIZES(loop_plain)}};
const struct family fam_loope = {.fn = {[FORM_RI] = ALL_SIZES(loop_e)}};
const struct family fam_loopne = {.fn = {[FORM_RI] = ALL_SIZES(loop_ne)}};
const struct family fam_jcxz = {.fn = {[FORM_RI] = ALL_SIZES(jcxz)}};

/* --- JMP, CALL, RET near ---------------------------------------------------------------------------- */

HANDLER(jmp_rel, jump_if(c, op, s, true))

INLINE void
note_near(struct cpu *c, const struct op *op, const struct vcpu_state *s, uint64_t target)
{
	uint64_t base = c->segc[SEG_CS].base;

	branch_note(c, base + op_rip(op, s), c->mode, base + target);
}

/* Through a register or memory. */
INLINE const struct trace *
go_indirect(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t target)
{
	if (!target_ok(c, target))
		return (target_fault(c, op, s, target));
	note_near(c, op, s, target);
	return (go_to(c, op, s, target));
}

INLINE const struct trace *
jmp_reg(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	return (go_indirect(c, op, s, reg_get(s, op->dst, size)));
}

INLINE const struct trace *
jmp_mem(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t target;

	if (!load(c, op->seg, op_ea(op, s), size, &target))
		return (op_fault(c, op, s));
	return (go_indirect(c, op, s, target));
}

/*
 * Push the return address of a call to TARGET. Processors look at the target behind the store: a
 * call to nowhere has written the stack, but not moved SP.
 */
INLINE bool
push_return(
    struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size, uint64_t target)
{
	uint64_t sp = (RSP(s) - size) & c->sp_mask;

	if (!store(c, SEG_SS, sp, size, op_next_rip(op, s)))
		return (false);
	if (!target_ok(c, target))
		return (target_bad(c, target));
	RSP(s) = (RSP(s) & ~c->sp_mask) | sp;
	return (true);
}

INLINE const struct trace *
call_rel(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t full = op_next_rip(op, s) + (uint64_t)op->imm;

	if (!push_return(c, op, s, size, full & op->amask))
		return (op_fault(c, op, s));
	return (go_direct(c, op, s, full, op->amask));
}

INLINE const struct trace *
call_to(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size, uint64_t target)
{
	if (!push_return(c, op, s, size, target))
		return (op_fault(c, op, s));
	note_near(c, op, s, target);
	return (go_to(c, op, s, target));
}

INLINE const struct trace *
call_mem(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t target;

	if (!load(c, op->seg, op_ea(op, s), size, &target))
		return (op_fault(c, op, s));
	return (call_to(c, op, s, size, target));
}

/* RET and RET n: imm is 0 where there is no n. */
INLINE const struct trace *
ret(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t target, sp = RSP(s) & c->sp_mask;

	if (!load(c, SEG_SS, sp, size, &target))
		return (op_fault(c, op, s));
	if (!target_ok(c, target))
		return (target_fault(c, op, s, target));
	sp = (sp + size + ((uint64_t)op->imm & 0xffff)) & c->sp_mask;
	RSP(s) = (RSP(s) & ~c->sp_mask) | sp;
	note_near(c, op, s, target);
	return (go_to(c, op, s, target));
}

#define WIDTHS(name) \
	HANDLER(name##_2, name(c, op, s, 2)) \
	HANDLER(name##_4, name(c, op, s, 4)) \
	HANDLER(name##_8, name(c, op, s, 8))
#define WIDTHS_OF(name) \
	{ \
		NULL, name##_2, name##_4, name##_8 \
	}
HANDLER(call_reg_2, call_to(c, op, s, 2, reg_get(s, op->dst, 2)))
HANDLER(call_reg_4, call_to(c, op, s, 4, reg_get(s, op->dst, 4)))
HANDLER(call_reg_8, call_to(c, op, s, 8, reg_get(s, op->dst, 8)))
WIDTHS(jmp_reg)
WIDTHS(jmp_mem)
WIDTHS(call_rel)
WIDTHS(call_mem)
WIDTHS(ret)

const struct family fam_jmp = {.fn = {[FORM_RI] = ALL_SIZES(jmp_rel),
				   [FORM_RR] = WIDTHS_OF(jmp_reg),
				   [FORM_MR] = WIDTHS_OF(jmp_mem)}};
const struct family fam_call = {.fn = {[FORM_RI] = WIDTHS_OF(call_rel),
				    [FORM_RR] = WIDTHS_OF(call_reg),
				    [FORM_MR] = WIDTHS_OF(call_mem)}};
const struct family fam_ret = {.fn = {[FORM_RI] = WIDTHS_OF(ret)}};

/* --- far ---------------------------------------------------------------------------------------------- */

/* The far pointer of a far JMP or CALL: in the instruction or in memory. */
static bool
far_pointer(
    struct cpu *c, const struct op *op, struct vcpu_state *s, uint16_t *selector, uint64_t *offset)
{
	uint64_t ea = op_ea(op, s), sel;

	if (op->dkind == K_IMM) {
		*selector = (uint16_t)((uint64_t)op->imm >> 32);
		*offset = (uint32_t)op->imm;
		return (true);
	}
	if (!load(c, op->seg, ea, op->size, offset) ||
	    !load(c, op->seg, (ea + op->size) & op->amask, 2, &sel))
		return (false);
	*selector = (uint16_t)sel;
	return (true);
}

/* Where a far transfer comes from. */
struct origin {
	uint64_t lin;
	uint8_t mode;
};

static struct origin
origin_of(const struct cpu *c, const struct op *op, const struct vcpu_state *s)
{
	return ((struct origin){c->segc[SEG_CS].base + op_rip(op, s), c->mode});
}

/* Note a far transfer that was made from FROM, if it was. */
static enum op_result
far_note(struct cpu *c, struct origin from, enum op_result result)
{
	if (result == OP_JUMP)
		branch_note(c, from.lin, from.mode, c->segc[SEG_CS].base + c->s->gpr.rip);
	return (result);
}

enum op_result
do_jmp_far(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct origin from = origin_of(c, op, s);
	uint16_t selector;
	uint64_t offset;

	c->next_rip = op_next_rip(op, s);
	if (!far_pointer(c, op, s, &selector, &offset))
		return (OP_FAULT);
	return (far_note(c, from, far_jump(c, selector, offset, op->size)));
}

enum op_result
do_call_far(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct origin from = origin_of(c, op, s);
	uint16_t selector;
	uint64_t offset;

	if (!far_pointer(c, op, s, &selector, &offset))
		return (OP_FAULT);
	return (far_note(c, from, far_call(c, selector, offset, op->size, op_next_rip(op, s))));
}

enum op_result
do_ret_far(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct origin from = origin_of(c, op, s);

	return (far_note(c, from, far_return(c, op->size, (unsigned)op->imm & 0xffff)));
}

/* --- software interrupts ----------------------------------------------------------------------------- */

enum op_result
do_int(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (interrupt_software(c, (unsigned)op->imm & 0xff, EVENT_SW_INTR, op_next_rip(op, s)));
}

enum op_result
do_int3(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (interrupt_software(c, VEC_BP, EVENT_SW_EXCEPTION, op_next_rip(op, s)));
}

enum op_result
do_int1(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result =
	    interrupt_software(c, VEC_DB, EVENT_PRIV_SW_EXCEPTION, op_next_rip(op, s));

	/* Its own debug exception is also that of the breakpoints that waited behind MOV SS. */
	if (result != OP_FAULT)
		s->events.pending_debug = 0;
	return (result);
}

enum op_result
do_into(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if (!flag_of(c))
		return (OP_END);
	return (interrupt_software(c, VEC_OF, EVENT_SW_EXCEPTION, op_next_rip(op, s)));
}

enum op_result
do_iret(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct origin from = origin_of(c, op, s);

	c->next_rip = op_next_rip(op, s);
	return (far_note(c, from, interrupt_return(c, op->size)));
}

enum op_result
do_bound(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea = op_ea(op, s), low, high;
	int64_t index = sign_extend(reg_get(s, op->dst, op->size), op->size);

	if (!load(c, op->seg, ea, op->size, &low))
		return (OP_FAULT);
	if (index < sign_extend(low, op->size))
		return (fault(c, VEC_BR, CAUSE_INSTRUCTION));
	if (!load(c, op->seg, (ea + op->size) & op->amask, op->size, &high))
		return (OP_FAULT);
	if (index > sign_extend(high, op->size))
		return (fault(c, VEC_BR, CAUSE_INSTRUCTION));
	return (OP_NEXT);
}

enum op_result
do_ud(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
}
