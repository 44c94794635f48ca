/*
 * The local APIC of one processor (SDM vol. 3A, chapter 10 "Advanced Programmable Interrupt
 * Controller"): xAPIC and x2APIC mode, the timer with one-shot, periodic and TSC-deadline mode, and
 * the way of the 8259's interrupts through LINT0 (virtual wire). There is no other processor and no
 * I/O APIC: interrupts to others vanish.
 *
 * While the APIC is off, in IA32_APIC_BASE or in the spurious-vector register, LINT0 and LINT1 are
 * the processor's INTR and NMI. (A real one that is off in the latter register masks them; firmware
 * switches it on then, in virtual-wire mode. This way there is nothing to switch on.)
 */
#ifndef DEVICE_LAPIC_H
#define DEVICE_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/apic.h"
#include "bus/clock.h"
#include "bus/line.h"
#include "bus/memory.h"
#include "bus/section.h"

#define LAPIC_BASE 0xfee00000u
#define LAPIC_SIZE 4096u
#define LAPIC_LINT0 0 /* lapic_line_set()'s numbers */
#define LAPIC_LINT1 1
#define LAPIC_TIMER_HZ NS_PER_SEC /* what the divider divides */

/* The local vector table, in the order of its registers. */
enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT
};

struct lapic_state {
	uint64_t icr;
	uint64_t tsc_deadline; /* 0: not armed */
	uint64_t timer_from;   /* guest ns at which the timer's count was timer_count */
	uint32_t timer_count;  /* 0: stopped */
	uint32_t timer_initial;
	uint32_t divide;
	uint32_t id; /* bits 31-24 in xAPIC mode */
	uint32_t tpr;
	uint32_t ldr;
	uint32_t dfr;
	uint32_t svr;
	uint32_t esr;	 /* as read */
	uint32_t errors; /* since ESR was written last */
	uint32_t lvt[LAPIC_LVT_COUNT];
	uint32_t isr[8];
	uint32_t tmr[8];
	uint32_t irr[8];
	uint8_t pin[2]; /* levels of LINT0, LINT1 */
	uint8_t pad[6];
};

struct lapic {
	struct lapic_state s;
	uint64_t base; /* IA32_APIC_BASE */
	struct clock *clock;
	struct timer timer;
	struct line intr; /* to the processor's INTR */
	struct line nmi;  /* an edge for each NMI */
	/* The 8259's answer to INTA. */
	int (*ext_ack)(void *opaque);
	/* The registers' page lies at BASE now, or nowhere (VISIBLE false). May be NULL. */
	void (*moved)(void *opaque, uint64_t base, bool visible);
	/* The program wrote the task priority register: CR8 is VALUE now. May be NULL. */
	void (*cr8)(void *opaque, uint64_t value);
	/* The program's time stamp counter minus guest ns. NULL: 0. */
	uint64_t (*tsc_offset)(void *opaque);
	void *opaque; /* of these four */
};

extern const struct mmio_ops lapic_mmio; /* for a region of LAPIC_SIZE bytes */

/* Lines and calls are connected afterwards; then comes lapic_reset(). */
void lapic_init(struct lapic *apic, struct clock *clock);
/* What RESET leaves (SDM vol. 3A, 10.4.7.1), with BASE as IA32_APIC_BASE (0: the APIC is off). */
void lapic_reset(struct lapic *apic, uint64_t base);
/*
 * Take over VALUE as IA32_APIC_BASE. False, and nothing changes: reserved bits, or a change of mode
 * that the manual does not allow (figure 10-27).
 */
bool lapic_set_base(struct lapic *apic, uint64_t value);
/* The MSRs and CR8, for the processor. */
struct apic_port lapic_port(struct lapic *apic);
/* Drive LINT0 or LINT1; a line's set(): OPAQUE is the APIC. */
void lapic_line_set(void *opaque, int number, bool level);
/* An edge-triggered interrupt from outside, as a message. False: no such vector, or APIC off. */
bool lapic_interrupt(struct lapic *apic, unsigned vector);
/* INTA: the vector of the interrupt to be served now. */
int lapic_ack(struct lapic *apic);

/* 32 bits of the register at OFFSET of the page (a multiple of 16). */
uint32_t lapic_read(struct lapic *apic, unsigned offset);
void lapic_write(struct lapic *apic, unsigned offset, uint32_t value);
struct section lapic_section(struct lapic *apic);

#endif
