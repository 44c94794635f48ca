/* Bits, compare-and-exchange, and single flags. SDM vol. 2. */
#include "cpu/flags.h"
#include "cpu/insn.h"

enum bit { BT, BTS, BTR, BTC };

/*
 * A register as bit offset reaches beyond the operand in memory: bit offset divided by the operand
 * size, as a signed number, moves the address (SDM vol. 2A, BT).
 */
static uint64_t
bit_address(const struct op *op, struct vcpu_state *s, uint64_t offset)
{
	uint64_t ea = op_ea(op, s);
	int64_t words = sign_extend(offset, op->size) >> __builtin_ctz(op->size * 8u);

	if (op->skind == K_IMM)
		return (ea);
	return ((ea + (uint64_t)(words * op->size)) & op->amask);
}

static enum op_result
bit_test(struct cpu *c, const struct op *op, struct vcpu_state *s, enum bit kind)
{
	uint64_t offset = op->skind == K_IMM ? (uint64_t)op->imm : reg_get(s, op->src, op->size);
	uint64_t bit = 1ull << (offset & (op->size * 8u - 1)), ea = 0, a, r;

	if (op->dkind == K_REG)
		a = reg_get(s, op->dst, op->size);
	else {
		ea = bit_address(op, s, offset);
		if (!load(c, op->seg, ea, op->size, &a)) {
			if (kind != BT)
				rmw_fault(c, op->seg, ea, op->size);
			return (OP_FAULT);
		}
	}
	r = kind == BTS ? a | bit : kind == BTR ? a & ~bit : a ^ bit;
	if (kind != BT) {
		if (op->dkind == K_REG)
			reg_set(s, op->dst, op->size, r);
		else if (!store(c, op->seg, ea, op->size, r))
			return (OP_FAULT);
	}
	flag_set_cf(c, a & bit);
	return (OP_NEXT);
}

enum op_result
do_bt(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_test(c, op, s, BT));
}

enum op_result
do_bts(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_test(c, op, s, BTS));
}

enum op_result
do_btr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_test(c, op, s, BTR));
}

enum op_result
do_btc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_test(c, op, s, BTC));
}

/*
 * With a zero source the destination stays as it is, on all processors known. Of the undefined
 * flags current processors clear all but PF, which is the result's.
 */
static enum op_result
bit_scan(struct cpu *c, const struct op *op, struct vcpu_state *s, bool reverse)
{
	uint64_t a, r = 0;

	if (!src_get(c, op, s, &a))
		return (OP_FAULT);
	if (a != 0) {
		r = (uint64_t)(reverse ? 63 - __builtin_clzll(a) : __builtin_ctzll(a));
		reg_set(s, op->dst, op->size, r);
	}
	flags_set(c, (a == 0 ? RFLAGS_ZF : 0) | (!__builtin_parityll(r) ? RFLAGS_PF : 0));
	return (OP_NEXT);
}

enum op_result
do_bsf(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_scan(c, op, s, false));
}

enum op_result
do_bsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (bit_scan(c, op, s, true));
}

/* Memory is always written: with the old value when the comparison fails. */
enum op_result
do_cmpxchg(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a, acc = RAX(s) & size_mask(op->size), r;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	r = acc - a;
	if ((a == acc || op->dkind == K_MEM) &&
	    !dst_set(c, op, s, a == acc ? reg_get(s, op->src, op->size) : a))
		return (OP_FAULT);
	if (a != acc)
		gpr_write(&RAX(s), op->size, a);
	flags_sub(c, acc, a, r, op->size);
	return (OP_NEXT);
}

enum op_result
do_xadd(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a, b = reg_get(s, op->src, op->size), r;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	r = a + b;
	if (op->dkind == K_MEM && !dst_set(c, op, s, r))
		return (OP_FAULT);
	reg_set(s, op->src, op->size, a);
	if (op->dkind == K_REG)
		reg_set(s, op->dst, op->size, r);
	flags_add(c, a, b, r, op->size);
	return (OP_NEXT);
}

enum op_result
do_cmpxchg8b(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a, expected = (RDX(s) & UINT32_MAX) << 32 | (RAX(s) & UINT32_MAX);
	uint64_t replacement = (RCX(s) & UINT32_MAX) << 32 | (RBX(s) & UINT32_MAX);

	if (op->dkind != K_MEM)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if (!load(c, op->seg, op_ea(op, s), 8, &a)) {
		rmw_fault(c, op->seg, op_ea(op, s), 8);
		return (OP_FAULT);
	}
	if (!store(c, op->seg, op_ea(op, s), 8, a == expected ? replacement : a))
		return (OP_FAULT);
	if (a != expected) {
		RAX(s) = (uint32_t)a;
		RDX(s) = a >> 32;
	}
	flags_merge(c, a == expected ? RFLAGS_ZF : 0, RFLAGS_ZF);
	return (OP_NEXT);
}

/* The memory operand must be aligned to 16 bytes (SDM vol. 2A, CMPXCHG16B). */
enum op_result
do_cmpxchg16b(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ea = op_ea(op, s), low, high;
	bool equal;

	if (op->dkind != K_MEM)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	if ((c->segc[op->seg].base + ea) & 15)
		return (fault(c, VEC_GP, CAUSE_SEG_LIMIT));
	if (!load(c, op->seg, ea, 8, &low) || !load(c, op->seg, ea + 8, 8, &high)) {
		rmw_fault(c, op->seg, ea, 16);
		return (OP_FAULT);
	}
	equal = low == RAX(s) && high == RDX(s);
	if (!store(c, op->seg, ea, 8, equal ? RBX(s) : low) ||
	    !store(c, op->seg, ea + 8, 8, equal ? RCX(s) : high))
		return (OP_FAULT);
	if (!equal) {
		RAX(s) = low;
		RDX(s) = high;
	}
	flags_merge(c, equal ? RFLAGS_ZF : 0, RFLAGS_ZF);
	return (OP_NEXT);
}

enum op_result
do_clc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	flag_set_cf(c, false);
	return (OP_NEXT);
}

enum op_result
do_stc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	flag_set_cf(c, true);
	return (OP_NEXT);
}

enum op_result
do_cmc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	flag_set_cf(c, !flag_cf(c));
	return (OP_NEXT);
}

enum op_result
do_cld(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	(void)op;
	s->gpr.rflags &= ~(uint64_t)RFLAGS_DF;
	return (OP_NEXT);
}

enum op_result
do_std(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)c;
	(void)op;
	s->gpr.rflags |= RFLAGS_DF;
	return (OP_NEXT);
}
