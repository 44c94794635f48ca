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
    {0, NULL},
};
