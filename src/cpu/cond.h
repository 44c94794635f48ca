/* The sixteen conditions of Jcc, SETcc and CMOVcc (SDM vol. 1, appendix B), in encoding order. */
#ifndef CPU_COND_H
#define CPU_COND_H

#include "cpu/flags.h"

enum cond {
	COND_O,
	COND_NO,
	COND_B,
	COND_NB,
	COND_Z,
	COND_NZ,
	COND_BE,
	COND_NBE,
	COND_S,
	COND_NS,
	COND_P,
	COND_NP,
	COND_L,
	COND_NL,
	COND_LE,
	COND_NLE
};

static inline __attribute__((always_inline)) bool
cond_holds(const struct cpu *c, enum cond cond)
{
	bool holds = false;

	switch ((enum cond)(cond & ~1u)) {
	case COND_O:
		holds = flag_of(c);
		break;
	case COND_B:
		holds = flag_cf(c);
		break;
	case COND_Z:
		holds = flag_zf(c);
		break;
	case COND_BE:
		holds = flag_cf(c) || flag_zf(c);
		break;
	case COND_S:
		holds = flag_sf(c);
		break;
	case COND_P:
		holds = flag_pf(c);
		break;
	case COND_L:
		holds = flag_sf(c) != flag_of(c);
		break;
	case COND_LE:
		holds = flag_zf(c) || flag_sf(c) != flag_of(c);
		break;
	default:
		break;
	}
	return (holds != (cond & 1));
}

#endif
