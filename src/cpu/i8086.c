/*
 * Instructions that an 8086 executes otherwise than later processors. Results as in the 8086 family
 * user's manual; the flags that it leaves undefined are what the part's microcode leaves, worked
 * out from captures (SingleStepTests): those of the last step of its loops that writes flags.
 */
#include "cpu/flags.h"
#include "cpu/old.h"

/* --- decimal adjustment --------------------------------------------------------------------------- */

static enum op_result
ascii_adjust(struct cpu *c, struct vcpu_state *s, bool subtract)
{
	uint64_t al = RAX(s) & 0xff, ah = RAX(s) >> 8 & 0xff, result;
	bool adjust = (al & 0xf) > 9 || flag_af(c);
	uint64_t by = adjust ? 6 : 0;

	/* Later processors carry from AL into AH. */
	result = (subtract ? al - by : al + by) & 0xff;
	ah += adjust ? (subtract ? 0xff : 1) : 0;
	gpr_write(&RAX(s), 2, (ah & 0xff) << 8 | (result & 0xf));
	if (subtract)
		flags_sub(c, al, by, result, 1);
	else
		flags_add(c, al, by, result, 1);
	flags_merge(c, adjust ? RFLAGS_CF | RFLAGS_AF : 0, RFLAGS_CF | RFLAGS_AF);
	return (OP_NEXT);
}

static enum op_result
do_8086_aaa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (ascii_adjust(c, s, false));
}

static enum op_result
do_8086_aas(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (ascii_adjust(c, s, true));
}

/* Both digits are adjusted in one addition, whose OF stays. */
static enum op_result
decimal_adjust(struct cpu *c, struct vcpu_state *s, bool subtract)
{
	uint64_t al = RAX(s) & 0xff;
	bool low = (al & 0xf) > 9 || flag_af(c);
	bool high = al > (flag_af(c) ? 0x9fu : 0x99u) || flag_cf(c);

	return (old_decimal_adjust(c, s, subtract, low, high, high));
}

static enum op_result
do_8086_daa(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (decimal_adjust(c, s, false));
}

static enum op_result
do_8086_das(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	return (decimal_adjust(c, s, true));
}

/* --- multiplication --------------------------------------------------------------------------------- */

static uint64_t
accumulator(const struct vcpu_state *s, unsigned size)
{
	return (RAX(s) & size_mask(size));
}

static void
result_set(struct vcpu_state *s, unsigned size, uint64_t low, uint64_t high)
{
	if (size == 1)
		gpr_write(&RAX(s), 2, (low & 0xff) | (high & 0xff) << 8);
	else {
		gpr_write(&RAX(s), 2, low);
		gpr_write(&RDX(s), 2, high);
	}
}

/*
 * The product, negated when a REP prefix stands before the instruction: the microcode keeps the
 * sign in the bit that REP sets. CF = OF = (high half + CARRY is not 0), where CARRY is the low half's
 * sign for IMUL; the other flags are that addition's.
 */
static void
multiply_end(
    struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t product, bool is_signed)
{
	unsigned bits = op->size * 8u;
	uint64_t low, high, carry, sum;

	if (op->rep != REP_NONE)
		product = 0 - product;
	low = product & size_mask(op->size);
	high = product >> bits & size_mask(op->size);
	carry = is_signed ? low >> (bits - 1) : 0;
	sum = (high + carry) & size_mask(op->size);
	result_set(s, op->size, low, high);
	flags_add(c, high, carry, sum, op->size);
	flags_merge(c, sum != 0 ? RFLAGS_CF | RFLAGS_OF : 0, RFLAGS_CF | RFLAGS_OF);
}

static enum op_result
do_8086_mul(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t a;

	if (!dst_get(c, op, s, &a))
		return (OP_FAULT);
	multiply_end(c, op, s, accumulator(s, op->size) * a, false);
	return (OP_NEXT);
}

static enum op_result
do_8086_imul(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	int64_t product;
	uint64_t a;

	if (!dst_get(c, op, s, &a))
		return (OP_FAULT);
	product = sign_extend(a, op->size) * sign_extend(accumulator(s, op->size), op->size);
	multiply_end(c, op, s, (uint64_t)product, true);
	return (OP_NEXT);
}

/* --- division ---------------------------------------------------------------------------------------- */

/* What the microcode's division works on, SIZE bytes each. */
struct division {
	uint64_t high, low; /* the dividend; then the remainder and the quotient */
	uint64_t by;
	unsigned size;
};

/* Compare the high part with the divisor: the flags are written. True if it is less. */
static bool
compare_high(struct cpu *c, const struct division *d)
{
	flags_sub(c, d->high, d->by, (d->high - d->by) & size_mask(d->size), d->size);
	return (d->high < d->by);
}

/* Bit by bit; flags are written by the comparisons. False: the quotient does not fit. */
static bool
divide(struct cpu *c, struct division *d)
{
	uint64_t mask = size_mask(d->size), top;
	unsigned bits = d->size * 8;
	bool less;

	if (!compare_high(c, d))
		return (false);
	for (unsigned i = 0; i < bits; i++) {
		top = d->high >> (bits - 1);
		d->high = (d->high << 1 | d->low >> (bits - 1)) & mask;
		less = top == 0 && compare_high(c, d);
		d->low = (d->low << 1 | !less) & mask;
		if (!less)
			d->high = (d->high - d->by) & mask;
	}
	/* The quotient was collected inverted; its last rotation writes CF. */
	flag_set_cf(c, !(d->low >> (bits - 1)));
	return (true);
}

/* An 8086's divide error is an interrupt behind the instruction, not a fault. */
static enum op_result
divide_error(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (interrupt_software(c, VEC_DE, EVENT_SW_EXCEPTION, op_next_rip(op, s) & c->ip_mask));
}

static struct division
dividend_of(const struct vcpu_state *s, unsigned size)
{
	uint64_t high = size == 1 ? RAX(s) >> 8 : RDX(s);

	return ((struct division){
	    .high = high & size_mask(size), .low = accumulator(s, size), .size = size});
}

static enum op_result
do_8086_div(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct division d = dividend_of(s, op->size);

	if (!dst_get(c, op, s, &d.by))
		return (OP_FAULT);
	if (!divide(c, &d))
		return (divide_error(c, op, s));
	result_set(s, op->size, d.low, d.high);
	return (OP_NEXT);
}

/* By absolute values, so that the quotient -80h (-8000h) is an error. REP turns its sign over. */
static enum op_result
do_8086_idiv(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct division d = dividend_of(s, op->size);
	unsigned bits = op->size * 8u;
	uint64_t mask = size_mask(op->size);
	bool minus = d.high >> (bits - 1) & 1, turn = minus != (op->rep != REP_NONE);

	if (!dst_get(c, op, s, &d.by))
		return (OP_FAULT);
	if (minus) {
		d.high = (~d.high + (d.low == 0)) & mask;
		d.low = (0 - d.low) & mask;
	}
	if (d.by >> (bits - 1) & 1) {
		d.by = (0 - d.by) & mask;
		turn = !turn;
	}
	if (!divide(c, &d) || (d.low >> (bits - 1) & 1))
		return (divide_error(c, op, s));
	result_set(s, op->size, turn ? 0 - d.low : d.low, minus ? 0 - d.high : d.high);
	flags_merge(c, 0, RFLAGS_CF | RFLAGS_OF);
	return (OP_NEXT);
}

static enum op_result
do_8086_aam(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct division d = {.low = RAX(s) & 0xff, .by = (uint64_t)op->imm & 0xff, .size = 1};

	if (!divide(c, &d))
		return (divide_error(c, op, s));
	gpr_write(&RAX(s), 2, d.low << 8 | d.high);
	flags_logic(c, d.high, 1);
	return (OP_NEXT);
}

/* --- shifts ------------------------------------------------------------------------------------------- */

/* Shifting left is adding the operand to itself, COUNT times: AF is the last addition's. */
static enum op_result
do_8086_shl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	unsigned count = op->skind == K_IMM ? 1 : (unsigned)RCX(s) & 0xff;
	uint64_t mask = size_mask(op->size), a, last;

	if (count == 0)
		return (OP_NEXT);
	if (!dst_get(c, op, s, &a))
		return (OP_FAULT);
	last = count <= 16 ? a << (count - 1) & mask : 0;
	if (!dst_set(c, op, s, last << 1 & mask))
		return (OP_FAULT);
	flags_add(c, last, last, last << 1 & mask, op->size);
	return (OP_NEXT);
}

/* Undocumented: all ones, with CL unless CL is 0 (SETMO, SETMOC). */
enum op_result
do_8086_setmo(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t ones = size_mask(op->size);

	if (op->skind != K_IMM && (RCX(s) & 0xff) == 0)
		return (OP_NEXT);
	if (!dst_set(c, op, s, ones))
		return (OP_FAULT);
	flags_logic(c, ones, op->size);
	return (OP_NEXT);
}

/* --- CS as a destination -------------------------------------------------------------------------------- */

/* The next instruction comes from the new segment (the part may have fetched some of the old one). */
static enum op_result
go_on_in(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t selector)
{
	s->gpr.rip = op_next_rip(op, s) & c->ip_mask;
	real_segment_set(c, SEG_CS, (uint16_t)selector);
	return (OP_JUMP);
}

enum op_result
do_8086_pop_cs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct stack st = stack_begin(c);
	uint64_t selector;

	if (!stack_pop(c, &st, 2, &selector))
		return (OP_FAULT);
	stack_commit(c, &st);
	return (go_on_in(c, op, s, selector));
}

enum op_result
do_8086_mov_cs(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t selector;

	if (op->skind == K_REG)
		selector = reg_get(s, op->src, 2);
	else if (!load(c, op->seg, op_ea(op, s), 2, &selector))
		return (OP_FAULT);
	return (go_on_in(c, op, s, selector));
}

const struct variant variants_8086[] = {
    {ZYDIS_MNEMONIC_AAA, do_8086_aaa},
    {ZYDIS_MNEMONIC_AAS, do_8086_aas},
    {ZYDIS_MNEMONIC_DAA, do_8086_daa},
    {ZYDIS_MNEMONIC_DAS, do_8086_das},
    {ZYDIS_MNEMONIC_AAM, do_8086_aam},
    {ZYDIS_MNEMONIC_MUL, do_8086_mul},
    {ZYDIS_MNEMONIC_IMUL, do_8086_imul},
    {ZYDIS_MNEMONIC_DIV, do_8086_div},
    {ZYDIS_MNEMONIC_IDIV, do_8086_idiv},
    {ZYDIS_MNEMONIC_SHL, do_8086_shl},
    {0, NULL},
};
