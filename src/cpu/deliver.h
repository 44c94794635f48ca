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

/* False: another fault came up (c->fault), the state is as before. */
bool deliver(struct cpu *c, const struct delivery *d);

#endif
