/*
 * The ESC opcodes of a processor without an x87: ignored, as a 386 without a 387 ignores them, so
 * that the usual test (FNINIT, FNSTSW: did the word change?) finds none; #NM while CR0.EM or
 * CR0.TS is set. SDM vol. 3A, 2.5 and 9.2.2.
 */
#include "cpu/insn.h"

enum op_result
do_no_fpu(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t operand;

	if (s->sregs.cr0 & (CR0_EM | CR0_TS))
		return (fault(c, VEC_NM, CAUSE_INSTRUCTION));
	if (c->traits->esc_checks_operand && op->dkind == K_MEM &&
	    !load(c, op->seg, op_ea(op, s), 2, &operand))
		return (OP_FAULT);
	return (OP_NEXT);
}
