/*
 * What processors before the 386 decode otherwise: bytes that mean another instruction's are
 * rewritten before Zydis sees them, and some instructions have handlers of their own. Which, is data
 * in the model's row (model.c).
 */
#ifndef CPU_OLD_H
#define CPU_OLD_H

#include "cpu/insn.h"

/*
 * Opcodes FIRST to LAST, with a ModRM reg field of those in REGS (a bit each; 0: no ModRM is looked
 * at), are the opcode TO with the bits LOW of the old one, and the ModRM byte without CLEAR, with
 * SET. A table ends with a row whose LAST is 0; the first row that fits holds.
 */
struct alias {
	uint8_t first, last;
	uint8_t regs;
	uint8_t to, low, clear, set;
	bool register_only; /* only for register operands */
	bool undefined;	    /* #UD, after the check of its length */
	plain_fn *plain;    /* the handler, if the instruction has none elsewhere */
};

/* The handler of one Zydis mnemonic on this processor. A table ends with a row without handler. */
struct variant {
	uint16_t mnemonic;
	plain_fn *plain;
};

/* An instruction as it is given to Zydis. */
struct old_code {
	uint8_t bytes[INSN_MAX];
	unsigned available; /* of them */
	unsigned left_out;  /* prefixes that were dropped from the bytes */
	unsigned redundant; /* of the first prefixes: how many later ones make up for */
	uint8_t rep;	    /* enum op_rep, of any instruction */
	const struct alias *alias;
};

/* Rewrite AVAILABLE bytes of CODE for Zydis, as the model of C takes them. */
void old_code_read(
    const struct cpu *c, const uint8_t *code, unsigned available, struct old_code *old);
/* Give OP, an instruction with this Zydis MNEMONIC, the handler that it has on the model of C. */
void old_code_bind(
    const struct cpu *c, const struct old_code *old, unsigned mnemonic, struct op *op);

/*
 * DAA, or DAS if SUBTRACT, in one addition of both adjustments, which leaves OF: LOW and HIGH say which
 * digits are adjusted, CARRY is CF afterwards. OP_NEXT.
 */
enum op_result old_decimal_adjust(
    struct cpu *c, struct vcpu_state *s, bool subtract, bool low, bool high, bool carry);

extern const struct alias aliases_8086[], aliases_286[];
extern const struct variant variants_8086[], variants_286[]; /* i8086.c, i80286.c */

plain_fn do_8086_pop_cs, do_8086_mov_cs, do_8086_setmo;

#endif
