/*
 * How the processor generations differ where software can tell: data for the handlers to use, in
 * place of questions about the model. SDM vol. 3B, chapter 23 "Architecture compatibility";
 * 286 and 8086 facts from captures of the parts (SingleStepTests) and their data sheets.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct alias;
struct variant;

struct cpu_traits {
	uint64_t lin_mask;	     /* where linear addresses wrap, outside 64-bit mode */
	uint64_t ip_mask;	     /* where RIP wraps, outside 64-bit mode */
	uint64_t sp_mask;	     /* the widest stack pointer outside 64-bit mode */
	uint8_t count_mask;	     /* of shift and rotate counts, operands below 64 bits */
	uint8_t length_max;	     /* bytes of an instruction; longer is #GP. Above 15: any */
	uint8_t stack_vector;	     /* what the stack's limit raises in real mode */
	uint16_t flags_set;	     /* FLAGS bits that PUSHF shows as 1 in real mode */
	uint16_t flags_clear;	     /* ... as 0 */
	uint8_t sregs;		     /* segment registers that MOV knows */
	bool push_sp_after;	     /* PUSH SP pushes the decremented value */
	bool wraps_in_segment;	     /* a word at FFFF continues at 0 instead of faulting */
	bool lock_f1;		     /* F1 is LOCK as well */
	bool table_base_24;	     /* SGDT and SIDT show FF in the top byte of the base */
	bool pop_keeps_sp;	     /* a POP to memory that faults leaves SP incremented */
	bool string_commits;	     /* a string instruction that faults has moved its registers */
	bool of_by_first_bit;	     /* shifts by more than 1: OF as the first bit's would be */
	bool esc_checks_operand;     /* x87 operands are checked where there is no x87 */
	const struct alias *aliases; /* old.h: opcodes that mean another, and */
	const struct variant *variants; /* instructions with handlers of their own; or NULL */
};

/* Of enum cpu_model MODEL. */
const struct cpu_traits *cpu_traits_of(unsigned model);

#endif
