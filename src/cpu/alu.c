/*
 * Two-operand arithmetic and logic, MOV, LEA, and INC, DEC, NOT, NEG: the handlers that most of a
 * program's time goes through, one for each form of operands and each size. SDM vol. 2.
 */
#include "cpu/flags.h"
#include "cpu/insn.h"

enum alu { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, MOV };

#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t
alu_result(const struct cpu *c, enum alu kind, uint64_t a, uint64_t b)
{
	switch (kind) {
	case ADD:
		return (a + b);
	case ADC:
		return (a + b + flag_cf(c));
	case SUB:
	case CMP:
		return (a - b);
	case SBB:
		return (a - b - flag_cf(c));
	case OR:
		return (a | b);
	case AND:
	case TEST:
		return (a & b);
	case XOR:
		return (a ^ b);
	default:
		return (b);
	}
}

INLINE void
alu_flags(struct cpu *c, enum alu kind, uint64_t a, uint64_t b, uint64_t r, unsigned size)
{
	switch (kind) {
	case ADD:
	case ADC:
		flags_add(c, a, b, r, size);
		break;
	case SUB:
	case SBB:
	case CMP:
		flags_sub(c, a, b, r, size);
		break;
	case MOV:
		break;
	default:
		flags_logic(c, r, size);
		break;
	}
}

INLINE const struct trace *
alu(struct cpu *c, const struct op *op, struct vcpu_state *s, enum alu kind, enum form form,
    unsigned size)
{
	uint64_t a = 0, b, r;

	if (form == FORM_RR || form == FORM_MR)
		b = reg_get(s, op->src, size);
	else if (form == FORM_RM) {
		if (!load(c, op->seg, op_ea(op, s), size, &b))
			return (op_fault(c, op, s));
	} else
		b = (uint64_t)op->imm & size_mask(size);
	if (kind != MOV) {
		if (form == FORM_MR || form == FORM_MI) {
			if (!load(c, op->seg, op_ea(op, s), size, &a)) {
				if (kind != CMP && kind != TEST)
					rmw_fault(c, op->seg, op_ea(op, s), size);
				return (op_fault(c, op, s));
			}
		} else
			a = reg_get(s, op->dst, size);
	}
	r = alu_result(c, kind, a, b);
	if (kind != CMP && kind != TEST) {
		if (form == FORM_MR || form == FORM_MI) {
			if (!store(c, op->seg, op_ea(op, s), size, r))
				return (op_fault(c, op, s));
		} else
			reg_set(s, op->dst, size, r);
	}
	alu_flags(c, kind, a, b, r, size);
	return (op_next(c, op, s));
}

#define HANDLER(name, body) \
	static const struct trace *name(struct cpu *c, const struct op *op, struct vcpu_state *s) \
	{ \
		return (body); \
	}
#define ALU_SIZES(kind, form) \
	HANDLER(kind##_##form##_1, alu(c, op, s, kind, form, 1)) \
	HANDLER(kind##_##form##_2, alu(c, op, s, kind, form, 2)) \
	HANDLER(kind##_##form##_4, alu(c, op, s, kind, form, 4)) \
	HANDLER(kind##_##form##_8, alu(c, op, s, kind, form, 8))
#define SIZES_OF(kind, form) \
	{ \
		kind##_##form##_1, kind##_##form##_2, kind##_##form##_4, kind##_##form##_8 \
	}
#define ALU_FAMILY(kind, fam) \
	ALU_SIZES(kind, FORM_RR) \
	ALU_SIZES(kind, FORM_RI) \
	ALU_SIZES(kind, FORM_RM) \
	ALU_SIZES(kind, FORM_MR) \
	ALU_SIZES(kind, FORM_MI) \
	const struct family fam = {{SIZES_OF(kind, FORM_RR), SIZES_OF(kind, FORM_RI), \
	    SIZES_OF(kind, FORM_RM), SIZES_OF(kind, FORM_MR), SIZES_OF(kind, FORM_MI)}};

ALU_FAMILY(ADD, fam_add)
ALU_FAMILY(OR, fam_or)
ALU_FAMILY(ADC, fam_adc)
ALU_FAMILY(SBB, fam_sbb)
ALU_FAMILY(AND, fam_and)
ALU_FAMILY(SUB, fam_sub)
ALU_FAMILY(XOR, fam_xor)
ALU_FAMILY(CMP, fam_cmp)
ALU_FAMILY(TEST, fam_test)
ALU_FAMILY(MOV, fam_mov)

/* --- LEA: a register and an address that is not accessed ---------------------------------------- */

#define LEA_HANDLER(size) \
	static const struct trace *lea_##size( \
	    struct cpu *c, const struct op *op, struct vcpu_state *s) \
	{ \
		reg_set(s, op->dst, size, op_ea(op, s)); \
		return (op_next(c, op, s)); \
	}
LEA_HANDLER(2)
LEA_HANDLER(4)
LEA_HANDLER(8)
const struct family fam_lea = {.fn = {[FORM_RM] = {NULL, lea_2, lea_4, lea_8}}};

/* --- one operand ---------------------------------------------------------------------------------- */

enum unary { INC, DEC, NOT, NEG };

INLINE void
unary_flags(struct cpu *c, enum unary kind, uint64_t a, uint64_t r, unsigned size)
{
	bool cf = flag_cf(c);

	switch (kind) {
	case INC:
		flags_add(c, a, 1, r, size);
		flag_set_cf(c, cf);
		break;
	case DEC:
		flags_sub(c, a, 1, r, size);
		flag_set_cf(c, cf);
		break;
	case NEG:
		flags_sub(c, 0, a, r, size);
		break;
	case NOT:
		break;
	}
}

INLINE const struct trace *
unary(struct cpu *c, const struct op *op, struct vcpu_state *s, enum unary kind, enum form form,
    unsigned size)
{
	uint64_t a, r;

	if (form == FORM_RR)
		a = reg_get(s, op->dst, size);
	else if (!load(c, op->seg, op_ea(op, s), size, &a)) {
		rmw_fault(c, op->seg, op_ea(op, s), size);
		return (op_fault(c, op, s));
	}
	r = kind == INC ? a + 1 : kind == DEC ? a - 1 : kind == NOT ? ~a : 0 - a;
	if (form == FORM_RR)
		reg_set(s, op->dst, size, r);
	else if (!store(c, op->seg, op_ea(op, s), size, r))
		return (op_fault(c, op, s));
	unary_flags(c, kind, a, r & size_mask(size), size);
	return (op_next(c, op, s));
}

#define UNARY_SIZES(kind, form) \
	HANDLER(kind##_##form##_1, unary(c, op, s, kind, form, 1)) \
	HANDLER(kind##_##form##_2, unary(c, op, s, kind, form, 2)) \
	HANDLER(kind##_##form##_4, unary(c, op, s, kind, form, 4)) \
	HANDLER(kind##_##form##_8, unary(c, op, s, kind, form, 8))
#define UNARY_FAMILY(kind, fam) \
	UNARY_SIZES(kind, FORM_RR) \
	UNARY_SIZES(kind, FORM_MR) \
	const struct family fam = { \
	    .fn = {[FORM_RR] = SIZES_OF(kind, FORM_RR), [FORM_MR] = SIZES_OF(kind, FORM_MR)}};

UNARY_FAMILY(INC, fam_inc)
UNARY_FAMILY(DEC, fam_dec)
UNARY_FAMILY(NOT, fam_not)
UNARY_FAMILY(NEG, fam_neg)
