/* INT 1Ah: the tick counter and the real-time clock. IBM PC/AT Technical Reference. */
#include "bios/call.h"

/* MC146818 registers. */
#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS 0x04
#define RTC_DAY 0x07
#define RTC_MONTH 0x08
#define RTC_YEAR 0x09
#define RTC_A 0x0a
#define RTC_B 0x0b
#define RTC_CENTURY 0x32
#define RTC_UPDATE 0x80 /* A: an update is in progress */
#define RTC_SET 0x80	/* B: updates are halted */
#define RTC_DSE 0x01	/* B: daylight saving */

static enum bios_result
int1a_00_get_ticks(struct bios_call *c)
{
	uint32_t ticks = memory_get32(c->bios->mem, BDA + BDA_TICKS);

	set_cx(c, ticks >> 16);
	set_dx(c, ticks);
	set_al(c, bda8(c->bios, BDA_MIDNIGHT));
	set_bda8(c->bios, BDA_MIDNIGHT, 0);
	return (BIOS_DONE);
}

static enum bios_result
int1a_01_set_ticks(struct bios_call *c)
{
	memory_put32(c->bios->mem, BDA + BDA_TICKS, (uint32_t)cx(c) << 16 | dx(c));
	set_bda8(c->bios, BDA_MIDNIGHT, 0);
	set_ah(c, 0);
	return (BIOS_DONE);
}

/* While an update is in progress the registers are not to be read: come again. */
static bool
updating(struct bios_call *c)
{
	if (!(cmos_read(c->bios, RTC_A) & RTC_UPDATE))
		return (false);
	c->bios->wake_at(c->bios->opaque, clock_now(c->bios->clock) + 250000);
	return (true);
}

static enum bios_result
int1a_02_get_time(struct bios_call *c)
{
	struct bios *b = c->bios;

	if (updating(c))
		return (BIOS_WAIT);
	set_dh(c, cmos_read(b, RTC_SECONDS));
	set_cl(c, cmos_read(b, RTC_MINUTES));
	set_ch(c, cmos_read(b, RTC_HOURS));
	set_dl(c, cmos_read(b, RTC_B) & RTC_DSE);
	return (finish(c, 0));
}

static enum bios_result
int1a_03_set_time(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t mode = (cmos_read(b, RTC_B) & 0x7eu) | (dl(c) & RTC_DSE);

	cmos_write(b, RTC_B, mode | RTC_SET);
	cmos_write(b, RTC_SECONDS, dh(c));
	cmos_write(b, RTC_MINUTES, cl(c));
	cmos_write(b, RTC_HOURS, ch(c));
	cmos_write(b, RTC_B, mode);
	return (finish(c, 0));
}

static enum bios_result
int1a_04_get_date(struct bios_call *c)
{
	struct bios *b = c->bios;

	if (updating(c))
		return (BIOS_WAIT);
	set_dl(c, cmos_read(b, RTC_DAY));
	set_dh(c, cmos_read(b, RTC_MONTH));
	set_cl(c, cmos_read(b, RTC_YEAR));
	set_ch(c, cmos_read(b, RTC_CENTURY));
	return (finish(c, 0));
}

static enum bios_result
int1a_05_set_date(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t mode = cmos_read(b, RTC_B) & 0x7f;

	cmos_write(b, RTC_B, mode | RTC_SET);
	cmos_write(b, RTC_DAY, dl(c));
	cmos_write(b, RTC_MONTH, dh(c));
	cmos_write(b, RTC_YEAR, cl(c));
	cmos_write(b, RTC_CENTURY, ch(c));
	cmos_write(b, RTC_B, mode);
	return (finish(c, 0));
}

enum bios_result
int1a_unsupported(struct bios_call *c)
{
	set_cf(c, true);
	if (ah(c) == 0xb1)
		set_ah(c, 0x81); /* PCI BIOS: function not supported */
	return (BIOS_DONE);
}

const struct bios_service int1a_services[] = {
    {0x00, false, "get_ticks", int1a_00_get_ticks},
    {0x01, false, "set_ticks", int1a_01_set_ticks},
    {0x02, false, "get_time", int1a_02_get_time},
    {0x03, false, "set_time", int1a_03_set_time},
    {0x04, false, "get_date", int1a_04_get_date},
    {0x05, false, "set_date", int1a_05_set_date},
    {0x06, false, "set_alarm", NULL},
    {0x07, false, "reset_alarm", NULL},
    {0xb1, false, "pci_bios", NULL},
    {0xbb, false, "tcg", NULL},
    {0},
};
