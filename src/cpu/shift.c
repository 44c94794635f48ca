/*
 * Shifts and rotates. SDM vol. 2B, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD. The count is
 * masked to 5 bits (6 for 64-bit operands) from the 286 on. OF after other counts than 1 is not
 * defined: current Intel processors leave it as a count of 1 would have, older ones by the same
 * formula as for 1 from the last result.
 */
#include "cpu/flags.h"
#include "cpu/insn.h"

#define INLINE static inline __attribute__((always_inline))

enum shift { SHL, SHR, SAR };

/* How far a count shifts: an 8086 takes all 8 bits of CL. */
INLINE unsigned
masked_count(const struct cpu *c, uint64_t count, unsigned size)
{
	return ((unsigned)count & (size == 8 ? 63 : c->traits->count_mask));
}

/* Is OF to be that of a shift by 1? */
INLINE bool
first_bit_counts(const struct cpu *c, unsigned count)
{
	return (count > 1 && c->traits->of_by_first_bit);
}

INLINE bool
top_bits_differ(uint64_t r, unsigned bits)
{
	return (((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
}

/* Result of a shift by COUNT > 0, with its flags. */
INLINE uint64_t
shift(struct cpu *c, enum shift kind, uint64_t a, unsigned count, unsigned size)
{
	unsigned bits = size * 8;
	uint64_t r;
	bool cf, of;

	if (kind == SHL) {
		r = count < bits ? (a << count) & size_mask(size) : 0;
		cf = count <= bits && (a >> (bits - count) & 1);
		of = (r >> (bits - 1) & 1) != cf;
	} else if (kind == SHR) {
		r = count < bits ? a >> count : 0;
		cf = count <= bits && (a >> (count - 1) & 1);
		of = ((r << 1 ^ r) >> (bits - 1) & 1) != 0;
		of = count == 1 ? (a >> (bits - 1) & 1) != 0 : of;
	} else {
		int64_t sa = sign_extend(a, size);

		r = (uint64_t)(sa >> (count < 63 ? count : 63)) & size_mask(size);
		cf = sa >> (count - 1 < 63 ? count - 1 : 63) & 1;
		of = false;
	}
	if (kind != SAR && first_bit_counts(c, count))
		of = kind == SHL ? top_bits_differ(a, bits) : a >> (bits - 1) & 1;
	flags_result(c, r, size, (cf ? AUX_CF : 0) | (cf != of ? AUX_OF : 0));
	return (r);
}

INLINE const struct trace *
shift_imm(struct cpu *c, const struct op *op, struct vcpu_state *s, enum shift kind, enum form form,
    unsigned size)
{
	unsigned count = masked_count(c, (uint64_t)op->imm, size);
	int64_t res = c->fl_res;
	uint32_t aux = c->fl_aux;
	uint64_t a, r;

	if (form == FORM_RI)
		a = reg_get(s, op->dst, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &a)) {
		rmw_fault(c, op->seg, op_ea(op, s), size);
		return (op_fault(c, op, s));
	}
	r = count != 0 ? shift(c, kind, a, count, size) : a;
	if (form == FORM_RI)
		reg_set(s, op->dst, size, r);
	else if (!store(c, op->seg, op_ea(op, s), size, r)) {
		c->fl_res = res;
		c->fl_aux = aux;
		return (op_fault(c, op, s));
	}
	return (op_next(c, op, s));
}

#define HANDLER(name, body) \
	static const struct trace *name(struct cpu *c, const struct op *op, struct vcpu_state *s) \
	{ \
		return (body); \
	}
#define SHIFT_SIZES(kind, form) \
	HANDLER(kind##_##form##_1, shift_imm(c, op, s, kind, form, 1)) \
	HANDLER(kind##_##form##_2, shift_imm(c, op, s, kind, form, 2)) \
	HANDLER(kind##_##form##_4, shift_imm(c, op, s, kind, form, 4)) \
	HANDLER(kind##_##form##_8, shift_imm(c, op, s, kind, form, 8))
#define SIZES_OF(kind, form) \
	{ \
		kind##_##form##_1, kind##_##form##_2, kind##_##form##_4, kind##_##form##_8 \
	}
#define SHIFT_FAMILY(kind, fam) \
	SHIFT_SIZES(kind, FORM_RI) \
	SHIFT_SIZES(kind, FORM_MI) \
	const struct family fam = { \
	    .fn = {[FORM_RI] = SIZES_OF(kind, FORM_RI), [FORM_MI] = SIZES_OF(kind, FORM_MI)}};
SHIFT_FAMILY(SHL, fam_shl)
SHIFT_FAMILY(SHR, fam_shr)
SHIFT_FAMILY(SAR, fam_sar)

/* --- counts in CL, and rotates: plain ---------------------------------------------------------------- */

/* Lazy flags as they were, for when the store faults. */
struct saved_flags {
	int64_t res;
	uint32_t aux;
};

static struct saved_flags
flags_save(const struct cpu *c)
{
	return ((struct saved_flags){.res = c->fl_res, .aux = c->fl_aux});
}

/*
 * Write the result; a fault takes the flags back. With a count of 0 the operand is written as it
 * was: memory must be writable, and a 32-bit register loses its upper half.
 */
static enum op_result
finish(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t r,
    const struct saved_flags *saved)
{
	if (dst_set(c, op, s, r))
		return (OP_NEXT);
	c->fl_res = saved->res;
	c->fl_aux = saved->aux;
	return (OP_FAULT);
}

static unsigned
op_count(const struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t count = op->skind == K_IMM ? (uint64_t)op->imm : RCX(s) & 0xff;

	return (masked_count(c, count, op->size));
}

static enum op_result
shift_cl(struct cpu *c, const struct op *op, struct vcpu_state *s, enum shift kind)
{
	struct saved_flags saved = flags_save(c);
	unsigned count = op_count(c, op, s);
	uint64_t a;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	if (count != 0)
		a = shift(c, kind, a, count, op->size);
	return (finish(c, op, s, a, &saved));
}

enum op_result
do_shl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_cl(c, op, s, SHL));
}

enum op_result
do_shr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_cl(c, op, s, SHR));
}

enum op_result
do_sar(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (shift_cl(c, op, s, SAR));
}

/* CF and OF after a rotate; the other flags stay. */
static void
rotate_flags(struct cpu *c, bool cf, bool of)
{
	c->fl_aux = (c->fl_aux & ~(AUX_CF | AUX_OF)) | (cf ? AUX_CF : 0) | (cf != of ? AUX_OF : 0);
}

/* ROL and ROR: the same turn of the other length; CF is the bit that came around last. */
static enum op_result
rotate(struct cpu *c, const struct op *op, struct vcpu_state *s, bool left)
{
	struct saved_flags saved = flags_save(c);
	unsigned bits = op->size * 8u, count = op_count(c, op, s), by = count % bits;
	uint64_t a, r;
	bool cf, of;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	if (count == 0)
		return (finish(c, op, s, a, &saved));
	if (!left)
		by = (bits - by) % bits;
	r = by != 0 ? (a << by | a >> (bits - by)) & size_mask(op->size) : a;
	cf = left ? r & 1 : r >> (bits - 1) & 1;
	of = left ? (r >> (bits - 1) & 1) != (r & 1) : top_bits_differ(r, bits);
	if (first_bit_counts(c, count)) {
		/* A register by an immediate: OF stays. */
		if (op->skind == K_IMM && op->dkind == K_REG)
			of = flag_of(c);
		else
			of = left ? top_bits_differ(a, bits) : (a >> (bits - 1) & 1) != (a & 1);
	}
	rotate_flags(c, cf, of);
	return (finish(c, op, s, r, &saved));
}

enum op_result
do_rol(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (rotate(c, op, s, true));
}

enum op_result
do_ror(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (rotate(c, op, s, false));
}

/* Through carry: a rotation of bits + 1 places; to the right is to the left by the rest. */
static enum op_result
rotate_carry(struct cpu *c, const struct op *op, struct vcpu_state *s, bool left)
{
	struct saved_flags saved = flags_save(c);
	unsigned bits = op->size * 8u, count = op_count(c, op, s), by = count % (bits + 1);
	bool was = flag_cf(c), cf = was, of;
	uint64_t a, r;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	if (count == 0)
		return (finish(c, op, s, a, &saved));
	if (!left)
		by = (bits + 1 - by) % (bits + 1);
	r = a;
	if (by != 0) {
		r = by < bits ? a << by : 0;
		r |= (uint64_t)was << (by - 1);
		r |= by > 1 ? a >> (bits + 1 - by) : 0;
		r &= size_mask(op->size);
		cf = a >> (bits - by) & 1;
	}
	of = left ? (r >> (bits - 1) & 1) != cf : top_bits_differ(r, bits);
	if (first_bit_counts(c, count)) {
		of = left ? top_bits_differ(a, bits) : (a >> (bits - 1) & 1) != was;
		if (by == 0)
			of = flag_of(c);
	}
	rotate_flags(c, cf, of);
	return (finish(c, op, s, r, &saved));
}

enum op_result
do_rcl(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (rotate_carry(c, op, s, true));
}

enum op_result
do_rcr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (rotate_carry(c, op, s, false));
}

/* SHLD, SHRD: the third operand is the count; 16-bit ones beyond 16 go on with the source. */
static unsigned
double_count(const struct op *op, struct vcpu_state *s)
{
	uint64_t count = op->third ? (uint64_t)op->imm : RCX(s);

	return ((unsigned)count & (op->size == 8 ? 63 : 31));
}

static void
double_flags(
    struct cpu *c, uint64_t a, uint64_t r, bool cf, bool first, unsigned count, unsigned size)
{
	bool of = first_bit_counts(c, count) ? first : ((a ^ r) >> (size * 8 - 1)) & 1;

	flags_result(c, r, size, (cf ? AUX_CF : 0) | (cf != of ? AUX_OF : 0));
}

enum op_result
do_shld(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct saved_flags saved = flags_save(c);
	unsigned bits = op->size * 8u, count = double_count(op, s);
	uint64_t a, b = reg_get(s, op->src, op->size), r;
	unsigned __int128 wide;
	bool cf;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	if (count == 0)
		return (finish(c, op, s, a, &saved));
	/* a:b:a, so that 16-bit counts above 16 are defined as processors do it. */
	wide = (unsigned __int128)a << bits | b;
	if (bits == 16)
		wide = wide << 16 | a;
	wide <<= count;
	r = (uint64_t)(wide >> (bits == 16 ? 32 : bits)) & size_mask(op->size);
	/* The last bit out: of the destination, or of what follows it for 16-bit counts above 16. */
	cf = bits == 16 ? wide >> 48 & 1 : a >> (bits - count) & 1;
	double_flags(c, a, r, cf, top_bits_differ(a, bits), count, op->size);
	return (finish(c, op, s, r, &saved));
}

enum op_result
do_shrd(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	struct saved_flags saved = flags_save(c);
	unsigned bits = op->size * 8u, count = double_count(op, s);
	uint64_t a, b = reg_get(s, op->src, op->size), r;
	unsigned __int128 wide;

	if (!dst_get_rmw(c, op, s, &a))
		return (OP_FAULT);
	if (count == 0)
		return (finish(c, op, s, a, &saved));
	wide = (unsigned __int128)b << bits | a;
	if (bits == 16)
		wide |= (unsigned __int128)a << 32;
	r = (uint64_t)(wide >> count) & size_mask(op->size);
	double_flags(
	    c, a, r, wide >> (count - 1) & 1, (a >> (bits - 1) & 1) != (b & 1), count, op->size);
	return (finish(c, op, s, r, &saved));
}
