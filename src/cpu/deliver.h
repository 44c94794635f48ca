/* Delivery of one event through the IVT or IDT; fault.c decides what is delivered. */
#ifndef CPU_DELIVER_H
#define CPU_DELIVER_H

#include "cpu/cpu.h"

struct delivery {
	unsigned vector;
	enum vcpu_event_type kind;
	bool has_error;
	uint32_t error;
	uint64_t return_rip; /* pushed as the return address */
};

/* From an instruction (INT n, INT3, INTO), which a gate's DPL guards and which has no EXT bit. */
static inline bool
delivery_is_software(const struct delivery *d)
{
	return (d->kind == EVENT_SW_INTR || d->kind == EVENT_SW_EXCEPTION);
}

/* The EXT bit in the error code of a fault that comes up (SDM vol. 3A, 6.13). */
static inline uint32_t
delivery_ext(const struct delivery *d)
{
	return (delivery_is_software(d) ? 0 : 1);
}

/* False: another fault came up (c->fault), the state is as before. */
bool deliver(struct cpu *c, const struct delivery *d);

#endif
