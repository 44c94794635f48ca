/*
 * Lazy flags. An operation leaves its sign-extended result and a word of auxiliary bits; each flag
 * is worked out from the two when somebody asks:
 *
 *   ZF = result is 0          SF = sign of result, xor bit 0 of aux
 *   PF = parity of (result xor aux bits 8-15), low byte       AF = bit 3
 *   CF = bit 31               OF = bit 31 xor bit 30
 *
 * Bits 31 and 30 are the carries out of the operand's top two bits, hence OF. The "xor" bits are
 * 0 after arithmetic; they let any combination of flags be stored (POPF, SAHF, shifts ...).
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/internal.h"

#define AUX_SIGN 0x1u
#define AUX_AF 0x8u
#define AUX_OF 0x40000000u /* carry out of the second highest bit */
#define AUX_CF 0x80000000u

static inline bool
flag_cf(const struct cpu *c)
{
	return (c->fl_aux >> 31);
}

static inline bool
flag_of(const struct cpu *c)
{
	return ((c->fl_aux >> 31 ^ c->fl_aux >> 30) & 1);
}

static inline bool
flag_zf(const struct cpu *c)
{
	return (c->fl_res == 0);
}

static inline bool
flag_sf(const struct cpu *c)
{
	return ((c->fl_res < 0) ^ (c->fl_aux & AUX_SIGN));
}

static inline bool
flag_pf(const struct cpu *c)
{
	return (!__builtin_parity(((uint32_t)c->fl_res ^ c->fl_aux >> 8) & 0xffu));
}

static inline bool
flag_af(const struct cpu *c)
{
	return (c->fl_aux >> 3 & 1);
}

/* The carry vector of an addition or subtraction of SIZE bytes as auxiliary bits. */
static inline uint32_t
aux_from_carries(uint64_t carries, unsigned size)
{
	uint32_t top =
	    size == 8 ? (uint32_t)(carries >> 32) : (uint32_t)carries << (32 - size * 8) % 32;

	return ((top & (AUX_CF | AUX_OF)) | ((uint32_t)carries & AUX_AF));
}

static inline void
flags_result(struct cpu *c, uint64_t result, unsigned size, uint32_t aux)
{
	c->fl_res = sign_extend(result, size);
	c->fl_aux = aux;
}

static inline void
flags_add(struct cpu *c, uint64_t a, uint64_t b, uint64_t r, unsigned size)
{
	flags_result(c, r, size, aux_from_carries((a & b) | ((a | b) & ~r), size));
}

static inline void
flags_sub(struct cpu *c, uint64_t a, uint64_t b, uint64_t r, unsigned size)
{
	flags_result(c, r, size, aux_from_carries((~a & b) | ((~a | b) & r), size));
}

static inline void
flags_logic(struct cpu *c, uint64_t r, unsigned size)
{
	flags_result(c, r, size, 0);
}

/* The arithmetic flags as RFLAGS bits. */
static inline uint32_t
flags_get(const struct cpu *c)
{
	return ((flag_cf(c) ? RFLAGS_CF : 0) | (flag_pf(c) ? RFLAGS_PF : 0) |
	    (flag_af(c) ? RFLAGS_AF : 0) | (flag_zf(c) ? RFLAGS_ZF : 0) |
	    (flag_sf(c) ? RFLAGS_SF : 0) | (flag_of(c) ? RFLAGS_OF : 0));
}

static inline void
flags_set(struct cpu *c, uint64_t fl)
{
	uint32_t aux = 0;
	bool zero = fl & RFLAGS_ZF;

	c->fl_res = zero ? 0 : 1;
	/* Parity of the low byte is even for 0, odd for 1: bit 8 turns it over. */
	if (((fl & RFLAGS_PF) != 0) != zero)
		aux |= 0x100;
	if (fl & RFLAGS_SF)
		aux |= AUX_SIGN;
	if (fl & RFLAGS_AF)
		aux |= AUX_AF;
	if (fl & RFLAGS_CF)
		aux |= AUX_CF;
	if (((fl & RFLAGS_OF) != 0) != ((fl & RFLAGS_CF) != 0))
		aux |= AUX_OF;
	c->fl_aux = aux;
}

/* Replace single flags. */
static inline void
flags_merge(struct cpu *c, uint32_t value, uint32_t mask)
{
	flags_set(c, (flags_get(c) & ~mask) | (value & mask));
}

static inline void
flag_set_cf(struct cpu *c, bool cf)
{
	bool of = flag_of(c);

	c->fl_aux = (c->fl_aux & ~(AUX_CF | AUX_OF)) | (cf ? AUX_CF : 0) | (cf != of ? AUX_OF : 0);
}

#endif
