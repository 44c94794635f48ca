/*
 * x87 loads, stores and what else moves registers. Loads are exact, so they are done here;
 * stores that round are the host's. SDM vol. 1, 8.3.3.
 */
#include "cpu/fpu.h"

/* What keeps a store from memory when it is unmasked. */
#define FSW_STORE (FSW_BEFORE | FSW_OE | FSW_UE)

/* An IEEE number of FRACTION bits below the leading one and EXP bits of exponent. */
struct f80
f80_from_ieee(uint64_t bits, unsigned fraction, unsigned exp, unsigned *flags)
{
	uint64_t frac = bits & ((1ull << fraction) - 1);
	unsigned e = (unsigned)(bits >> fraction) & ((1u << exp) - 1), sign, bias, shift;
	struct f80 r = {.mant = 1ull << 63 | frac << (63 - fraction)};

	sign = (unsigned)(bits >> (fraction + exp) & 1) << 15;
	bias = (1u << (exp - 1)) - 1;
	if (e == (1u << exp) - 1) {
		r.se = (uint16_t)(sign | 0x7fff);
		if (frac != 0 && !(frac >> (fraction - 1))) {
			*flags |= FSW_IE;
			r.mant |= 1ull << 62;
		}
	} else if (e != 0) {
		r.se = (uint16_t)(sign | (e + 16383 - bias));
	} else if (frac == 0) {
		r = (struct f80){.se = (uint16_t)sign};
	} else {
		*flags |= FSW_DE;
		shift = (unsigned)__builtin_clzll(frac);
		r.mant = frac << shift;
		r.se = (uint16_t)(sign | (16383 - bias + 1 + 63 - fraction - shift));
	}
	return (r);
}

static struct f80
from_integer(int64_t value)
{
	uint64_t m = value < 0 ? -(uint64_t)value : (uint64_t)value;
	unsigned shift;

	if (m == 0)
		return ((struct f80){0});
	shift = (unsigned)__builtin_clzll(m);
	return ((struct f80){
	    .mant = m << shift, .se = (uint16_t)((value < 0 ? 0x8000 : 0) | (16383 + 63 - shift))});
}

/* Of 10 bytes the first 8 are stored when the page of the others faults; else all or nothing. */
static bool
store_number(struct cpu *c, const struct op *op, uint64_t ea, const void *from)
{
	const uint8_t *number = from;

	if (op->size <= 8)
		return (store_bytes(c, op->seg, ea, number, op->size));
	return (store_bytes(c, op->seg, ea, number, 8) &&
	    store_bytes(c, op->seg, (ea + 8) & op->amask, number + 8, 2));
}

/* The host does OP's opcode on WORK, a copy of the whole state. */
static void
host_work(const struct op *op, struct fx *work, void *mem)
{
	unsigned modrm = (unsigned)op->imm & 0xff;
	uint64_t flags;

	x87_host_all(op->dkind == K_MEM ? x87_code_mem(op->cond, modrm >> 3 & 7)
					: x87_code_reg(op->cond, modrm),
	    work, mem, &flags);
}

static enum op_result
take_work(struct cpu *c, const struct op *op, struct vcpu_state *s, const struct fx *work)
{
	struct fx *f = fx_of(s);
	unsigned was = f->fsw;

	*f = *work;
	x87_done(c, op, s, f->fsw, FSW_CONDITION);
	f->fsw |= (uint16_t)(was & (FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B));
	return (OP_NEXT);
}

static enum op_result
whole(struct cpu *c, const struct op *op, struct vcpu_state *s, void *mem)
{
	struct fx work = *fx_of(s);

	host_work(op, &work, mem);
	return (take_work(c, op, s, &work));
}

/* The same with memory as destination, which is written before the state. */
static enum op_result
whole_store(struct cpu *c, const struct op *op, struct vcpu_state *s, void *mem)
{
	struct fx *f = fx_of(s), work = *f;

	host_work(op, &work, mem);
	if (!(work.fsw & ~(unsigned)f->fcw & FSW_STORE) && !store_number(c, op, op_ea(op, s), mem))
		return (OP_FAULT);
	return (take_work(c, op, s, &work));
}

static void
push(struct fx *f, const struct f80 *value)
{
	fx_push(f);
	f80_copy(&f->st[0], value);
}

enum op_result
do_x87_fld_mem(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	unsigned flags = 0;
	struct f80 value;
	uint64_t mem;

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_sized(c, op->seg, op_ea(op, s), op->size, &mem))
		return (OP_FAULT);
	if (unlikely(fx_valid(f, 7)))
		return (whole(c, op, s, &mem));
	value =
	    op->size == 4 ? f80_from_ieee(mem, 23, 8, &flags) : f80_from_ieee(mem, 52, 11, &flags);
	x87_done(c, op, s, flags, FSW_C1);
	if (!(flags & ~(unsigned)f->fcw & FSW_IE))
		push(f, &value);
	return (OP_NEXT);
}

enum op_result
do_x87_fild(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	struct f80 value;
	uint64_t mem;

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_sized(c, op->seg, op_ea(op, s), op->size, &mem))
		return (OP_FAULT);
	if (unlikely(fx_valid(f, 7)))
		return (whole(c, op, s, &mem));
	value = from_integer(sign_extend(mem, op->size));
	x87_done(c, op, s, 0, FSW_C1);
	push(f, &value);
	return (OP_NEXT);
}

enum op_result
do_x87_fld80(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	struct f80 value = {0};

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_bytes(c, op->seg, op_ea(op, s), &value, 10))
		return (OP_FAULT);
	if (unlikely(fx_valid(f, 7)))
		return (whole(c, op, s, &value));
	x87_done(c, op, s, 0, FSW_C1);
	push(f, &value);
	return (OP_NEXT);
}

enum op_result
do_x87_fbld(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	struct f80 value = {0};

	if (!x87_ready(c, s, &result))
		return (result);
	if (!load_bytes(c, op->seg, op_ea(op, s), &value, 10))
		return (OP_FAULT);
	return (whole(c, op, s, &value));
}

enum op_result
do_x87_fld(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	struct f80 value;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(fx_valid(f, 7) || !fx_valid(f, op->src)))
		return (whole(c, op, s, NULL));
	f80_copy(&value, &f->st[op->src]);
	x87_done(c, op, s, 0, FSW_C1);
	push(f, &value);
	return (OP_NEXT);
}

/* FLD1 .. FLDZ: rounded as the control word says. */
enum op_result
do_x87_const(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	struct f80 value = {0};
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(fx_valid(f, 7)))
		return (whole(c, op, s, NULL));
	x87_host_push(x87_code_reg(1, (unsigned)op->imm & 0xff), &value, f);
	x87_done(c, op, s, 0, FSW_C1);
	push(f, &value);
	return (OP_NEXT);
}

/* FST, FSTP, FIST, FISTP, FISTTP: all but the /2 forms pop. */
enum op_result
do_x87_fst_mem(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	unsigned reg = (unsigned)op->imm >> 3 & 7, sw;
	enum op_result result;
	uint64_t mem = 0;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0)))
		return (whole_store(c, op, s, &mem));
	sw = x87_host1(x87_code_mem(op->cond, reg), &f->st[0], &mem, f);
	if (unlikely(sw & ~(unsigned)f->fcw & FSW_STORE)) {
		x87_done(c, op, s, sw, FSW_C1);
		return (OP_NEXT);
	}
	if (!store_sized(c, op->seg, op_ea(op, s), op->size, mem))
		return (OP_FAULT);
	x87_done(c, op, s, sw, FSW_C1);
	if (reg != 2)
		fx_pop(f);
	return (OP_NEXT);
}

enum op_result
do_x87_fstp80(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;
	struct f80 value = {0};

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0)))
		return (whole_store(c, op, s, &value));
	if (!store_number(c, op, op_ea(op, s), &f->st[0]))
		return (OP_FAULT);
	x87_done(c, op, s, 0, FSW_C1);
	fx_pop(f);
	return (OP_NEXT);
}

enum op_result
do_x87_fbstp(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result;
	struct f80 value = {0};

	if (!x87_ready(c, s, &result))
		return (result);
	return (whole_store(c, op, s, &value));
}

/* DD D0 FST, DD D8 FSTP and their aliases D9 D8, DF D0, DF D8. */
enum op_result
do_x87_fst(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0)))
		return (whole(c, op, s, NULL));
	f80_copy(&f->st[op->src], &f->st[0]);
	f->ftw |= (uint8_t)(1u << ((fx_top(f) + op->src) & 7));
	x87_done(c, op, s, 0, FSW_C1);
	if (((unsigned)op->imm & 0x7f8) != (0x5d0))
		fx_pop(f);
	return (OP_NEXT);
}

enum op_result
do_x87_fxch(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	struct f80 other = f->st[op->src];
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0) || !fx_valid(f, op->src)))
		return (whole(c, op, s, NULL));
	f->st[op->src] = f->st[0];
	f->st[0] = other;
	x87_done(c, op, s, 0, FSW_C1);
	return (OP_NEXT);
}

/* FCHS, FABS. */
enum op_result
do_x87_sign(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	if (unlikely(!fx_valid(f, 0)))
		return (whole(c, op, s, NULL));
	if (op->imm & 1)
		f->st[0].se &= 0x7fff;
	else
		f->st[0].se ^= 0x8000;
	x87_done(c, op, s, 0, FSW_C1);
	return (OP_NEXT);
}

/* FFREE; DF C0 (FFREEP) also pops. */
enum op_result
do_x87_ffree(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	f->ftw &= (uint8_t) ~(1u << ((fx_top(f) + op->src) & 7));
	if (op->cond == 7)
		fx_pop(f);
	x87_done(c, op, s, 0, FSW_C1);
	return (OP_NEXT);
}

/* FINCSTP D9 F7, FDECSTP D9 F6: the tags stay. */
enum op_result
do_x87_incstp(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct fx *f = fx_of(s);
	enum op_result result;

	if (!x87_ready(c, s, &result))
		return (result);
	fx_set_top(f, fx_top(f) + (op->imm & 1 ? 1u : 7u));
	x87_done(c, op, s, 0, FSW_C1);
	return (OP_NEXT);
}
