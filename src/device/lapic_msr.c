/* The local APIC as its processor sees it beside the page: MSRs and CR8. SDM vol. 3A, 10.12. */
#include "device/lapic_parts.h"

#include "arch/x86.h"

/* Reading OFFSET as an MSR is allowed. */
static bool
x2apic_readable(unsigned offset)
{
	static const uint16_t none[] = {
	    REG_APR, REG_EOI, REG_RRD, REG_DFR, REG_ICR_HIGH, REG_SELF_IPI};

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (none[i] == offset)
			return (false);
	return (true);
}

/* The bits of the MSR for OFFSET that may be 1 when written; false: it cannot be written. */
static bool
x2apic_writable(unsigned offset, uint64_t *bits)
{
	static const struct {
		uint16_t offset;
		uint64_t bits;
	} table[] = {
	    {REG_TPR, 0xff},
	    {REG_EOI, 0},
	    {REG_SVR, SVR_WRITABLE},
	    {REG_ESR, 0},
	    {REG_ICR, 0xffffffff00000000 | ICR_WRITABLE},
	    {REG_TIMER_INITIAL, 0xffffffff},
	    {REG_TIMER_DIVIDE, 0xb},
	    {REG_SELF_IPI, 0xff},
	};

	if (offset >= REG_LVT && offset < REG_TIMER_INITIAL) {
		/* Status bits are ignored. */
		*bits = lapic_lvt_writable[(offset - REG_LVT) / 16] | 0x1000 | LVT_REMOTE_IRR;
		return (true);
	}
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].offset != offset)
			continue;
		*bits = table[i].bits;
		return (true);
	}
	return (false);
}

static bool
x2apic_read(struct lapic *apic, unsigned offset, uint64_t *value)
{
	bool known;

	if (!lapic_is_x2apic(apic) || !x2apic_readable(offset))
		return (false);
	*value = offset == REG_ICR ? apic->s.icr : lapic_register(apic, offset, &known);
	return (offset == REG_ICR || known);
}

static bool
x2apic_write(struct lapic *apic, unsigned offset, uint64_t value)
{
	uint64_t bits;

	if (!lapic_is_x2apic(apic) || !x2apic_writable(offset, &bits) || (value & ~bits))
		return (false);
	if (offset == REG_ICR) {
		apic->s.icr = value & ~0xffffffffull;
		lapic_set_icr(apic, (uint32_t)value);
	} else if (offset == REG_SELF_IPI) {
		if (value < VECTOR_MIN)
			lapic_error(apic, ESR_SEND_ILLEGAL);
		else
			lapic_accept(apic, (unsigned)value, false);
	} else
		lapic_set_register(apic, offset, (uint32_t)value);
	lapic_drive(apic);
	return (true);
}

static bool
read_msr(void *opaque, uint32_t number, uint64_t *value)
{
	struct lapic *apic = opaque;

	if (number == MSR_APIC_BASE)
		*value = apic->base;
	else if (number == MSR_TSC_DEADLINE)
		*value = apic->s.tsc_deadline;
	else
		return (number - MSR_X2APIC < 256 &&
		    x2apic_read(apic, (number - MSR_X2APIC) * 16, value));
	return (true);
}

/* Writes outside TSC-deadline mode are ignored (10.5.4.1). */
static void
write_deadline(struct lapic *apic, uint64_t value)
{
	if (lapic_timer_mode(apic) != TIMER_DEADLINE)
		return;
	apic->s.tsc_deadline = value;
	lapic_timer_plan(apic);
}

static bool
write_msr(void *opaque, uint32_t number, uint64_t value)
{
	struct lapic *apic = opaque;

	if (number == MSR_APIC_BASE)
		return (lapic_set_base(apic, value));
	if (number == MSR_TSC_DEADLINE) {
		write_deadline(apic, value);
		return (true);
	}
	return (number - MSR_X2APIC < 256 && x2apic_write(apic, (number - MSR_X2APIC) * 16, value));
}

static void
write_cr8(void *opaque, uint64_t value)
{
	struct lapic *apic = opaque;

	apic->s.tpr = (uint32_t)(value & 15) << 4;
	lapic_drive(apic);
}

static void
tsc_changed(void *opaque)
{
	struct lapic *apic = opaque;

	if (lapic_timer_mode(apic) == TIMER_DEADLINE)
		lapic_timer_plan(apic);
}

struct apic_port
lapic_port(struct lapic *apic)
{
	return ((struct apic_port){
	    .read_msr = read_msr,
	    .write_msr = write_msr,
	    .write_cr8 = write_cr8,
	    .tsc_changed = tsc_changed,
	    .opaque = apic,
	});
}
