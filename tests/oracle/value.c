/* Chance, and values in which edges are frequent: integers, floating point, selectors. */
#include <string.h>

#include "oracle.h"

#define POOL_SIZE (64u << 10)
#define F80_COUNT 8192u
#define EDGES(array) (sizeof(array) / sizeof((array)[0]))

struct f80 {
	uint64_t mant;
	uint16_t se;
};

static struct {
	uint8_t memory[POOL_SIZE];
	struct f80 f80[F80_COUNT];
} pool;

uint64_t
next(uint64_t *rng)
{
	uint64_t z = *rng += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

unsigned
below(uint64_t *rng, unsigned n)
{
	return ((unsigned)((next(rng) >> 32) % n));
}

bool
one_in(uint64_t *rng, unsigned n)
{
	return (below(rng, n) == 0);
}

uint64_t
value(uint64_t *rng)
{
	static const uint64_t edges[] = {0, 1, 2, UINT64_MAX, UINT64_MAX - 1, 0x7f, 0x80, 0xff,
	    0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
	    0x8000000000000000, 0xffffffff80000000, 0xffffffffffff8000, 0xffffffffffffff80,
	    0x7fffffffffff, 0x800000000000, 0xffff800000000000};
	uint64_t r = next(rng);

	switch (below(rng, 8)) {
	case 0:
	case 1:
		return (edges[r % EDGES(edges)]);
	case 2:
		return (r & 0x7f);
	case 3:
		return (r >> (r & 63));
	case 4:
		return ((uint64_t)((int64_t)r >> (r & 63)));
	case 5:
		return ((uint32_t)r);
	default:
		return (r);
	}
}

/* --- floating point ------------------------------------------------------------------------------ */

/*
 * An IEEE number of FRACTION bits below the leading one and EXP bits of exponent. Numbers near
 * each other are frequent, so that sums cancel and round, and so are those whose products are
 * tiny or huge.
 */
static uint64_t
ieee(uint64_t *rng, unsigned fraction, unsigned exp)
{
	uint64_t r = next(rng), mask = (1ull << fraction) - 1, frac = next(rng) & mask;
	unsigned top = (1u << exp) - 1, bias = top >> 1, e = bias - 7 + (r >> 32 & 15);
	uint64_t sign = r >> 63 << (fraction + exp);

	if (r & 0x80)
		frac = frac >> (r >> 40) % fraction << (r >> 40) % fraction;
	switch (r & 15) {
	case 0:
		return (sign);
	case 1:
		e = 0;
		break;
	case 2:
		e = top, frac = 0;
		break;
	case 3:
		e = top, frac |= 1ull << (fraction - 1);
		break;
	case 4:
		e = top, frac = (frac & mask >> 1) | 1;
		break;
	case 5:
		e = top - 1;
		break;
	case 6:
		e = 1;
		break;
	case 7:
		e = (unsigned)(r >> 32) & top;
		break;
	case 8:
		e = bias / 2 + (r >> 32 & 7);
		break;
	case 9:
		e = bias + (r >> 32 & 63); /* around the widths of integers */
		break;
	case 10:
		e = exp == 11 ? bias - 150 + (r >> 32 & 31) : e; /* tiny as float32 */
		break;
	default:
		break;
	}
	return (sign | (uint64_t)e << fraction | frac);
}

static struct f80
extended(uint64_t *rng)
{
	uint64_t r = next(rng), mant = next(rng);
	unsigned exp = 16383 - 70 + (unsigned)(r >> 8) % 140, from = (unsigned)(r >> 8);

	if (r & 0x10000)
		mant = mant >> (r >> 20 & 63) << (r >> 20 & 63);
	mant |= 1ull << 63;
	switch (r % 24) {
	case 0:
		exp = 0, mant = 0;
		break;
	case 1:
		exp = 0, mant &= ~(1ull << 63); /* denormal */
		break;
	case 2:
		exp = 0; /* pseudo-denormal */
		break;
	case 3:
		exp = 0x7fff, mant = 1ull << 63;
		break;
	case 4:
		exp = 0x7fff, mant |= 1ull << 62;
		break;
	case 5:
		exp = 0x7fff, mant &= ~(1ull << 62), mant |= 1;
		break;
	case 6:
		mant &= ~(1ull << 63); /* unnormal: not supported since the 387 */
		break;
	case 7:
		exp = 1 + from % 70;
		break;
	case 8:
		exp = 0x7ffe - from % 70;
		break;
	case 9:
		exp = from & 0x7fff;
		break;
	case 10:
		exp = 0x3fff, mant = 1ull << 63;
		break;
	case 11:
		exp = 0x3f80 + from % 32; /* around the smallest float32 */
		break;
	default:
		break;
	}
	return ((struct f80){.mant = mant, .se = (uint16_t)(exp | (r >> 40 & 1) << 15)});
}

/* 16 bytes as vector instructions like them. */
static void
vector(uint64_t *rng, void *to)
{
	uint64_t q[2] = {next(rng), next(rng)}, r = next(rng);
	uint8_t b[16];

	if (r % 8 < 3) {
		q[0] = ieee(rng, 23, 8) | ieee(rng, 23, 8) << 32;
		q[1] = ieee(rng, 23, 8) | ieee(rng, 23, 8) << 32;
	} else if (r % 8 < 6) {
		q[0] = ieee(rng, 52, 11);
		q[1] = ieee(rng, 52, 11);
	} else if (r % 8 == 6) { /* extremes of each size; text */
		memcpy(b, q, sizeof(b));
		for (unsigned i = 0; i < 16; i++)
			if (r >> (8 + i) & 1)
				b[i] = r >> 40 & 1 ? 0 : r >> 41 & 1 ? 0x80 : 0xff;
		memcpy(q, b, sizeof(b));
	}
	if (r >> 60 == 0)
		q[0] &= 0x1f, q[1] = 0; /* shift counts */
	memcpy(to, q, sizeof(q));
}

/* --- memory, registers ------------------------------------------------------------------------------ */

/* 16 bytes of memory. */
static void
put_value(uint64_t *rng, uint8_t *to)
{
	uint64_t q[2] = {value(rng), value(rng)}, r = next(rng);
	struct f80 f;

	memcpy(to, q, 16);
	switch (r & 7) {
	case 0:
		f = extended(rng);
		memcpy(to, &f.mant, 8);
		memcpy(to + 8, &f.se, 2);
		break;
	case 1:
		for (unsigned i = 0; i < 9; i++) /* FBLD's digits */
			to[i] = (uint8_t)((to[i] / 16 % 10) << 4 | to[i] % 16 % 10);
		break;
	case 2:
	case 3:
	case 4:
		vector(rng, to);
		break;
	default:
		break;
	}
}

void
value_init(void)
{
	uint64_t rng = 1;

	for (unsigned i = 0; i < POOL_SIZE; i += 16)
		put_value(&rng, pool.memory + i);
	for (unsigned i = 0; i < F80_COUNT; i++)
		pool.f80[i] = extended(&rng);
}

void
value_memory(uint64_t *rng, void *to, unsigned size)
{
	memcpy(to, pool.memory + below(rng, (POOL_SIZE - size) / 16) * 16, size);
}

uint32_t
value_mxcsr(uint64_t *rng)
{
	uint64_t r = next(rng);

	switch (r >> 60) {
	case 0:
	case 1:
	case 2:
		return (0x1f80);
	case 3:
	case 4:
	case 5:
	case 6:
		return (r & 0xffff);
	default:
		return ((r & 0xffff) | 0x1f80);
	}
}

/* Control, status and tags; an exception that is not masked waits now and then. */
static void
x87_words(uint64_t *rng, struct image *f)
{
	uint64_t r = next(rng);

	f->fcw = (uint16_t)(0x40 | (r & 0x1f3f));
	if (r & 1 << 16)
		f->fcw |= 0x3f;
	if (r & 1 << 17)
		f->fcw = 0x37f;
	f->fsw = (uint16_t)(r >> 20 & 0x7f7f);
	if (one_in(rng, 8)) {
		if (f->fsw & ~f->fcw & 0x3f)
			f->fsw |= 0x8080;
	} else
		f->fsw &= (uint16_t) ~(~f->fcw & 0x3f);
	f->ftw = (uint8_t)(r >> 40);
	if (r >> 50 & 7)
		f->ftw |= 0xff >> (r >> 53 & 1);
	if ((r >> 50 & 7) == 1) /* all but one, which is the new top */
		f->ftw = (uint8_t) ~(1u << (((f->fsw >> 11) - 1) & 7));
}

void
value_fpu(uint64_t *rng, struct image *f)
{
	unsigned at = below(rng, F80_COUNT - 8);
	bool mmx = one_in(rng, 3);

	memset(f, 0, sizeof(*f));
	x87_words(rng, f);
	f->fop = next(rng) & 0x7ff;
	f->fip = next(rng) >> 17;
	f->fdp = next(rng) >> 17;
	f->mxcsr = value_mxcsr(rng);
	for (unsigned i = 0; i < 8; i++) {
		f->st[i].mant = pool.f80[at + i].mant;
		f->st[i].se = pool.f80[at + i].se;
		if (mmx)
			value_memory(rng, &f->st[i].mant, 8);
	}
	value_memory(rng, f->xmm, sizeof(f->xmm));
	if (one_in(rng, 2))
		f->xmm[next(rng) & 7] = f->xmm[next(rng) & 7];
}

uint16_t
value_selector(uint64_t *rng)
{
	static const uint16_t often[] = {0, 0, 3, SEL_CODE64, SEL_CODE32, SEL_DATA, SEL_DATA};
	uint64_t r = next(rng);

	switch (r & 7) {
	case 0:
		return ((uint16_t)(r >> 16));
	case 1:
		return ((uint16_t)(r >> 16 & 0x7f)); /* the GDT */
	case 2:
		return (often[(r >> 16) % EDGES(often)]);
	case 3:
		return ((uint16_t)(often[(r >> 16) % EDGES(often)] ^ (r >> 32 & 3)));
	case 4:
		return ((uint16_t)((r >> 16 & 0x7f) | 4)); /* the LDT, any RPL */
	default:
		return (SEL_LDT((r >> 16) % LDT_COUNT));
	}
}
