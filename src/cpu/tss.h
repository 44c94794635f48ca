/* Task state segments: stacks for inner privilege levels, I/O permission, task switches. */
#ifndef CPU_TSS_H
#define CPU_TSS_H

#include "cpu/deliver.h"
#include "cpu/internal.h"

/* SS:SP for privilege CPL from the current TSS; EXT goes into error codes. */
bool tss_stack(struct cpu *c, unsigned cpl, uint32_t ext, struct x86_segment *ss, uint64_t *sp);

/* Whether the interrupt redirection map, the 32 bytes below the I/O map, has a 0 for VECTOR (vol. 3A,
 * 20.3.3.4). False: a fault. */
bool tss_redirects(struct cpu *c, unsigned vector, bool *yes);

enum task_why { TASK_JUMP, TASK_CALL, TASK_INTERRUPT, TASK_RETURN };
/* Switch to the task of the TSS SELECTOR, going on at RETURN_RIP when switched back. */
bool task_switch(
    struct cpu *c, uint16_t selector, enum task_why why, uint64_t return_rip, uint32_t ext);
/* An interrupt through a task gate to TSS SELECTOR. */
bool task_gate(struct cpu *c, uint16_t selector, const struct delivery *d);
/* IRET with NT set: back to the task in the link field. */
enum op_result task_return(struct cpu *c);

#endif
