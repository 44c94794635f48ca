/*
 * Instructions that an 80286 executes otherwise than later processors, worked out from captures of
 * the part (SingleStepTests).
 */
#include "cpu/flags.h"
#include "cpu/old.h"

/* With a divisor of 0 it has written SF, ZF and PF, by AL shifted right, when it raises #DE. */
static enum op_result
do_286_aam(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	if ((op->imm & 0xff) != 0)
		return (do_aam(c, op, s));
	flags_logic(c, (RAX(s) & 0xff) >> 1, 1);
	return (fault(c, VEC_DE, CAUSE_INSTRUCTION));
}

/*
 * A quotient that is too small is seen by what the division leaves of the dividend, of which it
 * loses the top two bits: when the rest is less than the divisor, the quotient is -80h (-8000h)
 * and there is no #DE.
 */
static enum op_result
do_286_idiv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned bits = op->size * 8u;
	uint64_t a, b, raw, rest;
	bool minus;

	if (!dst_get(c, op, s, &raw))
		return (OP_FAULT);
	a = (op->size == 1 ? RAX(s) : (RDX(s) & 0xffff) << 16 | (RAX(s) & 0xffff)) &
	    size_mask(op->size * 2u);
	minus = sign_extend(a, op->size * 2u) < 0;
	a = minus ? (0 - a) & size_mask(op->size * 2u) : a;
	b = raw >> (bits - 1) ? (0 - raw) & size_mask(op->size) : raw;
	rest = (a - (b << (bits - 1))) & (size_mask(op->size * 2u) >> 2);
	if (minus == (raw >> (bits - 1)) || a < b << (bits - 1) || rest >= b)
		return (do_idiv(c, op, s));
	rest = minus ? 0 - rest : rest;
	if (op->size == 1)
		gpr_write(&RAX(s), 2, (rest & 0xff) << 8 | 0x80);
	else {
		gpr_write(&RAX(s), 2, 0x8000);
		gpr_write(&RDX(s), 2, rest);
	}
	return (OP_NEXT);
}

/* AF after shifts: to the left that of the last addition to itself, to the right it is set. */
static enum op_result
shift_af(struct cpu *c, const struct op *op, struct vcpu_state *s, plain_fn *shift, bool left)
{
	unsigned count = (unsigned)(op->skind == K_IMM ? (uint64_t)op->imm : RCX(s)) & 31;
	enum op_result result = shift(c, op, s);

	if (result == OP_NEXT && count != 0)
		flags_merge(c, !left || (c->fl_res >> 4 & 1) ? RFLAGS_AF : 0, RFLAGS_AF);
	return (result);
}

static enum op_result
do_286_shl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_af(c, op, s, do_shl, true));
}

static enum op_result
do_286_shr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_af(c, op, s, do_shr, false));
}

static enum op_result
do_286_sar(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_af(c, op, s, do_sar, false));
}

/* The flags that are not CF and AF are those of the 8-bit addition before the upper digit goes. */
static enum op_result
ascii_adjust(struct cpu *c, struct vcpu_state *s, bool subtract)
{
	uint64_t ax = RAX(s) & 0xffff, al = ax & 0xff, by, result;
	bool adjust = (al & 0xf) > 9 || flag_af(c);

	by = adjust ? 6 : 0;
	result = (subtract ? al - by : al + by) & 0xff;
	if (adjust)
		ax = subtract ? ax - 0x106 : ax + 0x106;
	gpr_write(&RAX(s), 2, ax & 0xff0f);
	if (subtract)
		flags_sub(c, al, by, result, 1);
	else
		flags_add(c, al, by, result, 1);
	flags_merge(c, adjust ? RFLAGS_CF | RFLAGS_AF : 0, RFLAGS_CF | RFLAGS_AF);
	return (OP_NEXT);
}

static enum op_result
do_286_aaa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (ascii_adjust(c, s, false));
}

static enum op_result
do_286_aas(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (ascii_adjust(c, s, true));
}

/* As the manual has it, with OF of one addition of both adjustments. */
static enum op_result
decimal_adjust(struct cpu *c, struct vcpu_state *s, bool subtract)
{
	uint64_t al = RAX(s) & 0xff;
	bool low = (al & 0xf) > 9 || flag_af(c), high = al > 0x99 || flag_cf(c);
	bool carry = high || (subtract && low && al < 6);

	return (old_decimal_adjust(c, s, subtract, low, high, carry));
}

static enum op_result
do_286_daa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (decimal_adjust(c, s, false));
}

static enum op_result
do_286_das(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (decimal_adjust(c, s, true));
}

/* Nothing is popped when one of the eight cannot be. */
static enum op_result
do_286_popa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t value[GPR_RDI + 1];

	for (int i = GPR_RDI; i >= GPR_RAX; i--)
		if (!stack_pop(c, &st, op->size, &value[i]))
			return (OP_FAULT);
	for (int i = GPR_RDI; i >= GPR_RAX; i--)
		if (i != GPR_RSP)
			gpr_write(&s->gpr.reg[i], op->size, value[i]);
	stack_commit(c, &st);
	return (OP_NEXT);
}

const struct variant variants_286[] = {
    {ZYDIS_MNEMONIC_AAM, do_286_aam},
    {ZYDIS_MNEMONIC_IDIV, do_286_idiv},
    {ZYDIS_MNEMONIC_POPA, do_286_popa},
    {ZYDIS_MNEMONIC_SHL, do_286_shl},
    {ZYDIS_MNEMONIC_SHR, do_286_shr},
    {ZYDIS_MNEMONIC_SAR, do_286_sar},
    {ZYDIS_MNEMONIC_AAA, do_286_aaa},
    {ZYDIS_MNEMONIC_AAS, do_286_aas},
    {ZYDIS_MNEMONIC_DAA, do_286_daa},
    {ZYDIS_MNEMONIC_DAS, do_286_das},
    {0, NULL},
};
