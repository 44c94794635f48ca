/*
 * The seam between a CPU and its local APIC beside memory and the INTR and NMI wires: the MSRs that
 * belong to the APIC (IA32_APIC_BASE, IA32_TSC_DEADLINE, the x2APIC's 800h-8FFh) and CR8.
 */
#ifndef BUS_APIC_H
#define BUS_APIC_H

#include <stdbool.h>
#include <stdint.h>

struct apic_port {
	/* False: there is no such MSR, or not now, or not with this value: #GP(0). */
	bool (*read_msr)(void *opaque, uint32_t number, uint64_t *value);
	bool (*write_msr)(void *opaque, uint32_t number, uint64_t value);
	/* The program wrote CR8, bits 7-4 of the task priority. NULL with all others: no APIC. */
	void (*write_cr8)(void *opaque, uint64_t value);
	/* The program moved the time stamp counter, to which the deadline belongs. */
	void (*tsc_changed)(void *opaque);
	void *opaque;
};

#endif
