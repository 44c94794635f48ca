/* Hardware interrupts: timer, RTC, those that nobody handles; NMI and print screen. */
#include "bios/call.h"

#define TICKS_A_DAY 0x1800b0u /* 1193182 / 65536 * 86400 */

enum bios_result
irq0_tick(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint32_t ticks = memory_get32(b->mem, BDA + BDA_TICKS) + 1;
	uint8_t motor = bda8(b, BDA_FLOPPY_TIMEOUT);

	if (ticks >= TICKS_A_DAY) {
		ticks = 0;
		set_bda8(b, BDA_MIDNIGHT, bda8(b, BDA_MIDNIGHT) + 1u);
	}
	memory_put32(b->mem, BDA + BDA_TICKS, ticks);
	if (motor != 0) {
		set_bda8(b, BDA_FLOPPY_TIMEOUT, motor - 1u);
		if (motor == 1)
			set_bda8(b, BDA_FLOPPY_MOTOR, bda8(b, BDA_FLOPPY_MOTOR) & 0xf0u);
	}
	return (BIOS_DONE);
}

/* The in-service register tells which of IRQ 0-7 it is; a spurious one needs no EOI. */
enum bios_result
irq_low(struct bios_call *c)
{
	outb(c->bios, 0x20, 0x0b);
	if (inb(c->bios, 0x20) != 0)
		outb(c->bios, 0x20, 0x20);
	return (BIOS_DONE);
}

enum bios_result
irq_high(struct bios_call *c)
{
	outb(c->bios, 0xa0, 0x0b);
	if (inb(c->bios, 0xa0) != 0)
		outb(c->bios, 0xa0, 0x20);
	outb(c->bios, 0x20, 0x20);
	return (BIOS_DONE);
}

enum bios_result
irq9_redirect(struct bios_call *c)
{
	outb(c->bios, 0xa0, 0x20);
	return (BIOS_DONE);
}

enum bios_result
irq6_floppy(struct bios_call *c)
{
	struct bios *b = c->bios;

	set_bda8(b, BDA_FLOPPY_RECALIBRATE, bda8(b, BDA_FLOPPY_RECALIBRATE) | 0x80u);
	outb(b, 0x20, 0x20);
	return (BIOS_DONE);
}

/* Register C tells why and takes the request back; CF = 0: the alarm, INT 4Ah follows. */
enum bios_result
irq8_rtc(struct bios_call *c)
{
	uint8_t why = cmos_read(c->bios, 0x0c) & cmos_read(c->bios, 0x0b);

	outb(c->bios, 0xa0, 0x20);
	outb(c->bios, 0x20, 0x20);
	set_cf(c, !(why & 0x20));
	return (BIOS_DONE);
}

enum bios_result
int02_nmi(struct bios_call *c)
{
	(void)c;
	return (BIOS_DONE);
}

/* No printer: status at 50:0 says "error" (FFh). */
enum bios_result
int05_print_screen(struct bios_call *c)
{
	memory_put8(c->bios->mem, 0x500, 0xff);
	return (BIOS_DONE);
}

enum bios_result
int11_equipment(struct bios_call *c)
{
	set_ax(c, bda16(c->bios, BDA_EQUIPMENT));
	return (BIOS_DONE);
}

enum bios_result
int12_memory_size(struct bios_call *c)
{
	set_ax(c, bda16(c->bios, BDA_MEMORY));
	return (BIOS_DONE);
}
