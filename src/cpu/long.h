/* 64-bit mode: interrupt delivery and return; whether a code segment's target is in bounds. */
#ifndef CPU_LONG_H
#define CPU_LONG_H

#include "cpu/deliver.h"
#include "cpu/internal.h"

/* Delivery through a 64-bit IDT (EFER.LMA = 1). */
bool deliver_long(struct cpu *c, const struct delivery *d);
/* RSP for privilege TARGET from the 64-bit TSS, or of its interrupt stack IST (0: none). */
bool long_stack(struct cpu *c, unsigned target, unsigned ist, uint64_t *sp);
/* SS at a new privilege in 64-bit mode: null, with the privilege as RPL and DPL. */
struct x86_segment null_stack_segment(unsigned cpl);
/* Far JMP or CALL to the call gate at SELECTOR, whose descriptor begins with LOW (EFER.LMA = 1). */
enum op_result call_gate64(
    struct cpu *c, uint16_t selector, uint64_t low, bool call, uint64_t next_rip);
/* IRET of SIZE bytes in 64-bit mode. */
enum op_result iret_long(struct cpu *c, unsigned size);

static inline bool
long_mode(const struct cpu *c)
{
	return (c->s->sregs.efer & EFER_LMA);
}

/* May RIP be OFFSET in the code segment CS: within its limit, or canonical if it is 64-bit code? */
static inline bool
target_ok(const struct cpu *c, const struct x86_segment *cs, uint64_t offset)
{
	if (long_mode(c) && (cs->access & AR_L))
		return (is_canonical(offset));
	return (offset <= cs->limit);
}

/* What counts of an offset in the code segment CS: no more than 32 bits but in 64-bit code. */
static inline uint64_t
offset_mask(const struct cpu *c, const struct x86_segment *cs)
{
	return (long_mode(c) && (cs->access & AR_L) ? UINT64_MAX : UINT32_MAX);
}

/* A 64-bit code segment has L set and D clear; both set is no code segment at all there. */
static inline bool
code_size_ok(const struct cpu *c, const struct x86_segment *cs)
{
	return (!long_mode(c) || (cs->access & (AR_L | AR_DB)) != (AR_L | AR_DB));
}

#endif
