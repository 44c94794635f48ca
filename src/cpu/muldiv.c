/* Multiplication, division and decimal adjustment. SDM vol. 2. */
#include "cpu/flags.h"
#include "cpu/insn.h"

/* AX, DX:AX, EDX:EAX, RDX:RAX: the double-width accumulator. */
static unsigned __int128
wide_get(const struct vcpu_state *s, unsigned size)
{
	if (size == 1)
		return (RAX(s) & 0xffff);
	return (
	    (unsigned __int128)(RDX(s) & size_mask(size)) << size * 8 | (RAX(s) & size_mask(size)));
}

static void
wide_set(struct vcpu_state *s, unsigned size, uint64_t low, uint64_t high)
{
	if (size == 1) {
		gpr_write(&RAX(s), 2, (low & 0xff) | high << 8);
		return;
	}
	gpr_write(&RAX(s), size, low);
	gpr_write(&RDX(s), size, high);
}

/* CF = OF = the product does not fit; the others as recent Intel processors leave them: SF and PF
 * by the low half, ZF and AF clear. */
static void
multiply_flags(struct cpu *c, uint64_t low, unsigned size, bool overflow)
{
	/* 1 with its parity turned over stands for a 0 that leaves ZF clear. */
	c->fl_res = low != 0 ? sign_extend(low, size) : 1;
	c->fl_aux = (overflow ? AUX_CF : 0) | (low != 0 ? 0 : 0x100);
}

enum op_result
do_mul(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned __int128 product;
	uint64_t a, low, high;

	if (!dst_get(c, op, s, &a))
		return (OP_FAULT);
	product = (unsigned __int128)(RAX(s) & size_mask(op->size)) * a;
	low = (uint64_t)product & size_mask(op->size);
	high = (uint64_t)(product >> op->size * 8);
	wide_set(s, op->size, low, high);
	multiply_flags(c, low, op->size, high != 0);
	return (OP_NEXT);
}

enum op_result
do_imul1(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	__int128 product;
	uint64_t a, low;

	if (!dst_get(c, op, s, &a))
		return (OP_FAULT);
	product = (__int128)sign_extend(RAX(s), op->size) * sign_extend(a, op->size);
	low = (uint64_t)product & size_mask(op->size);
	wide_set(s, op->size, low, (uint64_t)(product >> op->size * 8));
	multiply_flags(c, low, op->size, product != sign_extend(low, op->size));
	return (OP_NEXT);
}

/* IMUL r, r/m and IMUL r, r/m, imm. */
enum op_result
do_imul2(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a, b = op->third ? (uint64_t)op->imm : reg_get(s, op->dst, op->size), low;
	int64_t product;
	bool overflow;

	if (!src_get(c, op, s, &a))
		return (OP_FAULT);
	overflow =
	    __builtin_mul_overflow(sign_extend(a, op->size), sign_extend(b, op->size), &product);
	low = (uint64_t)product & size_mask(op->size);
	reg_set(s, op->dst, op->size, low);
	multiply_flags(c, low, op->size, overflow || product != sign_extend(low, op->size));
	return (OP_NEXT);
}

enum op_result
do_div(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned __int128 a = wide_get(s, op->size), q;
	uint64_t b;

	if (!dst_get(c, op, s, &b))
		return (OP_FAULT);
	if (b == 0 || (q = a / b) > size_mask(op->size))
		return (fault(c, VEC_DE, CAUSE_INSTRUCTION));
	wide_set(s, op->size, (uint64_t)q, (uint64_t)(a % b));
	return (OP_NEXT);
}

/* The double-width accumulator with its sign. */
static __int128
wide_signed(const struct vcpu_state *s, unsigned size)
{
	unsigned __int128 a = wide_get(s, size);

	if (size == 8)
		return ((__int128)a);
	return (sign_extend((uint64_t)a, size * 2));
}

enum op_result
do_idiv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	__int128 a = wide_signed(s, op->size), b, q;
	const __int128 min = (__int128)((unsigned __int128)1 << 127);
	uint64_t raw;

	if (!dst_get(c, op, s, &raw))
		return (OP_FAULT);
	b = sign_extend(raw, op->size);
	if (b == 0 || (b == -1 && a == min))
		return (fault(c, VEC_DE, CAUSE_INSTRUCTION));
	q = a / b;
	if (q != sign_extend((uint64_t)q, op->size))
		return (fault(c, VEC_DE, CAUSE_INSTRUCTION));
	wide_set(s, op->size, (uint64_t)q, (uint64_t)(a % b));
	return (OP_NEXT);
}

/* --- decimal ------------------------------------------------------------------------------------------ */

/* SF, ZF, PF by the byte R, and CF, AF as given; OF clear. */
static void
decimal_flags(struct cpu *c, uint64_t r, bool cf, bool af)
{
	flags_result(c, r, 1, (cf ? AUX_CF | AUX_OF : 0) | (af ? AUX_AF : 0));
}

static enum op_result
adjust_ascii(struct cpu *c, struct vcpu_state *s, int sign)
{
	uint64_t ax = RAX(s) & 0xffff;
	bool adjust = (ax & 0xf) > 9 || flag_af(c);

	/* From the 286 on AX is changed as a word (SDM vol. 2A, AAA). */
	if (adjust)
		ax = (ax + (unsigned)(sign * 0x106)) & 0xffff;
	gpr_write(&RAX(s), 2, ax & 0xff0f);
	decimal_flags(c, ax & 0x0f, adjust, adjust);
	return (OP_NEXT);
}

enum op_result
do_aaa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (adjust_ascii(c, s, 1));
}

enum op_result
do_aas(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (adjust_ascii(c, s, -1));
}

enum op_result
do_aam(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t al = RAX(s) & 0xff, base = (uint64_t)op->imm & 0xff;

	if (base == 0)
		return (fault(c, VEC_DE, CAUSE_INSTRUCTION));
	gpr_write(&RAX(s), 2, al / base << 8 | al % base);
	decimal_flags(c, al % base, false, false);
	return (OP_NEXT);
}

enum op_result
do_aad(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t al = RAX(s) & 0xff, add = (RAX(s) >> 8 & 0xff) * ((uint64_t)op->imm & 0xff) & 0xff;
	uint64_t sum = (al + add) & 0xff;

	gpr_write(&RAX(s), 2, sum);
	/* CF, AF and OF are not defined; processors leave those of the addition. */
	flags_add(c, al, add, sum, 1);
	return (OP_NEXT);
}

static enum op_result
adjust_decimal(struct cpu *c, struct vcpu_state *s, bool subtract)
{
	uint64_t old = RAX(s) & 0xff, al = old;
	bool old_cf = flag_cf(c), cf = false, af = false;

	if ((al & 0xf) > 9 || flag_af(c)) {
		al = subtract ? al - 6 : al + 6;
		cf = old_cf || al > 0xff;
		al &= 0xff;
		af = true;
	}
	if (old > 0x99 || old_cf) {
		al = (subtract ? al - 0x60 : al + 0x60) & 0xff;
		cf = true;
	} else if (!subtract)
		cf = false;
	gpr_write(&RAX(s), 1, al);
	decimal_flags(c, al, cf, af);
	return (OP_NEXT);
}

enum op_result
do_daa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (adjust_decimal(c, s, false));
}

enum op_result
do_das(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (adjust_decimal(c, s, true));
}

/* Undocumented D6: AL = CF ? FF : 0. */
enum op_result
do_salc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	gpr_write(&RAX(s), 1, flag_cf(c) ? 0xff : 0);
	return (OP_NEXT);
}
