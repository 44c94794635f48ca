/*
 * x87 arithmetic, comparisons and transcendental functions, on the host's unit (x87_host.c).
 * Operands that are not there, and all that is rare, go through the whole-state way, which lets
 * the host find the stack fault. SDM vol. 1, 8.3 and 8.5.
 */
#include "cpu/cond.h"
#include "cpu/flags.h"
#include "cpu/fpu.h"

/* Opcodes with ST(1), for any ST(i). */
#define CODE_FUCOM x87_code_reg(5, 0xe1)

static bool
before(unsigned sw, const struct fx *f)
{
	return (sw & ~(unsigned)f->fcw & FSW_BEFORE);
}

/* Run OP's own opcode on the whole state; MEM is its operand. */
static enum op_result
whole(struct cpu *c, const struct op *op, struct vcpu_state *s, void *mem)
{
	struct fx *f = fx_of(s);
	unsigned modrm = (unsigned)op->imm & 0xff, was = f->fsw;
	uint64_t flags;

	x87_host_all(op->dkind == K_MEM ? x87_code_mem(op->cond, modrm >> 3 & 7)
					: x87_code_reg(op->cond, modrm),
	    f, mem, &flags);
	was &= FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B;
	x87_done(c, op, s, f->fsw, FSW_CONDITION);
	f->fsw |= (uint16_t)was;
	return (OP_NEXT);
}

enum op_result
do_x87_full(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	return (whole(c, op, s, NULL));
}

/* FADD..FDIVR, FCOM, FCOMP and their integer forms with memory. */
enum op_result
do_x87_arith_mem(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned reg = (unsigned)op->imm >> 3 & 7, sw;
	bool compare = reg == 2 || reg == 3;
	enum op_result result;
	uint64_t mem;

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_sized(c, op->seg, op_ea(op, s), op->size, &mem))
		return (OP_FAULT);
	if (unlikely(!fx_valid(f, 0)))
		return (whole(c, op, s, &mem));
	/* FCOMP as FCOM: the pop is ours. */
	sw = x87_host1(x87_code_mem(op->cond, reg == 3 ? 2 : reg), &f->st[0], &mem, f);
	x87_done(c, op, s, sw, compare ? FSW_CONDITION : FSW_C1);
	if (reg == 3 && !before(sw, f))
		fx_pop(f);
	return (OP_NEXT);
}

/* D8 C0.., DC C0.., DE C0..: ST(0) or ST(i) is the destination; DE pops. */
enum op_result
do_x87_arith(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned i = op->src, reg = (unsigned)op->imm >> 3 & 7, sw;
	bool to_st0 = op->cond == 0;
	struct f80 same, *b = &f->st[i];
	enum op_result result;
	uint64_t flags;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0) || !fx_valid(f, i)))
		return (whole(c, op, s, NULL));
	if (i == 0 && to_st0) { /* the host writes ST(1) last */
		same = f->st[0];
		b = &same;
	}
	sw = x87_host2(x87_code_reg(to_st0 ? 0 : 4, reg << 3 | 1), &f->st[0], b, f, &flags);
	x87_done(c, op, s, sw, FSW_C1);
	if (op->cond == 6 && !before(sw, f))
		fx_pop(f);
	return (OP_NEXT);
}

/* How many pops a comparison of registers has: FCOMP D8 D8, DC D8, DE D0; FCOMPP DE D9; ... */
static unsigned
compare_pops(unsigned esc, unsigned modrm)
{
	if (modrm == 0xd9 && esc == 6)
		return (2);
	if (esc == 2)
		return (2); /* FUCOMPP DA E9 */
	if (esc == 5)
		return (modrm >= 0xe8); /* FUCOM, FUCOMP */
	return (modrm >= 0xd8 || esc == 6);
}

/* FCOM, FUCOM with registers. */
enum op_result
do_x87_compare(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned i = op->src, modrm = (unsigned)op->imm & 0xff, pops, sw;
	enum op_result result;
	uint64_t flags;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0) || !fx_valid(f, i)))
		return (whole(c, op, s, NULL));
	sw = x87_host2(op->cond == 5 || op->cond == 2 ? CODE_FUCOM : x87_code_reg(0, 0xd1),
	    &f->st[0], &f->st[i], f, &flags);
	x87_done(c, op, s, sw, FSW_CONDITION);
	if (before(sw, f))
		return (OP_NEXT);
	for (pops = compare_pops(op->cond, modrm); pops > 0; pops--)
		fx_pop(f);
	return (OP_NEXT);
}

/* FCOMI, FUCOMI; with a pop in DF. RFLAGS change even if an exception is not masked. */
enum op_result
do_x87_compare_eflags(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned i = op->src, modrm = (unsigned)op->imm & 0xff, sw;
	enum op_result result;
	uint64_t flags;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0) || !fx_valid(f, i))) {
		unsigned was = f->fsw & (FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);

		x87_host_all(x87_code_reg(op->cond, modrm), f, NULL, &flags);
		x87_done(c, op, s, f->fsw, FSW_CONDITION);
		flags_set(c, flags & RFLAGS_ARITH);
		f->fsw |= (uint16_t)was;
		return (OP_NEXT);
	}
	sw = x87_host2(x87_code_reg(3, (modrm & 0xf8) | 1), &f->st[0], &f->st[i], f, &flags);
	x87_done(c, op, s, sw, 0);
	flags_set(c, flags & RFLAGS_ARITH);
	if (op->cond == 7 && !before(sw, f))
		fx_pop(f);
	return (OP_NEXT);
}

/* FSQRT, FRNDINT, FTST, F2XM1, FSIN, FCOS: ST(0) alone. */
enum op_result
do_x87_unary(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned modrm = (unsigned)op->imm & 0xff, sw;
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0)))
		return (whole(c, op, s, NULL));
	sw = x87_host1(x87_code_reg(op->cond, modrm), &f->st[0], NULL, f);
	x87_done(c, op, s, sw, modrm == 0xe4 ? FSW_CONDITION : FSW_C1);
	return (OP_NEXT);
}

/* FXAM also knows an empty register. */
enum op_result
do_x87_fxam(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	unsigned sw;

	if (!x87_ready(c, s, &result))
		return (result);
	if (!fx_valid(f, 0))
		return (whole(c, op, s, NULL));
	sw = x87_host1(x87_code_reg(1, 0xe5), &f->st[0], NULL, f);
	x87_done(c, op, s, sw, FSW_CONDITION);
	return (OP_NEXT);
}

/* FCMOVcc: DA B, E, BE, U; DB their opposites. */
enum op_result
do_x87_fcmov(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	static const uint8_t conditions[4] = {COND_B, COND_Z, COND_BE, COND_P};
	struct fx *f = fx_of(s);
	unsigned cond = conditions[(unsigned)op->imm >> 3 & 3] | (op->cond & 1u);
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0) || !fx_valid(f, op->src))) {
		/* The stack fault does not ask for the condition. */
		if (f->fcw & FSW_IE) {
			f->ftw |= (uint8_t)(1u << fx_top(f));
			f->st[0] = (struct f80){.mant = 3ull << 62, .se = 0xffff};
		}
		x87_done(c, op, s, FSW_IE | FSW_SF, FSW_C1);
		return (OP_NEXT);
	}
	x87_done(c, op, s, 0, 0);
	if (cond_holds(c, (enum cond)cond))
		f->st[0] = f->st[op->src];
	return (OP_NEXT);
}
