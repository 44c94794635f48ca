/* The local APIC; numbers in comments are sections of the SDM, vol. 3A. */
#include "device/lapic_parts.h"

#include <string.h>

#include "arch/x86.h"

/* Version 14h, that of processors since the Pentium 4; the last entry's number of the LVT. */
#define VERSION (0x14u | (LAPIC_LVT_COUNT - 1u) << 16)
#define BASE_RESERVED (~0xffffffffffull | 0x2ffu) /* 40 bits of address */

#define SVR_ON 0x100u
#define DFR_FLAT 0xfu /* bits 31-28 */

#define LVT_VECTOR 0xffu
#define LVT_MODE 0x700u
#define LVT_LEVEL 0x8000u
#define LVT_MASKED 0x10000u

/* Delivery modes, bits 10-8 of ICR and LVT. */
#define MODE_FIXED 0x000u
#define MODE_LOWEST 0x100u
#define MODE_NMI 0x400u
#define MODE_EXTINT 0x700u

#define ICR_LOGICAL 0x800u
#define ICR_SHORTHAND 0xc0000u
#define ICR_SELF 0x40000u
#define ICR_ALL 0x80000u

#define ESR_RECEIVE_ILLEGAL 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT] = {
    [LAPIC_LVT_TIMER] = LVT_TIMER_MODE | LVT_MASKED | LVT_VECTOR,
    [LAPIC_LVT_THERMAL] = LVT_MASKED | LVT_MODE | LVT_VECTOR,
    [LAPIC_LVT_PERF] = LVT_MASKED | LVT_MODE | LVT_VECTOR,
    [LAPIC_LVT_LINT0] = LVT_MASKED | LVT_LEVEL | 0x2000 | LVT_MODE | LVT_VECTOR,
    [LAPIC_LVT_LINT1] = LVT_MASKED | LVT_LEVEL | 0x2000 | LVT_MODE | LVT_VECTOR,
    [LAPIC_LVT_ERROR] = LVT_MASKED | LVT_VECTOR,
};

/* --- 256-bit registers --------------------------------------------------------------------------- */

static void
bit_set(uint32_t bits[8], unsigned n, bool on)
{
	if (on)
		bits[n / 32] |= 1u << n % 32;
	else
		bits[n / 32] &= ~(1u << n % 32);
}

/* The highest bit that is set, -1: none. */
static int
bit_highest(const uint32_t bits[8])
{
	for (int i = 7; i >= 0; i--)
		if (bits[i] != 0)
			return (i * 32 + 31 - __builtin_clz(bits[i]));
	return (-1);
}

/* --- what comes in and goes out ------------------------------------------------------------------ */

static bool
is_on(const struct lapic *apic)
{
	return ((apic->base & APIC_BASE_EN) && (apic->s.svr & SVR_ON));
}

bool
lapic_is_x2apic(const struct lapic *apic)
{
	return (apic->base & APIC_BASE_EXTD);
}

/* Processor priority: 10.8.3.1. */
static uint32_t
processor_priority(const struct lapic *apic)
{
	int serving = bit_highest(apic->s.isr);
	uint32_t served = serving < 0 ? 0 : (uint32_t)serving & 0xf0;

	return ((apic->s.tpr & 0xf0) >= served ? apic->s.tpr : served);
}

/* The request that may interrupt the processor now, -1: none. */
static int
deliverable(const struct lapic *apic)
{
	int vector = bit_highest(apic->s.irr);

	if (vector < 0 || ((uint32_t)vector & 0xf0) <= (processor_priority(apic) & 0xf0))
		return (-1);
	return (vector);
}

/* Whether LINT0 passes the 8259's INT through. */
static bool
ext_int(const struct lapic *apic)
{
	if (!apic->s.pin[LAPIC_LINT0])
		return (false);
	return (!is_on(apic) ||
	    (apic->s.lvt[LAPIC_LVT_LINT0] & (LVT_MASKED | LVT_MODE)) == MODE_EXTINT);
}

void
lapic_drive(struct lapic *apic)
{
	line_set(&apic->intr, ext_int(apic) || (is_on(apic) && deliverable(apic) >= 0));
}

static void
nmi(struct lapic *apic)
{
	line_set(&apic->nmi, true);
	line_set(&apic->nmi, false);
}

/* Ask for VECTOR; lapic_drive() comes later. */
static void
request(struct lapic *apic, unsigned vector, bool level)
{
	bit_set(apic->s.irr, vector, true);
	bit_set(apic->s.tmr, vector, level);
}

void
lapic_error(struct lapic *apic, uint32_t bit)
{
	uint32_t lvt = apic->s.lvt[LAPIC_LVT_ERROR];
	bool news = !(apic->s.errors & bit);

	apic->s.errors |= bit;
	if (!news || (lvt & LVT_MASKED) || !is_on(apic))
		return;
	if ((lvt & LVT_VECTOR) >= VECTOR_MIN)
		request(apic, lvt & LVT_VECTOR, false);
	else
		apic->s.errors |= ESR_RECEIVE_ILLEGAL;
}

void
lapic_accept(struct lapic *apic, unsigned vector, bool level)
{
	if (!is_on(apic))
		return;
	if (vector < VECTOR_MIN)
		lapic_error(apic, ESR_RECEIVE_ILLEGAL);
	else
		request(apic, vector, level);
}

/* --- LINT0, LINT1 --------------------------------------------------------------------------------- */

/* A level-triggered pin that is up and not being served asks (10.5.1, "Remote IRR"). */
static void
level_request(struct lapic *apic, unsigned n)
{
	uint32_t *lvt = &apic->s.lvt[LAPIC_LVT_LINT0 + n];

	if (!apic->s.pin[n] || !is_on(apic) ||
	    (*lvt & (LVT_MASKED | LVT_MODE | LVT_LEVEL | LVT_REMOTE_IRR)) != LVT_LEVEL)
		return;
	if ((*lvt & LVT_VECTOR) >= VECTOR_MIN)
		*lvt |= LVT_REMOTE_IRR;
	lapic_accept(apic, *lvt & LVT_VECTOR, true);
}

/* The level of a pin; the polarity bit is not looked at, lines are up when they ask. */
static void
pin_edge(struct lapic *apic, unsigned n)
{
	uint32_t lvt = apic->s.lvt[LAPIC_LVT_LINT0 + n];

	if (!is_on(apic)) {
		if (n == LAPIC_LINT1)
			nmi(apic);
	} else if (lvt & LVT_MASKED)
		return;
	else if ((lvt & LVT_MODE) == MODE_NMI)
		nmi(apic);
	else if ((lvt & LVT_MODE) == MODE_FIXED && !(lvt & LVT_LEVEL))
		lapic_accept(apic, lvt & LVT_VECTOR, false);
}

void
lapic_line_set(void *opaque, int number, bool level)
{
	struct lapic *apic = opaque;
	unsigned n = number == LAPIC_LINT1;
	bool rises = level && !apic->s.pin[n];

	apic->s.pin[n] = level;
	if (rises)
		pin_edge(apic, n);
	level_request(apic, n);
	lapic_drive(apic);
}

int
lapic_ack(struct lapic *apic)
{
	int vector = is_on(apic) ? deliverable(apic) : -1;

	if (vector >= 0) {
		bit_set(apic->s.irr, (unsigned)vector, false);
		bit_set(apic->s.isr, (unsigned)vector, true);
	} else if (ext_int(apic) && apic->ext_ack != NULL)
		vector = apic->ext_ack(apic->opaque);
	else
		vector = (int)(apic->s.svr & LVT_VECTOR); /* 10.9 "Spurious Interrupt" */
	lapic_drive(apic);
	return (vector);
}

bool
lapic_interrupt(struct lapic *apic, unsigned vector)
{
	if (!is_on(apic) || vector < VECTOR_MIN || vector > 255)
		return (false);
	request(apic, vector, false);
	lapic_drive(apic);
	return (true);
}

/* The highest interrupt in service is done (10.8.5). */
static void
end_of_interrupt(struct lapic *apic)
{
	int vector = bit_highest(apic->s.isr);

	if (vector < 0)
		return;
	bit_set(apic->s.isr, (unsigned)vector, false);
	for (unsigned n = 0; n < 2; n++) {
		uint32_t *lvt = &apic->s.lvt[LAPIC_LVT_LINT0 + n];

		if (!(*lvt & LVT_REMOTE_IRR) || (*lvt & LVT_VECTOR) != (uint32_t)vector)
			continue;
		*lvt &= ~LVT_REMOTE_IRR;
		level_request(apic, n);
	}
}

/* --- interprocessor interrupts -------------------------------------------------------------------- */

/* Is this processor meant by the logical destination DEST (10.6.2.2, 10.12.10.2)? */
static bool
logical_match(const struct lapic *apic, uint32_t dest)
{
	uint32_t ldr = apic->s.ldr;

	if (lapic_is_x2apic(apic))
		return (dest == UINT32_MAX || (dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff)));
	ldr >>= 24;
	if (apic->s.dfr >> 28 == DFR_FLAT || dest == 0xff)
		return (dest & ldr);
	return (((dest ^ ldr) & 0xf0) == 0 && (dest & ldr & 0x0f));
}

static bool
reaches_me(const struct lapic *apic, uint32_t low, uint32_t dest)
{
	if ((low & ICR_SHORTHAND) != 0)
		return ((low & ICR_SHORTHAND) == ICR_SELF || (low & ICR_SHORTHAND) == ICR_ALL);
	if (low & ICR_LOGICAL)
		return (logical_match(apic, dest));
	if (lapic_is_x2apic(apic))
		return (dest == apic->s.id || dest == UINT32_MAX);
	return (dest == apic->s.id >> 24 || dest == 0xff);
}

/* Send what ICR says (10.6.1). INIT and start-up to this processor have no effect. */
static void
send(struct lapic *apic)
{
	uint32_t low = (uint32_t)apic->s.icr, dest = (uint32_t)(apic->s.icr >> 32);
	uint32_t mode = low & LVT_MODE;

	if (!lapic_is_x2apic(apic))
		dest >>= 24;
	if ((mode == MODE_FIXED || mode == MODE_LOWEST) && (low & LVT_VECTOR) < VECTOR_MIN) {
		lapic_error(apic, ESR_SEND_ILLEGAL);
		return;
	}
	if (!reaches_me(apic, low, dest))
		return;
	if (mode == MODE_FIXED || mode == MODE_LOWEST)
		lapic_accept(apic, low & LVT_VECTOR, false);
	else if (mode == MODE_NMI && (low & ICR_SHORTHAND) == 0)
		nmi(apic);
}

/* --- the timer (10.5.4) ------------------------------------------------------------------------------ */

/* What the input clock is divided by: figure 10-10. */
static uint64_t
divisor(const struct lapic *apic)
{
	unsigned code = (apic->s.divide & 3) | (apic->s.divide >> 1 & 4);

	return (1ull << ((code + 1) & 7));
}

uint32_t
lapic_timer_mode(const struct lapic *apic)
{
	return (apic->s.lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE);
}

static uint64_t
tsc_offset(const struct lapic *apic)
{
	return (apic->tsc_offset != NULL ? apic->tsc_offset(apic->opaque) : 0);
}

void
lapic_timer_plan(struct lapic *apic)
{
	uint64_t at = CLOCK_NEVER;

	if (lapic_timer_mode(apic) == TIMER_DEADLINE) {
		if (apic->s.tsc_deadline != 0) {
			at = apic->s.tsc_deadline - tsc_offset(apic);
			if ((int64_t)at < 0) /* before power-on: past */
				at = 0;
		}
	} else if (apic->s.timer_count != 0)
		at = apic->s.timer_from + apic->s.timer_count * divisor(apic);
	timer_arm(apic->clock, &apic->timer, at);
}

/* The count now. A periodic timer whose end has passed unseen has begun again. */
static uint32_t
timer_current(const struct lapic *apic)
{
	uint64_t ticks;

	if (lapic_timer_mode(apic) == TIMER_DEADLINE || apic->s.timer_count == 0)
		return (0);
	ticks = (clock_now(apic->clock) - apic->s.timer_from) / divisor(apic);
	if (ticks < apic->s.timer_count)
		return ((uint32_t)(apic->s.timer_count - ticks));
	if (!(lapic_timer_mode(apic) & TIMER_PERIODIC) || apic->s.timer_initial == 0)
		return (0);
	ticks -= apic->s.timer_count;
	return ((uint32_t)(apic->s.timer_initial - ticks % apic->s.timer_initial));
}

/* Begin to count from COUNT at this instant. */
static void
timer_start(struct lapic *apic, uint32_t count)
{
	apic->s.timer_count = count;
	apic->s.timer_from = clock_now(apic->clock);
	lapic_timer_plan(apic);
}

/* The next period after the one that ended at guest time END; those missed are left out. */
static void
timer_reload(struct lapic *apic, uint64_t end)
{
	uint64_t period = apic->s.timer_initial * divisor(apic), now = clock_now(apic->clock);

	apic->s.timer_count = apic->s.timer_initial;
	apic->s.timer_from = end;
	if (period != 0 && now > end)
		apic->s.timer_from += (now - end) / period * period;
}

static void
timer_fired(void *opaque, uint64_t deadline)
{
	struct lapic *apic = opaque;
	uint32_t lvt = apic->s.lvt[LAPIC_LVT_TIMER];

	if (lapic_timer_mode(apic) == TIMER_DEADLINE)
		apic->s.tsc_deadline = 0;
	else if (lvt & TIMER_PERIODIC)
		timer_reload(apic, deadline);
	else
		apic->s.timer_count = 0;
	lapic_timer_plan(apic);
	if (!(lvt & LVT_MASKED))
		lapic_accept(apic, lvt & LVT_VECTOR, false);
	lapic_drive(apic);
}

/* A new LVT entry of the timer: going to or from TSC-deadline mode disarms it (10.5.4.1). */
static void
timer_set_lvt(struct lapic *apic, uint32_t value)
{
	uint32_t count = timer_current(apic), changed = apic->s.lvt[LAPIC_LVT_TIMER] ^ value;

	apic->s.lvt[LAPIC_LVT_TIMER] = value;
	if (!(changed & LVT_TIMER_MODE))
		return;
	if (changed & TIMER_DEADLINE) {
		apic->s.tsc_deadline = 0;
		count = 0;
	}
	timer_start(apic, count);
}

static void
timer_set_divide(struct lapic *apic, uint32_t value)
{
	uint32_t count = timer_current(apic);

	apic->s.divide = value & 0xb;
	timer_start(apic, count);
}

/* --- registers ---------------------------------------------------------------------------------------- */

static void
write_lvt(struct lapic *apic, unsigned n, uint32_t value)
{
	uint32_t *lvt = &apic->s.lvt[n];

	value = (value & lapic_lvt_writable[n]) | (*lvt & LVT_REMOTE_IRR);
	if (!(apic->s.svr & SVR_ON))
		value |= LVT_MASKED; /* 10.4.7.2 */
	if (n == LAPIC_LVT_TIMER) {
		timer_set_lvt(apic, value);
		return;
	}
	if ((value & (LVT_LEVEL | LVT_MODE)) != LVT_LEVEL)
		value &= ~LVT_REMOTE_IRR;
	*lvt = value;
	if (n == LAPIC_LVT_LINT0 || n == LAPIC_LVT_LINT1)
		level_request(apic, n - LAPIC_LVT_LINT0);
}

/* Switching the APIC off masks all of the LVT (10.4.7.2). */
static void
write_svr(struct lapic *apic, uint32_t value)
{
	apic->s.svr = value & SVR_WRITABLE;
	if (apic->s.svr & SVR_ON)
		return;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		apic->s.lvt[i] |= LVT_MASKED;
}

static void
write_tpr(struct lapic *apic, uint32_t value)
{
	bool changes = (apic->s.tpr ^ value) & 0xf0;

	apic->s.tpr = value & 0xff;
	if (changes && apic->cr8 != NULL)
		apic->cr8(apic->opaque, apic->s.tpr >> 4);
}

void
lapic_set_icr(struct lapic *apic, uint32_t value)
{
	apic->s.icr = (apic->s.icr & ~0xffffffffull) | (value & ICR_WRITABLE);
	send(apic);
}

uint32_t
lapic_register(struct lapic *apic, unsigned offset, bool *known)
{
	const struct lapic_state *s = &apic->s;

	*known = true;
	if (offset >= REG_ISR && offset < REG_TMR)
		return (s->isr[(offset - REG_ISR) / 16]);
	if (offset >= REG_TMR && offset < REG_IRR)
		return (s->tmr[(offset - REG_TMR) / 16]);
	if (offset >= REG_IRR && offset < REG_ESR)
		return (s->irr[(offset - REG_IRR) / 16]);
	if (offset >= REG_LVT && offset < REG_TIMER_INITIAL)
		return (s->lvt[(offset - REG_LVT) / 16]);
	switch (offset) {
	case REG_ID:
		return (s->id);
	case REG_VERSION:
		return (VERSION);
	case REG_TPR:
		return (s->tpr);
	case REG_APR: /* arbitration ended with the Pentium 4, as did remote reads */
	case REG_RRD:
	case REG_EOI:
		return (0);
	case REG_PPR:
		return (processor_priority(apic));
	case REG_LDR:
		return (s->ldr);
	case REG_DFR:
		return (s->dfr);
	case REG_SVR:
		return (s->svr);
	case REG_ESR:
		return (s->esr);
	case REG_ICR:
		return ((uint32_t)s->icr);
	case REG_ICR_HIGH:
		return ((uint32_t)(s->icr >> 32));
	case REG_TIMER_INITIAL:
		return (s->timer_initial);
	case REG_TIMER_CURRENT:
		return (timer_current(apic));
	case REG_TIMER_DIVIDE:
		return (s->divide);
	default:
		*known = false;
		return (0);
	}
}

bool
lapic_set_register(struct lapic *apic, unsigned offset, uint32_t value)
{
	struct lapic_state *s = &apic->s;

	if (offset >= REG_LVT && offset < REG_TIMER_INITIAL) {
		write_lvt(apic, (offset - REG_LVT) / 16, value);
		return (true);
	}
	switch (offset) {
	case REG_ID:
		s->id = value & 0xff000000;
		break;
	case REG_TPR:
		write_tpr(apic, value);
		break;
	case REG_EOI:
		end_of_interrupt(apic);
		break;
	case REG_LDR:
		s->ldr = value & 0xff000000;
		break;
	case REG_DFR:
		s->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(apic, value);
		break;
	case REG_ESR: /* a write brings the errors since the last one to light */
		s->esr = s->errors;
		s->errors = 0;
		break;
	case REG_ICR:
		lapic_set_icr(apic, value);
		break;
	case REG_ICR_HIGH:
		s->icr = (s->icr & 0xffffffff) | (uint64_t)(value & 0xff000000) << 32;
		break;
	case REG_TIMER_INITIAL:
		if (lapic_timer_mode(apic) == TIMER_DEADLINE)
			break;
		s->timer_initial = value;
		timer_start(apic, value);
		break;
	case REG_TIMER_DIVIDE:
		timer_set_divide(apic, value);
		break;
	default:
		return (false);
	}
	return (true);
}

uint32_t
lapic_read(struct lapic *apic, unsigned offset)
{
	bool known;
	uint32_t value = lapic_register(apic, offset, &known);

	if (!known) {
		lapic_error(apic, ESR_ILLEGAL_REGISTER);
		lapic_drive(apic);
	}
	return (value);
}

void
lapic_write(struct lapic *apic, unsigned offset, uint32_t value)
{
	bool known;

	if (!lapic_set_register(apic, offset, value)) {
		lapic_register(apic, offset, &known);
		if (!known)
			lapic_error(apic, ESR_ILLEGAL_REGISTER);
	}
	lapic_drive(apic);
}

/* Registers are 4 bytes at the start of 16; other accesses are undefined (10.4.1). */
static uint64_t
mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)size;
	if (offset % 16 >= 4)
		return (0);
	return (lapic_read(opaque, (unsigned)offset & ~15u) >> offset % 16 * 8);
}

static void
mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	if (offset % 16 == 0 && size >= 4)
		lapic_write(opaque, (unsigned)offset, (uint32_t)value);
}

const struct mmio_ops lapic_mmio = {.read = mmio_read, .write = mmio_write};

/* --- life -------------------------------------------------------------------------------------------------- */

/* Tell where the page is. */
static void
place(struct lapic *apic)
{
	const uint64_t mode = APIC_BASE_EN | APIC_BASE_EXTD;

	if (apic->moved != NULL)
		apic->moved(
		    apic->opaque, apic->base & ~0xfffull, (apic->base & mode) == APIC_BASE_EN);
}

static void
clear(struct lapic *apic)
{
	uint8_t lint0 = apic->s.pin[LAPIC_LINT0], lint1 = apic->s.pin[LAPIC_LINT1];

	timer_cancel(apic->clock, &apic->timer);
	write_tpr(apic, 0);
	apic->s = (struct lapic_state){.dfr = UINT32_MAX, .svr = 0xff, .pin = {lint0, lint1}};
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		apic->s.lvt[i] = LVT_MASKED;
}

bool
lapic_set_base(struct lapic *apic, uint64_t value)
{
	const uint64_t mode = APIC_BASE_EN | APIC_BASE_EXTD;
	uint64_t from = apic->base & mode, to = value & mode;

	if ((value & BASE_RESERVED) || to == APIC_BASE_EXTD ||
	    (from == mode && to == APIC_BASE_EN) || (from == 0 && to == mode))
		return (false);
	apic->base = value;
	if (from != 0 && to == 0)
		clear(apic); /* 10.4.3: comes back as after power-up */
	if (from == APIC_BASE_EN && to == mode) {
		/* The ID becomes 32 bits wide, and with it the logical one (10.12.10.2). */
		apic->s.id >>= 24;
		apic->s.ldr = (apic->s.id >> 4) << 16 | 1u << (apic->s.id & 15);
	}
	place(apic);
	lapic_drive(apic);
	return (true);
}

void
lapic_reset(struct lapic *apic, uint64_t base)
{
	apic->base = base;
	clear(apic);
	place(apic);
	lapic_drive(apic);
}

void
lapic_init(struct lapic *apic, struct clock *clock)
{
	memset(apic, 0, sizeof(*apic));
	apic->clock = clock;
	timer_init(&apic->timer, timer_fired, apic);
}

/* Vectors below 16 cannot be asked for; registers have no bits that cannot be written. */
static int
restored(void *owner)
{
	struct lapic *apic = owner;
	struct lapic_state *s = &apic->s;
	uint64_t now = clock_now(apic->clock);

	s->irr[0] &= 0xffff0000;
	s->isr[0] &= 0xffff0000;
	s->tpr &= 0xff;
	s->svr &= SVR_WRITABLE;
	s->divide &= 0xb;
	if (s->timer_from > now)
		s->timer_from = now;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		s->lvt[i] &= lapic_lvt_writable[i] | LVT_REMOTE_IRR;
	lapic_timer_plan(apic);
	lapic_drive(apic);
	return (0);
}

struct section
lapic_section(struct lapic *apic)
{
	return ((struct section){
	    .id = "lapic",
	    .version = 1,
	    .size = sizeof(apic->s),
	    .data = &apic->s,
	    .restored = restored,
	    .owner = apic,
	});
}
