/* Moving data: stack, exchanges, extensions, segment registers, flags images. SDM vol. 2. */
#include "cpu/cond.h"
#include "cpu/insn.h"
#include "cpu/vme.h"

#define INLINE static inline __attribute__((always_inline))
#define HANDLER(name, body) \
	static const struct trace *name(struct cpu *c, const struct op *op, struct vcpu_state *s) \
	{ \
		return (body); \
	}

/* --- PUSH, POP of registers and immediates -------------------------------------------------------- */

INLINE const struct trace *
push(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t value, unsigned size)
{
	uint64_t sp = (RSP(s) - size) & c->sp_mask;

	if (!store(c, SEG_SS, sp, size, value))
		return (op_fault(c, op, s));
	RSP(s) = (RSP(s) & ~c->sp_mask) | sp;
	return (op_next(c, op, s));
}

/* PUSH SP: an 8086 pushes the value after the decrement (SDM vol. 3B, 23.31.1). */
INLINE uint64_t
pushed_register(const struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t value = reg_get(s, op->dst, size);

	if (unlikely(c->traits->push_sp_after && op->dst == GPR_OFFSET(GPR_RSP)))
		value -= 2;
	return (value);
}

INLINE const struct trace *
pop(struct cpu *c, const struct op *op, struct vcpu_state *s, unsigned size)
{
	uint64_t sp = RSP(s) & c->sp_mask, value;

	if (!load(c, SEG_SS, sp, size, &value))
		return (op_fault(c, op, s));
	RSP(s) = (RSP(s) & ~c->sp_mask) | ((sp + size) & c->sp_mask);
	reg_set(s, op->dst, size, value);
	return (op_next(c, op, s));
}

HANDLER(push_reg_2, push(c, op, s, pushed_register(c, op, s, 2), 2))
HANDLER(push_reg_4, push(c, op, s, reg_get(s, op->dst, 4), 4))
HANDLER(push_reg_8, push(c, op, s, reg_get(s, op->dst, 8), 8))
HANDLER(push_imm_2, push(c, op, s, (uint64_t)op->imm, 2))
HANDLER(push_imm_4, push(c, op, s, (uint64_t)op->imm, 4))
HANDLER(push_imm_8, push(c, op, s, (uint64_t)op->imm, 8))
HANDLER(pop_reg_2, pop(c, op, s, 2))
HANDLER(pop_reg_4, pop(c, op, s, 4))
HANDLER(pop_reg_8, pop(c, op, s, 8))

const struct family fam_push = {.fn = {[FORM_RR] = {NULL, push_reg_2, push_reg_4, push_reg_8},
				    [FORM_RI] = {NULL, push_imm_2, push_imm_4, push_imm_8}}};
const struct family fam_pop = {.fn = {[FORM_RR] = {NULL, pop_reg_2, pop_reg_4, pop_reg_8}}};

enum op_result
do_push_mem(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t value;

	if (!load(c, op->seg, op_ea(op, s), op->size, &value) ||
	    !stack_push(c, &st, op->size, value))
		return (OP_FAULT);
	stack_commit(c, &st);
	return (OP_NEXT);
}

/* The address is worked out with SP already incremented (SDM vol. 2B, POP). */
enum op_result
do_pop_mem(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t before = RSP(s), value;

	if (!stack_pop(c, &st, op->size, &value))
		return (OP_FAULT);
	stack_commit(c, &st);
	if (!store(c, op->seg, op_ea(op, s), op->size, value)) {
		if (!c->traits->pop_keeps_sp)
			RSP(s) = before;
		return (OP_FAULT);
	}
	return (OP_NEXT);
}

/* With a 32-bit operand current processors write 16 bits and move SP by 4 (SDM vol. 2B, PUSH). */
enum op_result
do_push_sreg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);

	st.sp = (st.sp & ~c->sp_mask) | ((st.sp - op->size) & c->sp_mask);
	if (!store(c, SEG_SS, st.sp & c->sp_mask, op->size == 8 ? 8 : 2,
		s->sregs.seg[op->dst].selector))
		return (OP_FAULT);
	stack_commit(c, &st);
	return (OP_NEXT);
}

/* A load of SS holds off interrupts until after the next instruction (SDM vol. 3A, 6.8.3). */
static enum op_result
sreg_loaded(struct cpu *c, unsigned seg)
{
	if (seg != SEG_SS)
		return (OP_NEXT);
	c->s->events.interruptibility |= SHADOW_MOVSS;
	attention_update(c);
	return (OP_END);
}

enum op_result
do_pop_sreg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t sp_before = RSP(s), selector;

	/* No more than the selector is read. */
	if (!stack_peek(c, &st, 0, 2, &selector))
		return (OP_FAULT);
	/* The increment is by the old stack's width, so it goes first. */
	stack_skip(c, &st, op->size);
	stack_commit(c, &st);
	if (!segment_load(c, op->dst, (uint16_t)selector)) {
		RSP(s) = sp_before;
		return (OP_FAULT);
	}
	return (sreg_loaded(c, op->dst));
}

enum op_result
do_mov_sreg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	if (op->imm != 0) { /* from the segment register */
		value = s->sregs.seg[op->src].selector;
		if (op->dkind == K_MEM)
			return (store(c, op->seg, op_ea(op, s), 2, value) ? OP_NEXT : OP_FAULT);
		reg_set(s, op->dst, op->size, value);
		return (OP_NEXT);
	}
	if (op->dst == SEG_CS)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (op->skind == K_REG)
		value = reg_get(s, op->src, 2);
	else if (!load(c, op->seg, op_ea(op, s), 2, &value))
		return (OP_FAULT);
	if (!segment_load(c, op->dst, (uint16_t)value))
		return (OP_FAULT);
	return (sreg_loaded(c, op->dst));
}

enum op_result
do_lfs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea = op_ea(op, s), offset, selector;

	if (!load(c, op->seg, ea, op->size, &offset) ||
	    !load(c, op->seg, (ea + op->size) & op->amask, 2, &selector) ||
	    !segment_load(c, (unsigned)op->imm, (uint16_t)selector))
		return (OP_FAULT);
	reg_set(s, op->dst, op->size, offset);
	return (OP_NEXT);
}

enum op_result
do_pusha(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);

	for (int i = GPR_RAX; i <= GPR_RDI; i++)
		if (!stack_push(c, &st, op->size, s->gpr.reg[i]))
			return (OP_FAULT);
	stack_commit(c, &st);
	return (OP_NEXT);
}

enum op_result
do_popa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t value;

	/* Registers popped before a fault keep their new values; SP does not. */
	for (int i = GPR_RDI; i >= GPR_RAX; i--) {
		if (!stack_pop(c, &st, op->size, &value))
			return (OP_FAULT);
		if (i != GPR_RSP)
			gpr_write(&s->gpr.reg[i], op->size, value);
	}
	stack_commit(c, &st);
	return (OP_NEXT);
}

/* Push the frame pointers of LEVEL-1 outer procedures and the own one (SDM vol. 2A, ENTER). */
static bool
enter_levels(struct cpu *c, const struct op *op, struct vcpu_state *s, struct stack *st,
    unsigned level, uint64_t frame)
{
	uint64_t bp = RBP(s), value;

	for (unsigned i = 1; i < level; i++) {
		bp -= op->size;
		if (!load(c, SEG_SS, bp & c->sp_mask, op->size, &value) ||
		    !stack_push(c, st, op->size, value))
			return (false);
	}
	return (stack_push(c, st, op->size, frame));
}

enum op_result
do_enter(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned level = (unsigned)op->disp & 31;
	struct stack st = stack_begin(c);
	uint64_t frame, sp;

	if (!stack_push(c, &st, op->size, RBP(s)))
		return (OP_FAULT);
	frame = st.sp;
	if (level > 0 && !enter_levels(c, op, s, &st, level, frame))
		return (OP_FAULT);
	sp = (st.sp - ((uint64_t)op->imm & 0xffff)) & c->sp_mask;
	if (!probe_write(c, SEG_SS, sp, op->size))
		return (OP_FAULT);
	gpr_write(&RBP(s), op->size, frame);
	RSP(s) = (RSP(s) & ~c->sp_mask) | sp;
	return (OP_NEXT);
}

enum op_result
do_leave(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = {.sp = (RSP(s) & ~c->sp_mask) | (RBP(s) & c->sp_mask)};
	uint64_t bp;

	if (!stack_pop(c, &st, op->size, &bp))
		return (OP_FAULT);
	stack_commit(c, &st);
	gpr_write(&RBP(s), op->size, bp);
	return (OP_NEXT);
}

/* --- flags as a whole ----------------------------------------------------------------------------- */

static bool
vm_without_iopl(const struct cpu *c)
{
	return ((c->mode & MODE_VM) && (c->s->gpr.rflags & RFLAGS_IOPL) != RFLAGS_IOPL);
}

/* #GP(0): flags as a whole are not for virtual-8086 code below IOPL 3. */
static bool
flags_allowed(struct cpu *c, unsigned size)
{
	if (!vm_without_iopl(c) || (size == 2 && vme_active(c)))
		return (true);
	return (fault_at(c, VEC_GP, 0, CAUSE_PRIVILEGE, 0, 0));
}

static uint64_t
flags_pushed(struct cpu *c)
{
	uint64_t flags = rflags_stored(c) & ~(uint64_t)(RFLAGS_VM | RFLAGS_RF);

	if (vme_active(c))
		flags = vme_flags_image(c, flags);
	return (flags);
}

enum op_result
do_pushf(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);

	(void)s;
	if (!flags_allowed(c, op->size))
		return (OP_FAULT);
	if (!stack_push(c, &st, op->size, flags_pushed(c)))
		return (OP_FAULT);
	stack_commit(c, &st);
	return (OP_NEXT);
}

enum op_result
do_popf(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT;
	unsigned iopl = (s->gpr.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;
	struct stack st = stack_begin(c);
	uint64_t flags;

	if (!flags_allowed(c, op->size))
		return (OP_FAULT);
	if (!stack_pop(c, &st, op->size, &flags))
		return (OP_FAULT);
	if (vme_active(c)) {
		if (!vme_flags_ok(c, flags))
			return (OP_FAULT);
		stack_commit(c, &st);
		vme_flags_load(c, flags);
		return (OP_END);
	}
	if (op->size > 2)
		mask |= RFLAGS_AC | RFLAGS_ID;
	if (c->cpl != 0)
		mask &= ~(uint64_t)RFLAGS_IOPL;
	if (c->cpl > iopl)
		mask &= ~(uint64_t)RFLAGS_IF;
	stack_commit(c, &st);
	/* POPF clears RF (SDM vol. 2B, POPF). */
	rflags_set(c, flags & ~(uint64_t)RFLAGS_RF, op->size > 2 ? mask | RFLAGS_RF : mask);
	return (OP_END);
}

enum op_result
do_lahf(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ah = (flags_get(c) & 0xd5u) | RFLAGS_1;

	(void)op;
	RAX(s) = (RAX(s) & ~0xff00ull) | ah << 8;
	return (OP_NEXT);
}

enum op_result
do_sahf(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	flags_merge(c, (uint32_t)(RAX(s) >> 8), 0xd5u);
	return (OP_NEXT);
}

/* --- extensions, exchanges -------------------------------------------------------------------------- */

INLINE const struct trace *
extend(struct cpu *c, const struct op *op, struct vcpu_state *s, enum form form, unsigned size,
    bool sign)
{
	uint64_t value;

	if (form == FORM_RR)
		value = reg_get(s, op->src, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &value))
		return (op_fault(c, op, s));
	if (sign)
		value = (uint64_t)sign_extend(value, size);
	gpr_write((uint64_t *)(void *)reg_at(s, op->dst), op->size, value);
	return (op_next(c, op, s));
}

HANDLER(movzx_r1, extend(c, op, s, FORM_RR, 1, false))
HANDLER(movzx_r2, extend(c, op, s, FORM_RR, 2, false))
HANDLER(movzx_m1, extend(c, op, s, FORM_RM, 1, false))
HANDLER(movzx_m2, extend(c, op, s, FORM_RM, 2, false))
HANDLER(movsx_r1, extend(c, op, s, FORM_RR, 1, true))
HANDLER(movsx_r2, extend(c, op, s, FORM_RR, 2, true))
HANDLER(movsx_m1, extend(c, op, s, FORM_RM, 1, true))
HANDLER(movsx_m2, extend(c, op, s, FORM_RM, 2, true))
HANDLER(movsx_r4, extend(c, op, s, FORM_RR, 4, true))
HANDLER(movsx_m4, extend(c, op, s, FORM_RM, 4, true))
const struct family fam_movzx = {.fn = {[FORM_RR] = {movzx_r1, movzx_r2, NULL, NULL},
				     [FORM_RM] = {movzx_m1, movzx_m2, NULL, NULL}}};
const struct family fam_movsx = {.fn = {[FORM_RR] = {movsx_r1, movsx_r2, movsx_r4, NULL},
				     [FORM_RM] = {movsx_m1, movsx_m2, movsx_m4, NULL}}};

enum op_result
do_cbw(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	gpr_write(&RAX(s), op->size, (uint64_t)sign_extend(RAX(s), op->size / 2u));
	return (OP_NEXT);
}

enum op_result
do_cwd(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	gpr_write(&RDX(s), op->size, sign_extend(RAX(s), op->size) < 0 ? UINT64_MAX : 0);
	return (OP_NEXT);
}

enum op_result
do_xchg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a, b = reg_get(s, op->src, op->size);

	/* The memory operand may stand first or second: it makes no difference. */
	if (op->skind == K_MEM) {
		if (!load(c, op->seg, op_ea(op, s), op->size, &a)) {
			rmw_fault(c, op->seg, op_ea(op, s), op->size);
			return (OP_FAULT);
		}
		if (!store(c, op->seg, op_ea(op, s), op->size, reg_get(s, op->dst, op->size)))
			return (OP_FAULT);
		reg_set(s, op->dst, op->size, a);
		return (OP_NEXT);
	}
	if (!dst_get_rmw(c, op, s, &a) || !dst_set(c, op, s, b))
		return (OP_FAULT);
	reg_set(s, op->src, op->size, a);
	return (OP_NEXT);
}

enum op_result
do_xlat(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	if (!load(c, op->seg, (RBX(s) + (RAX(s) & 0xff)) & op->amask, 1, &value))
		return (OP_FAULT);
	gpr_write(&RAX(s), 1, value);
	return (OP_NEXT);
}

/* With a 16-bit operand the result is undefined; current processors give 0. */
enum op_result
do_bswap(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value = reg_get(s, op->dst, op->size);

	(void)c;
	if (op->size == 8)
		value = __builtin_bswap64(value);
	else
		value = op->size == 4 ? __builtin_bswap32((uint32_t)value) : 0;
	reg_set(s, op->dst, op->size, value);
	return (OP_NEXT);
}

enum op_result
do_nop(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	(void)op;
	(void)s;
	return (OP_NEXT);
}

/* --- conditions ---------------------------------------------- */

enum op_result
do_setcc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (dst_set(c, op, s, cond_holds(c, op->cond)) ? OP_NEXT : OP_FAULT);
}

/* The source is read, and may fault, whether the condition holds or not. */
enum op_result
do_cmovcc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;

	if (!src_get(c, op, s, &value))
		return (OP_FAULT);
	if (!cond_holds(c, op->cond))
		value = reg_get(s, op->dst, op->size);
	reg_set(s, op->dst, op->size, value);
	return (OP_NEXT);
}
