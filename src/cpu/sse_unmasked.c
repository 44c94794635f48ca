/*
 * Overflow and underflow that are not masked. Whether such a result is also inexact (PE) is a
 * question to the result with an unbounded exponent (SDM vol. 1, 4.9.1.4 to 4.9.1.6), which the
 * host does not show while its exceptions are masked: the x87 with its wider exponent, rounding to
 * 24 or 53 bits, does.
 */
#include "cpu/sse.h"

enum kind { NONE, ADD, SUB, MUL, DIV, CVT, ADDSUB, HADD, HSUB };

static const uint8_t kinds[VEC_COUNT] = {
    [VEC_ADDPS] = ADD,
    [VEC_ADDSS] = ADD,
    [VEC_ADDPD] = ADD,
    [VEC_ADDSD] = ADD,
    [VEC_SUBPS] = SUB,
    [VEC_SUBSS] = SUB,
    [VEC_SUBPD] = SUB,
    [VEC_SUBSD] = SUB,
    [VEC_MULPS] = MUL,
    [VEC_MULSS] = MUL,
    [VEC_MULPD] = MUL,
    [VEC_MULSD] = MUL,
    [VEC_DIVPS] = DIV,
    [VEC_DIVSS] = DIV,
    [VEC_DIVPD] = DIV,
    [VEC_DIVSD] = DIV,
    [VEC_CVTSD2SS] = CVT,
    [VEC_CVTPD2PS] = CVT,
    [VEC_ADDSUBPS] = ADDSUB,
    [VEC_ADDSUBPD] = ADDSUB,
    [VEC_HADDPS] = HADD,
    [VEC_HADDPD] = HADD,
    [VEC_HSUBPS] = HSUB,
    [VEC_HSUBPD] = HSUB,
};

/* The same on the lowest element, by result size 4 and 8. */
static const uint16_t scalar[2][CVT + 1] = {
    {0, VEC_ADDSS, VEC_SUBSS, VEC_MULSS, VEC_DIVSS, VEC_CVTSD2SS},
    {0, VEC_ADDSD, VEC_SUBSD, VEC_MULSD, VEC_DIVSD, 0},
};

/* D8 opcodes with ST(1), by kind; CVT multiplies by one. */
static const uint8_t x87_modrm[CVT + 1] = {0, 0xc1, 0xe1, 0xc9, 0xf1, 0xc9};

static bool
is_denormal(uint64_t bits, unsigned size)
{
	if (size == 4)
		return ((bits & 0x7f800000) == 0 && (bits & 0x7fffff) != 0);
	return ((bits & 0x7ff0000000000000) == 0 && (bits & 0xfffffffffffff) != 0);
}

/* A number of SIZE bytes; denormals are zeros under MXCSR.DAZ. */
static struct f80
widen(uint64_t bits, unsigned size, uint32_t mxcsr)
{
	unsigned flags = 0;

	if ((mxcsr & MXCSR_DAZ) && is_denormal(bits, size))
		bits &= size == 4 ? 0x80000000 : 1ull << 63;
	return (f80_from_ieee(bits, size == 4 ? 23 : 52, size == 4 ? 8 : 11, &flags));
}

/* PE of X op Y rounded to the precision of SIZE bytes, with an unbounded exponent. */
static unsigned
unbounded_precision(
    enum kind kind, const struct f80 *x, const struct f80 *y, unsigned size, uint32_t mxcsr)
{
	struct fx f = {.fcw = (uint16_t)(0x7f | (size == 8 ? 0x200 : 0) | (mxcsr >> 3 & 0xc00))};
	struct f80 a = *x, b = *y;
	uint64_t flags;

	return (x87_host2(x87_code_reg(0, x87_modrm[kind]), &a, &b, &f, &flags) & FSW_PE);
}

/* Exception flags of one element. */
static unsigned
element(enum kind kind, uint64_t x, uint64_t y, unsigned size, uint32_t mxcsr)
{
	unsigned unmasked = ~(mxcsr >> MXCSR_MASK_SHIFT) & (FSW_OE | FSW_UE);
	union xmm a = {.q = {x, 0}}, b = {.q = {y, 0}};
	uint32_t flags = mxcsr_masked(mxcsr);
	struct f80 wide_x, wide_y;

	sse_run_fp(vec_table[scalar[size == 8][kind]].code, &a, &b, &flags);
	if ((unmasked & FSW_UE) && is_denormal(a.q[0], size))
		flags |= FSW_UE;
	flags &= MXCSR_EXCEPTIONS;
	if (!(flags & unmasked))
		return (flags);
	wide_x =
	    kind == CVT ? (struct f80){.mant = 1ull << 63, .se = 16383} : widen(x, size, mxcsr);
	wide_y = widen(y, kind == CVT ? 8 : size, mxcsr);
	return ((flags & ~FSW_PE) | unbounded_precision(kind, &wide_x, &wide_y, size, mxcsr));
}

static uint64_t
get(const union xmm *x, unsigned i, unsigned size)
{
	return (size == 4 ? x->d[i] : x->q[i]);
}

unsigned
sse_unmasked_flags(
    const struct vec *vec, const union xmm *a, const union xmm *b, uint32_t mxcsr, unsigned flags)
{
	unsigned size = vec->flags & (VEC_TINY4 | VEC_TINY4S) ? 4 : 8, n, half, each = 0;
	enum kind kind = (enum kind)kinds[vec - vec_table];

	n = vec->flags & (VEC_TINY4S | VEC_TINY8S) ? 1 : kind == CVT ? 2 : 16 / size;
	half = n / 2;
	if (kind == NONE)
		return (flags);
	for (unsigned i = 0; i < n; i++) {
		enum kind one = kind;
		uint64_t x = get(a, i, size), y = get(b, i, kind == CVT ? 8 : size);

		if (kind == ADDSUB) {
			one = i % 2 == 0 ? SUB : ADD;
		} else if (kind == HADD || kind == HSUB) {
			const union xmm *from = i < half ? a : b;
			unsigned pair = i < half ? i : i - half;

			one = kind == HADD ? ADD : SUB;
			x = get(from, pair * 2, size);
			y = get(from, pair * 2 + 1, size);
		}
		each |= element(one, x, y, size, mxcsr);
	}
	return (each);
}

/* --- dot products --------------------------------------------------------------------------------- */

bool
sse_is_dot(const struct vec *vec)
{
	return (vec == &vec_table[VEC_DPPS] || vec == &vec_table[VEC_DPPD]);
}

/* X op Y and, in *FLAGS, its exceptions. */
static uint64_t
compute(enum kind kind, uint64_t x, uint64_t y, unsigned size, uint32_t mxcsr, unsigned *flags)
{
	union xmm a = {.q = {x, 0}}, b = {.q = {y, 0}};
	uint32_t host = mxcsr_masked(mxcsr);

	*flags |= element(kind, x, y, size, mxcsr);
	sse_run_fp(vec_table[scalar[size == 8][kind]].code, &a, &b, &host);
	return (get(&a, 0, size));
}

/* Add a step's FLAGS to *ALL. True: one of them is not masked. */
static bool
step_ends(unsigned flags, uint32_t mxcsr, unsigned *all)
{
	unsigned unmasked = flags & ~(mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_EXCEPTIONS;

	*all |= unmasked & FSW_BEFORE ? flags & FSW_BEFORE : flags;
	return (unmasked != 0);
}

/* Multiply, then add neighbours until one is left; a step does all of its elements. */
bool
sse_dot_ends(const struct vec *vec, const union xmm *a, const union xmm *b, unsigned imm,
    uint32_t mxcsr, unsigned *flags)
{
	unsigned size = vec == &vec_table[VEC_DPPS] ? 4 : 8, n = 16 / size, step = 0;
	uint64_t x[4] = {0};
	bool ends;

	*flags = 0;
	if ((mxcsr >> MXCSR_MASK_SHIFT & MXCSR_EXCEPTIONS) == MXCSR_EXCEPTIONS)
		return (false);
	for (unsigned i = 0; i < n; i++)
		if (imm >> (4 + i) & 1)
			x[i] = compute(MUL, get(a, i, size), get(b, i, size), size, mxcsr, &step);
	while (!(ends = step_ends(step, mxcsr, flags)) && n > 1) {
		step = 0;
		n /= 2;
		for (unsigned i = 0; i < n; i++)
			x[i] = compute(ADD, x[2 * i], x[2 * i + 1], size, mxcsr, &step);
	}
	return (ends);
}
