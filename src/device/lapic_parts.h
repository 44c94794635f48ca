/* What the files of the local APIC share; only they include it. Numbers: SDM vol. 3A. */
#ifndef DEVICE_LAPIC_PARTS_H
#define DEVICE_LAPIC_PARTS_H

#include "device/lapic.h"

/* Registers: offsets in the page; x2APIC MSRs are 800h + offset / 16 (table 10-6). */
enum {
	REG_ID = 0x020,
	REG_VERSION = 0x030,
	REG_TPR = 0x080,
	REG_APR = 0x090,
	REG_PPR = 0x0a0,
	REG_EOI = 0x0b0,
	REG_RRD = 0x0c0,
	REG_LDR = 0x0d0,
	REG_DFR = 0x0e0,
	REG_SVR = 0x0f0,
	REG_ISR = 0x100,
	REG_TMR = 0x180,
	REG_IRR = 0x200,
	REG_ESR = 0x280,
	REG_ICR = 0x300,
	REG_ICR_HIGH = 0x310,
	REG_LVT = 0x320,
	REG_TIMER_INITIAL = 0x380,
	REG_TIMER_CURRENT = 0x390,
	REG_TIMER_DIVIDE = 0x3e0,
	REG_SELF_IPI = 0x3f0,
};

#define SVR_WRITABLE 0x1ffu
#define LVT_REMOTE_IRR 0x4000u
#define LVT_TIMER_MODE 0x60000u
#define TIMER_PERIODIC 0x20000u
#define TIMER_DEADLINE 0x40000u
#define ESR_SEND_ILLEGAL 0x20u
/* Vectors below are reserved (10.5.2). */
#define VECTOR_MIN 16
#define ICR_WRITABLE 0xccfffu /* delivery status, bit 12, is always "idle" */

/* Bits of each LVT register that can be written (figure 10-8). */
extern const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT];

/* Register OFFSET; *KNOWN false: there is none. */
uint32_t lapic_register(struct lapic *apic, unsigned offset, bool *known);
/* Write one; lapic_drive() comes afterwards. False: there is no such register to be written. */
bool lapic_set_register(struct lapic *apic, unsigned offset, uint32_t value);
/* The command register's low half, which sends. */
void lapic_set_icr(struct lapic *apic, uint32_t value);
/* A fixed interrupt, from wherever. */
void lapic_accept(struct lapic *apic, unsigned vector, bool level);
/* Note an error of ESR (10.5.3), with its interrupt if it is a new one. */
void lapic_error(struct lapic *apic, uint32_t bit);
/* Bring INTR up to date. */
void lapic_drive(struct lapic *apic);
/* Arm the host's timer for what is due next; bits 18-17 of the timer's LVT entry. */
void lapic_timer_plan(struct lapic *apic);
uint32_t lapic_timer_mode(const struct lapic *apic);
bool lapic_is_x2apic(const struct lapic *apic);

#endif
