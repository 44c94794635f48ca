/* The local APIC: SDM vol. 3A, chapter 10, section by section. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "arch/x86.h"
#include "device/lapic.h"
#include "fake.h"

#define ON 0x100u
#define BASE (LAPIC_BASE | APIC_BASE_BSP | APIC_BASE_EN)
#define X2 (BASE | APIC_BASE_EXTD)
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define EXTINT 0x700u
#define NMI 0x400u
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u

/* Offsets of registers: table 10-1. */
enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};

static struct fake_clock clk;
static struct fake_line intr, nmi;
static struct lapic apic;
static uint64_t page, cr8, offset;
static bool visible;
static unsigned inta;

static int
ext_ack(void *opaque)
{
	(void)opaque;
	inta++;
	return (0x08);
}

static void
moved(void *opaque, uint64_t base, bool there)
{
	(void)opaque;
	page = base;
	visible = there;
}

static void
tpr_changed(void *opaque, uint64_t value)
{
	(void)opaque;
	cr8 = value;
}

static uint64_t
tsc_offset(void *opaque)
{
	(void)opaque;
	return (offset);
}

/* As after RESET. */
static int
setup_off(void **state)
{
	(void)state;
	fake_clock_init(&clk);
	lapic_init(&apic, &clk.clock);
	apic.intr = fake_line_connect(&intr);
	apic.nmi = fake_line_connect(&nmi);
	apic.ext_ack = ext_ack;
	apic.moved = moved;
	apic.cr8 = tpr_changed;
	apic.tsc_offset = tsc_offset;
	inta = 0;
	cr8 = offset = 0;
	lapic_reset(&apic, BASE);
	return (0);
}

/* The same, and switched on. */
static int
setup(void **state)
{
	setup_off(state);
	lapic_write(&apic, SVR, ON | 0xff);
	return (0);
}

static uint32_t
reg(unsigned at)
{
	return (lapic_read(&apic, at));
}

static void
set(unsigned at, uint32_t value)
{
	lapic_write(&apic, at, value);
}

static bool
bit(unsigned at, unsigned vector)
{
	return (reg(at + vector / 32 * 16) >> vector % 32 & 1);
}

static bool
msr_write(uint32_t number, uint64_t value)
{
	const struct apic_port port = lapic_port(&apic);

	return (port.write_msr(port.opaque, number, value));
}

static uint64_t
msr(uint32_t number)
{
	const struct apic_port port = lapic_port(&apic);
	uint64_t value = 0;

	assert_true(port.read_msr(port.opaque, number, &value));
	return (value);
}

static bool
msr_readable(uint32_t number)
{
	const struct apic_port port = lapic_port(&apic);
	uint64_t value;

	return (port.read_msr(port.opaque, number, &value));
}

/* 10.4.7.1 */
static void
after_reset(void **state)
{
	(void)state;
	assert_int_equal(reg(ID), 0);
	assert_int_equal(reg(VERSION), 0x00050014);
	assert_int_equal(reg(TPR), 0);
	assert_int_equal(reg(DFR), 0xffffffff);
	assert_int_equal(reg(LDR), 0);
	assert_int_equal(reg(SVR), 0xff);
	for (unsigned lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 16)
		assert_int_equal(reg(lvt), MASKED);
	for (unsigned at = ISR; at < ESR; at += 16)
		assert_int_equal(reg(at), 0);
	assert_int_equal(reg(INITIAL) | reg(CURRENT) | reg(DIVIDE) | reg(ICR), 0);
	assert_true(visible);
	assert_int_equal(page, LAPIC_BASE);
}

/* Off, the pins are the processor's; on, LINT0 must be ExtINT (virtual wire). */
static void
the_8259_passes(void **state)
{
	(void)state;
	lapic_line_set(&apic, LAPIC_LINT0, true);
	assert_true(intr.level);
	assert_int_equal(lapic_ack(&apic), 0x08);
	lapic_line_set(&apic, LAPIC_LINT1, true);
	assert_int_equal(nmi.rises, 1);
	lapic_line_set(&apic, LAPIC_LINT1, false);
	set(SVR, ON | 0xff);
	assert_false(intr.level); /* masked */
	lapic_line_set(&apic, LAPIC_LINT1, true);
	assert_int_equal(nmi.rises, 1);
	set(LVT_LINT0, EXTINT);
	assert_true(intr.level);
	assert_int_equal(lapic_ack(&apic), 0x08);
	assert_int_equal(inta, 2);
	assert_int_equal(reg(ISR), 0); /* the APIC has no part in it */
	lapic_line_set(&apic, LAPIC_LINT0, false);
	assert_false(intr.level);
	lapic_line_set(&apic, LAPIC_LINT1, false);
	set(LVT_LINT1, NMI);
	lapic_line_set(&apic, LAPIC_LINT1, true);
	assert_int_equal(nmi.rises, 2);
}

/* 10.8.3: priority classes, PPR, nesting, EOI. */
static void
priorities(void **state)
{
	(void)state;
	assert_true(lapic_interrupt(&apic, 0x31));
	assert_true(lapic_interrupt(&apic, 0x52));
	assert_true(intr.level && bit(IRR, 0x31) && bit(IRR, 0x52));
	assert_int_equal(lapic_ack(&apic), 0x52);
	assert_true(bit(ISR, 0x52) && !bit(IRR, 0x52));
	assert_int_equal(reg(PPR), 0x50);
	assert_false(intr.level); /* 31h waits */
	lapic_interrupt(&apic, 0x5f);
	assert_false(intr.level); /* the same class */
	lapic_interrupt(&apic, 0x60);
	assert_true(intr.level);
	assert_int_equal(lapic_ack(&apic), 0x60);
	set(EOI, 0);
	assert_false(bit(ISR, 0x60));
	set(EOI, 0);
	assert_int_equal(lapic_ack(&apic), 0x5f);
	set(EOI, 0);
	assert_int_equal(lapic_ack(&apic), 0x31);
	set(EOI, 0);
	assert_int_equal(reg(PPR), 0);
	set(EOI, 0); /* nothing in service: nothing happens */
	assert_false(intr.level);
}

/* 10.8.6: CR8 is TPR's upper half. */
static void
task_priority(void **state)
{
	const struct apic_port port = lapic_port(&apic);

	(void)state;
	set(TPR, 0x3a);
	assert_int_equal(reg(TPR), 0x3a);
	assert_int_equal(reg(PPR), 0x3a);
	assert_int_equal(cr8, 3);
	lapic_interrupt(&apic, 0x3f);
	assert_false(intr.level);
	port.write_cr8(port.opaque, 2);
	assert_int_equal(reg(TPR), 0x20);
	assert_true(intr.level);
	port.write_cr8(port.opaque, 15);
	assert_false(intr.level);
	assert_int_equal(lapic_ack(&apic), 0xff); /* 10.9: an INTA that comes too late */
	assert_int_equal(reg(ISR + 0x70), 0);
}

/* 10.4.7.2 */
static void
switched_off(void **state)
{
	(void)state;
	set(LVT_TIMER, 0x40);
	lapic_interrupt(&apic, 0x50);
	set(SVR, 0xff);
	assert_false(intr.level);
	assert_true(bit(IRR, 0x50)); /* held */
	assert_int_equal(reg(LVT_TIMER), MASKED | 0x40);
	set(LVT_TIMER, 0x40);
	assert_int_equal(reg(LVT_TIMER), MASKED | 0x40);
	assert_false(lapic_interrupt(&apic, 0x60));
	set(SVR, ON | 0xff);
	assert_true(intr.level);
	assert_int_equal(lapic_ack(&apic), 0x50);
}

/* 10.6.1, 10.6.2: who is meant. */
static void
interrupts_to_oneself(void **state)
{
	(void)state;
	set(ICR, 0x40051); /* self */
	assert_int_equal(lapic_ack(&apic), 0x51);
	set(EOI, 0);
	set(ICR, 0x80052); /* all */
	assert_int_equal(lapic_ack(&apic), 0x52);
	set(EOI, 0);
	set(ICR, 0xc0053); /* all others: nobody */
	assert_false(intr.level);
	set(ICR_HIGH, 0);
	set(ICR, 0x00054); /* physical 0 */
	assert_int_equal(lapic_ack(&apic), 0x54);
	set(EOI, 0);
	set(ICR_HIGH, 0x01000000);
	set(ICR, 0x00055);
	assert_false(intr.level);
	assert_int_equal(reg(ICR), 0x55); /* never busy */
	assert_int_equal(reg(ICR_HIGH), 0x01000000);
	set(ICR_HIGH, 0);
	set(ICR, 0x04400); /* NMI */
	assert_int_equal(nmi.rises, 1);
	set(ICR, 0x04500); /* INIT, INIT de-assert, start-up */
	set(ICR, 0x08500);
	set(ICR, 0x04608);
	assert_false(intr.level);
	assert_int_equal(nmi.rises, 1);
}

static void
logical_destinations(void **state)
{
	(void)state;
	set(LDR, 0x12345678);
	assert_int_equal(reg(LDR), 0x12000000);
	set(ICR_HIGH, 0x02000000);
	set(ICR, 0x851); /* flat: a bit in common */
	assert_int_equal(lapic_ack(&apic), 0x51);
	set(EOI, 0);
	set(ICR_HIGH, 0x04000000);
	set(ICR, 0x852);
	assert_false(intr.level);
	set(DFR, 0x00000000);
	assert_int_equal(reg(DFR), 0x0fffffff); /* cluster */
	set(ICR_HIGH, 0x22000000);
	set(ICR, 0x853);
	assert_false(intr.level);
	set(ICR_HIGH, 0x13000000);
	set(ICR, 0x954); /* lowest priority: there is but one */
	assert_int_equal(lapic_ack(&apic), 0x54);
}

/* 10.5.3 */
static void
errors(void **state)
{
	(void)state;
	set(LVT_ERROR, 0xfe);
	set(ICR, 0x4000f);	       /* illegal vector */
	assert_int_equal(reg(ESR), 0); /* not before it is written */
	assert_int_equal(lapic_ack(&apic), 0xfe);
	set(EOI, 0);
	set(ESR, 0);
	assert_int_equal(reg(ESR), 0x20);
	set(ESR, 0);
	assert_int_equal(reg(ESR), 0);
	reg(0x40); /* no such register */
	set(ESR, 0);
	assert_int_equal(reg(ESR), 0x80);
	set(LVT_TIMER, 5); /* a vector that cannot be received */
	set(INITIAL, 1);
	fake_clock_run(&clk, 10);
	set(ESR, 0);
	assert_int_equal(reg(ESR), 0x40);
}

/* 10.5.4: the divider, one-shot. */
static void
timer_counts(void **state)
{
	static const struct {
		uint32_t code, by;
	} divides[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	(void)state;
	set(LVT_TIMER, 0x40);
	for (unsigned i = 0; i < 8; i++) {
		set(DIVIDE, divides[i].code);
		set(INITIAL, 1000);
		assert_int_equal(reg(CURRENT), 1000);
		fake_clock_run(&clk, 400 * divides[i].by);
		assert_int_equal(reg(CURRENT), 600);
		fake_clock_run(&clk, 599 * divides[i].by);
		assert_false(intr.level);
		fake_clock_run(&clk, divides[i].by);
		assert_int_equal(reg(CURRENT), 0);
		assert_true(intr.level);
		assert_int_equal(lapic_ack(&apic), 0x40);
		set(EOI, 0);
		fake_clock_run(&clk, 10000 * divides[i].by);
		assert_false(intr.level);
	}
	set(INITIAL, 1000);
	set(INITIAL, 0); /* stops it */
	fake_clock_run(&clk, 5000);
	assert_false(intr.level);
	set(LVT_TIMER, MASKED | 0x40);
	set(INITIAL, 10);
	fake_clock_run(&clk, 20);
	assert_false(intr.level || bit(IRR, 0x40)); /* masked interrupts are lost */
}

static void
timer_periodic(void **state)
{
	(void)state;
	set(DIVIDE, 11);
	set(LVT_TIMER, PERIODIC | 0x40);
	set(INITIAL, 1000);
	for (unsigned i = 0; i < 3; i++) {
		fake_clock_run(&clk, 999);
		assert_false(intr.level);
		fake_clock_run(&clk, 1);
		assert_int_equal(lapic_ack(&apic), 0x40);
		set(EOI, 0);
		assert_int_equal(reg(CURRENT), 1000);
	}
	/* Periods that nobody saw are left out, and the beat is kept. */
	fake_clock_jump(&clk, clk.now + 10400);
	assert_int_equal(lapic_ack(&apic), 0x40);
	set(EOI, 0);
	assert_false(intr.level);
	assert_int_equal(reg(CURRENT), 600);
	/* To one-shot: the count goes on, and ends. */
	set(LVT_TIMER, 0x40);
	assert_int_equal(reg(CURRENT), 600);
	fake_clock_run(&clk, 600);
	assert_int_equal(lapic_ack(&apic), 0x40);
	set(EOI, 0);
	fake_clock_run(&clk, 5000);
	assert_false(intr.level);
	/* And the stopped one does not start by itself. */
	set(LVT_TIMER, PERIODIC | 0x40);
	assert_int_equal(reg(CURRENT), 0);
	/* Another divider: the count goes on from where it is. */
	set(INITIAL, 1000);
	fake_clock_run(&clk, 500);
	set(DIVIDE, 0);
	assert_int_equal(reg(CURRENT), 500);
	fake_clock_run(&clk, 998);
	assert_int_equal(reg(CURRENT), 1);
}

/* 10.5.4.1 */
static void
timer_deadline(void **state)
{
	(void)state;
	offset = 5000;
	assert_true(msr_write(MSR_TSC_DEADLINE, 6000)); /* ignored in another mode */
	assert_int_equal(msr(MSR_TSC_DEADLINE), 0);
	set(LVT_TIMER, DEADLINE | 0x40);
	set(INITIAL, 10);
	assert_int_equal(reg(INITIAL) | reg(CURRENT), 0);
	msr_write(MSR_TSC_DEADLINE, 6000);
	assert_int_equal(msr(MSR_TSC_DEADLINE), 6000);
	fake_clock_run(&clk, 999);
	assert_false(intr.level);
	fake_clock_run(&clk, 1);
	assert_int_equal(lapic_ack(&apic), 0x40);
	set(EOI, 0);
	assert_int_equal(msr(MSR_TSC_DEADLINE), 0);
	msr_write(MSR_TSC_DEADLINE, 100); /* past */
	fake_clock_run(&clk, 0);
	assert_int_equal(lapic_ack(&apic), 0x40);
	set(EOI, 0);
	msr_write(MSR_TSC_DEADLINE, 8000);
	offset = 6500; /* the counter is set forward */
	lapic_port(&apic).tsc_changed(&apic);
	fake_clock_run(&clk, 500);
	assert_true(intr.level);
	lapic_ack(&apic);
	set(EOI, 0);
	msr_write(MSR_TSC_DEADLINE, 90000);
	set(LVT_TIMER, 0x40); /* disarms */
	fake_clock_run(&clk, 100000);
	assert_false(intr.level);
	set(LVT_TIMER, DEADLINE | 0x40);
	assert_int_equal(msr(MSR_TSC_DEADLINE), 0);
}

/* 10.5.1: LINT0 as an interrupt of its own. */
static void
local_pins(void **state)
{
	(void)state;
	set(LVT_LINT0, 0x45);
	lapic_line_set(&apic, LAPIC_LINT0, true);
	lapic_line_set(&apic, LAPIC_LINT0, true);
	assert_int_equal(lapic_ack(&apic), 0x45);
	assert_false(bit(TMR, 0x45));
	set(EOI, 0);
	assert_false(intr.level); /* an edge, not a level */
	lapic_line_set(&apic, LAPIC_LINT0, false);
	set(LVT_LINT0, LEVEL | 0x46);
	lapic_line_set(&apic, LAPIC_LINT0, true);
	assert_int_equal(reg(LVT_LINT0), LEVEL | REMOTE_IRR | 0x46);
	assert_int_equal(lapic_ack(&apic), 0x46);
	assert_true(bit(TMR, 0x46));
	assert_false(intr.level);
	set(EOI, 0); /* still up: again */
	assert_int_equal(lapic_ack(&apic), 0x46);
	lapic_line_set(&apic, LAPIC_LINT0, false);
	set(EOI, 0);
	assert_int_equal(reg(LVT_LINT0), LEVEL | 0x46);
	assert_false(intr.level);
}

/* 10.4.1: 32 bits at the start of 16 bytes. */
static void
through_the_page(void **state)
{
	(void)state;
	lapic_mmio.write(&apic, TPR, 4, 0x20);
	assert_int_equal(lapic_mmio.read(&apic, TPR, 4), 0x20);
	lapic_mmio.write(&apic, TPR, 1, 0x30);
	lapic_mmio.write(&apic, TPR + 4, 4, 0x30);
	assert_int_equal(lapic_mmio.read(&apic, TPR, 4), 0x20);
	assert_int_equal(lapic_mmio.read(&apic, VERSION + 2, 1) & 0xff, 5);
	assert_int_equal(lapic_mmio.read(&apic, VERSION + 8, 4), 0);
}

/* 10.4.3, 10.4.4, figure 10-27: modes. */
static void
base_register(void **state)
{
	(void)state;
	assert_int_equal(msr(MSR_APIC_BASE), BASE);
	assert_false(msr_write(MSR_APIC_BASE, BASE | 1));
	assert_false(msr_write(MSR_APIC_BASE, BASE | 1ull << 40));
	assert_false(msr_write(MSR_APIC_BASE, LAPIC_BASE | APIC_BASE_EXTD));
	assert_true(msr_write(MSR_APIC_BASE, 0xfec10000 | APIC_BASE_EN));
	assert_int_equal(page, 0xfec10000);
	assert_true(msr_write(MSR_APIC_BASE, X2));
	assert_false(visible);
	assert_false(msr_write(MSR_APIC_BASE, BASE)); /* only by way of off */
	assert_true(msr_write(MSR_APIC_BASE, LAPIC_BASE));
	assert_false(msr_write(MSR_APIC_BASE, X2));
	assert_int_equal(reg(SVR), 0xff); /* as after power-up */
	lapic_line_set(&apic, LAPIC_LINT0, true);
	assert_true(intr.level);
	assert_true(msr_write(MSR_APIC_BASE, BASE));
	assert_true(visible);
	lapic_reset(&apic, X2);
	lapic_reset(&apic, BASE); /* RESET ends any mode */
	assert_true(visible);
}

/* 10.12 */
static void
x2apic(void **state)
{
	(void)state;
	assert_false(msr_readable(0x802));
	assert_false(msr_write(0x80b, 0));
	set(ID, 0x25000000);
	assert_true(msr_write(MSR_APIC_BASE, X2));
	assert_int_equal(msr(0x802), 0x25);
	assert_int_equal(msr(0x80d), 0x00020020); /* cluster 2, bit 5 */
	assert_int_equal(msr(0x803), 0x00050014);
	assert_false(msr_readable(0x80e)); /* DFR */
	assert_false(msr_readable(0x831));
	assert_false(msr_readable(0x80b)); /* write only */
	assert_false(msr_readable(0x804));
	assert_false(msr_write(0x802, 0)); /* read only */
	assert_false(msr_write(0x80b, 1));
	assert_false(msr_write(0x808, 0x100));
	assert_false(msr_write(0x828, 1));
	assert_false(msr_write(0x838, 1ull << 32));
	assert_true(msr_write(0x83f, 0x61)); /* self IPI */
	assert_int_equal(lapic_ack(&apic), 0x61);
	assert_int_equal(msr(0x813), 2);
	assert_true(msr_write(0x80b, 0));
	assert_true(msr_write(0x830, 0x2500000062)); /* physical */
	assert_int_equal(msr(0x830), 0x2500000062);
	assert_int_equal(lapic_ack(&apic), 0x62);
	assert_true(msr_write(0x80b, 0));
	assert_true(msr_write(0x830, 0x0002002000000863)); /* logical */
	assert_int_equal(lapic_ack(&apic), 0x63);
	assert_true(msr_write(0x80b, 0));
	assert_true(msr_write(0x830, 0x0002000100000864));
	assert_true(msr_write(0x830, 0x2600000065));
	assert_false(intr.level);
}

static void
state_is_kept(void **state)
{
	const struct section section = lapic_section(&apic);
	struct lapic_state copy;

	set(DIVIDE, 11);
	set(LVT_TIMER, PERIODIC | 0x40);
	set(INITIAL, 1000);
	lapic_interrupt(&apic, 0x55);
	fake_clock_run(&clk, 300);
	copy = apic.s;
	setup_off(state);
	clk.now = 300;
	assert_int_equal(section.size, sizeof(copy));
	memcpy(section.data, &copy, sizeof(copy));
	assert_int_equal(section.restored(section.owner), 0);
	assert_int_equal(lapic_ack(&apic), 0x55);
	assert_int_equal(reg(CURRENT), 700);
	set(EOI, 0);
	fake_clock_run(&clk, 700);
	assert_int_equal(lapic_ack(&apic), 0x40);
}

static void
any_state_is_safe(void **state)
{
	const struct section section = lapic_section(&apic);
	unsigned seed = 1;

	for (int round = 0; round < 2000; round++) {
		setup_off(state);
		for (size_t i = 0; i < section.size; i++)
			((uint8_t *)section.data)[i] = (uint8_t)rand_r(&seed);
		assert_int_equal(section.restored(section.owner), 0);
		for (int i = 0; i < 20; i++) {
			int vector = lapic_ack(&apic);

			assert_true(vector >= 0 && vector < 256);
			fake_clock_jump(&clk, clk.now + (uint64_t)rand_r(&seed));
			set((unsigned)rand_r(&seed) % 64 * 16, (uint32_t)rand_r(&seed));
			reg((unsigned)rand_r(&seed) % 64 * 16);
		}
	}
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(after_reset, setup_off),
	    cmocka_unit_test_setup(the_8259_passes, setup_off),
	    CASE(priorities),
	    CASE(task_priority),
	    CASE(switched_off),
	    CASE(interrupts_to_oneself),
	    CASE(logical_destinations),
	    CASE(errors),
	    CASE(timer_counts),
	    CASE(timer_periodic),
	    CASE(timer_deadline),
	    CASE(local_pins),
	    CASE(through_the_page),
	    CASE(base_register),
	    CASE(x2apic),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
