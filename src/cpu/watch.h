/*
 * Breakpoints: those of the guest's debug registers (SDM vol. 3B, chapter 17) and those of a
 * debugger outside. They cost nothing while none is set, and little while some are: pages with a
 * watched byte stay out of the TLB, traces begin anew at watched instructions, and those are never
 * linked to nor kept in the jump cache.
 */
#ifndef CPU_WATCH_H
#define CPU_WATCH_H

#include "cpu/internal.h"

/* The debug registers or the debugger's list changed: what derives from them. */
void watch_changed(struct cpu *c);
/* The instruction at linear LIN is about to run. True: it may not; c->fault or c->exit says why. */
bool watch_instruction(struct cpu *c, uint64_t lin);
/* Whether an instruction at offset OFFSET in its page might be watched. */
bool watch_starts_at(const struct cpu *c, uint64_t offset);
/* SIZE bytes at linear LIN were read or written: what watches them is noted, for after this
 * instruction. Only called while c->watch_kinds has a data kind. */
void watch_access(struct cpu *c, uint64_t lin, unsigned size, bool write);
/* Somebody else, the BIOS for one, wrote SIZE bytes at physical GPA: for the debugger, and while
 * linear addresses are physical ones. */
void watch_outside(struct cpu *c, uint64_t gpa, uint64_t size);
/* The same for an access to PORT. */
void watch_port(struct cpu *c, uint16_t port, unsigned size);
/* Whether linear page LIN holds a watched byte of data. */
bool watch_in_page(const struct cpu *c, uint64_t lin);
/* Deliver the #DB that waits (state->events.pending_debug), or leave for the debugger. */
void watch_deliver(struct cpu *c);
/* #DB before the instruction at RIP, with BITS in DR6. OP_FAULT. */
enum op_result watch_fault(struct cpu *c, uint64_t bits);

#endif
