/*
 * MC146818A real-time clock with 128 bytes of CMOS (Motorola data sheet ADI-856), behind the index
 * port 70h, whose bit 7 masks NMI, and the data port 71h. Byte 32h is the century in BCD, as PC
 * chip sets keep it.
 *
 * The time is that of the guest clock (wall_offset + guest time) plus an offset that the guest
 * changes by setting the clock; the flags of register C are computed when somebody looks. A timer
 * is armed only while an enabled interrupt can become due.
 */
#ifndef DEVICE_MC146818_H
#define DEVICE_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/line.h"
#include "bus/section.h"

#define MC146818_CMOS 128

enum mc146818_register {
	RTC_SECONDS,
	RTC_SECONDS_ALARM,
	RTC_MINUTES,
	RTC_MINUTES_ALARM,
	RTC_HOURS,
	RTC_HOURS_ALARM,
	RTC_WEEKDAY,
	RTC_DAY,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	RTC_CENTURY = 0x32,
};

struct mc146818_state {
	int64_t offset;	 /* seconds by which the guest set its clock off the wall clock */
	uint64_t seen;	 /* guest ns up to which the flags of register C are computed */
	uint32_t phase;	 /* ns that the divider is ahead of guest time's whole seconds */
	uint8_t weekday; /* 0..6, added to the date's day of the week */
	uint8_t index;	 /* bit 7 = NMI masked */
	uint8_t pad[2];
	uint8_t cmos[MC146818_CMOS];
};

struct mc146818 {
	struct mc146818_state s;
	struct clock *clock;
	struct timer timer;
	struct line irq; /* IRQ8, active high */
};

extern const struct port_ops mc146818_ports; /* register 0 = index, 1 = data */

/* Power on: registers A to D as POST leaves them, CMOS zero, the time that of the clock. */
void mc146818_init(struct mc146818 *chip, struct clock *clock, struct line irq);
/* The RESET pin: interrupts off; time and CMOS stay. */
void mc146818_reset(struct mc146818 *chip);
bool mc146818_nmi_masked(const struct mc146818 *chip);
/* What index and data port do, without touching the index; REG is 0..127. */
uint8_t mc146818_get(struct mc146818 *chip, unsigned reg);
void mc146818_put(struct mc146818 *chip, unsigned reg, uint8_t value);
/* Its section is to be restored after the clock. */
struct section mc146818_section(struct mc146818 *chip);

#endif
