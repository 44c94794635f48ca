/* 8259A: priorities, EOI and rotation modes, special modes, cascade, polling, ELCR. */
#include "unit.h"

#include <string.h>

#include "device/i8259.h"
#include "fake.h"

static struct i8259 master, slave;
static struct fake_line cpu;

static void
program(struct i8259 *chip, uint8_t vector, uint8_t icw3, uint8_t icw4)
{
	i8259_write(chip, 0, 0x11);
	i8259_write(chip, 1, vector);
	i8259_write(chip, 1, icw3);
	i8259_write(chip, 1, icw4);
}

static int
setup(void **state)
{
	(void)state;
	i8259_init(&master, true, fake_line_connect(&cpu));
	i8259_init(&slave, false, (struct line){.set = NULL});
	i8259_cascade(&master, &slave);
	program(&master, 0x08, 0x04, 0x01);
	program(&slave, 0x70, 0x02, 0x01);
	return (0);
}

static void
edge(struct i8259 *chip, int ir)
{
	i8259_set_irq(chip, ir, false);
	i8259_set_irq(chip, ir, true);
}

static uint8_t
isr_of(struct i8259 *chip)
{
	i8259_write(chip, 0, 0x0b);
	return (i8259_read(chip, 0));
}

static uint8_t
irr_of(struct i8259 *chip)
{
	i8259_write(chip, 0, 0x0a);
	return (i8259_read(chip, 0));
}

static void
silent_until_programmed(void **state)
{
	(void)state;
	i8259_reset(&master);
	i8259_set_irq(&master, 1, true);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x11);
	i8259_write(&master, 1, 0x08);
	i8259_write(&master, 1, 0x04);
	edge(&master, 1);
	assert_false(cpu.level); /* ICW4 is still to come */
	i8259_write(&master, 1, 0x01);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x09);
}

static void
vector_and_service(void **state)
{
	(void)state;
	edge(&master, 3);
	assert_true(cpu.level);
	assert_true(i8259_pending(&master));
	assert_int_equal(irr_of(&master), 0x08);
	assert_int_equal(i8259_ack(&master), 0x0b);
	assert_false(cpu.level);
	assert_int_equal(irr_of(&master), 0);
	assert_int_equal(isr_of(&master), 0x08);
	/* The line is still high: an edge input asks once. */
	i8259_write(&master, 0, 0x20);
	assert_int_equal(isr_of(&master), 0);
	assert_false(cpu.level);
}

static void
fully_nested(void **state)
{
	(void)state;
	edge(&master, 4);
	assert_int_equal(i8259_ack(&master), 0x0c);
	edge(&master, 5);
	assert_false(cpu.level); /* lower waits */
	edge(&master, 4);
	assert_false(cpu.level); /* the same waits */
	edge(&master, 1);
	assert_true(cpu.level); /* higher passes */
	assert_int_equal(i8259_ack(&master), 0x09);
	assert_int_equal(isr_of(&master), 0x12);
	i8259_write(&master, 0, 0x20); /* ends the higher */
	assert_int_equal(isr_of(&master), 0x10);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x0c);
	i8259_write(&master, 0, 0x64); /* specific EOI */
	assert_int_equal(i8259_ack(&master), 0x0d);
}

static void
masks(void **state)
{
	(void)state;
	i8259_write(&master, 1, 0xfb);
	assert_int_equal(i8259_read(&master, 1), 0xfb);
	edge(&master, 0);
	assert_false(cpu.level);
	assert_int_equal(irr_of(&master), 0x01); /* latched all the same */
	i8259_write(&master, 1, 0);
	assert_true(cpu.level);
	i8259_write(&master, 1, 1);
	assert_false(cpu.level);
}

static void
first_input_counts(void **state)
{
	(void)state;
	edge(&master, 0);
	assert_int_equal(i8259_ack(&master), 0x08);
	edge(&master, 1);
	assert_false(cpu.level); /* IR0 in service holds back all */
	edge(&slave, 0);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x09);
}

static void
mask_before_initialization(void **state)
{
	(void)state;
	i8259_reset(&master);
	i8259_write(&master, 1, 0xa5);
	assert_int_equal(i8259_read(&master, 1), 0xa5);
}

static void
spurious(void **state)
{
	(void)state;
	edge(&master, 3);
	i8259_set_irq(&master, 3, false); /* gone before INTA */
	assert_false(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x0f);
	assert_int_equal(isr_of(&master), 0); /* which tells it from a real IR7 */
	edge(&master, 7);
	assert_int_equal(i8259_ack(&master), 0x0f);
	assert_int_equal(isr_of(&master), 0x80);
}

static void
cascade(void **state)
{
	(void)state;
	edge(&slave, 0);
	assert_true(cpu.level);
	assert_int_equal(irr_of(&master), 0x04);
	assert_int_equal(i8259_ack(&master), 0x70);
	assert_int_equal(isr_of(&master), 0x04);
	assert_int_equal(isr_of(&slave), 0x01);
	edge(&slave, 4);
	edge(&master, 5);
	assert_false(cpu.level);
	edge(&master, 1); /* above the cascade */
	assert_int_equal(i8259_ack(&master), 0x09);
	i8259_write(&master, 0, 0x20);
	i8259_write(&slave, 0, 0x20);
	i8259_write(&master, 0, 0x20);
	/* IRQ12 comes before IRQ5. */
	assert_int_equal(i8259_ack(&master), 0x74);
	i8259_write(&slave, 0, 0x20);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x0d);
}

static void
cascade_two_requests(void **state)
{
	(void)state;
	edge(&slave, 3);
	edge(&slave, 1);
	assert_int_equal(i8259_ack(&master), 0x71);
	/* EOI to the slave alone: its next request is an edge that the master keeps. */
	i8259_write(&slave, 0, 0x20);
	assert_int_equal(irr_of(&master), 0x04);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x73);
}

static void
cascade_auto_eoi_two_requests(void **state)
{
	(void)state;
	program(&master, 0x08, 0x04, 0x03);
	program(&slave, 0x70, 0x02, 0x03);
	edge(&slave, 3);
	edge(&slave, 1);
	/* Nothing ends the first but INTA itself: the slave's INT has to fall and rise. */
	assert_int_equal(i8259_ack(&master), 0x71);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x73);
	assert_false(cpu.level);
}

static void
spurious_of_slave(void **state)
{
	(void)state;
	edge(&slave, 6);
	/* The master has taken the edge; the slave's request goes before its INTA. */
	slave.intr = (struct line){.set = NULL};
	i8259_set_irq(&slave, 6, false);
	assert_int_equal(i8259_ack(&master), 0x77);
	assert_int_equal(isr_of(&slave), 0);
	assert_int_equal(isr_of(&master), 0x04); /* the master wants its EOI */
}

static void
auto_eoi(void **state)
{
	(void)state;
	program(&master, 0x20, 0x04, 0x03);
	edge(&master, 2 + 1);
	edge(&master, 6);
	assert_int_equal(i8259_ack(&master), 0x23);
	assert_int_equal(isr_of(&master), 0);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x26);
}

static void
auto_eoi_rotates(void **state)
{
	(void)state;
	program(&master, 0x20, 0x04, 0x03);
	i8259_write(&master, 0, 0x80);
	edge(&master, 0);
	assert_int_equal(i8259_ack(&master), 0x20); /* 0 is the lowest now */
	edge(&master, 0);
	edge(&master, 7);
	assert_int_equal(i8259_ack(&master), 0x27);
	i8259_ack(&master);
	program(&master, 0x20, 0x04, 0x03); /* ends the rotation... */
	edge(&master, 1);
	assert_int_equal(i8259_ack(&master), 0x21);
	edge(&master, 1);
	edge(&master, 2);
	assert_int_equal(i8259_ack(&master), 0x21);
	i8259_ack(&master);
	i8259_write(&master, 0, 0x80);
	edge(&master, 7);
	assert_int_equal(i8259_ack(&master), 0x27);
	i8259_write(&master, 0, 0x00); /* ...as does the command */
	edge(&master, 0);
	assert_int_equal(i8259_ack(&master), 0x20);
	edge(&master, 7);
	edge(&master, 6);
	/* No more rotation: 7 still is the lowest. */
	assert_int_equal(i8259_ack(&master), 0x26);
}

static void
rotate_on_eoi(void **state)
{
	(void)state;
	/* The data sheet's example: 4 and 6 in service, rotate on non-specific EOI. */
	edge(&master, 6);
	assert_int_equal(i8259_ack(&master), 0x0e);
	edge(&master, 4);
	assert_int_equal(i8259_ack(&master), 0x0c);
	i8259_write(&master, 0, 0xa0);
	assert_int_equal(isr_of(&master), 0x40);
	edge(&master, 4); /* now the lowest, below 6 */
	edge(&master, 5);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x0d);
	i8259_write(&master, 0, 0x65);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0xe6); /* rotate on specific EOI: 6 the lowest */
	assert_int_equal(isr_of(&master), 0);
	edge(&master, 6);
	assert_int_equal(i8259_ack(&master), 0x0c);
}

static void
set_priority(void **state)
{
	(void)state;
	i8259_write(&master, 0, 0xc5); /* 5 the lowest, 6 the highest */
	edge(&master, 0);
	edge(&master, 5);
	edge(&master, 6);
	assert_int_equal(i8259_ack(&master), 0x0e);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x08);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(i8259_ack(&master), 0x0d);
	i8259_write(&master, 0, 0x40); /* no operation */
	assert_int_equal(isr_of(&master), 0x20);
}

static void
special_mask_mode(void **state)
{
	(void)state;
	edge(&master, 3);
	assert_int_equal(i8259_ack(&master), 0x0b);
	i8259_write(&master, 1, 0x08);
	edge(&master, 6);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x68); /* ESMM, SMM */
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x0e);
	/* A non-specific EOI does not reach the masked one. */
	i8259_write(&master, 0, 0x20);
	assert_int_equal(isr_of(&master), 0x08);
	i8259_write(&master, 0, 0x20);
	assert_int_equal(isr_of(&master), 0x08);
	i8259_write(&master, 0, 0x08); /* ESMM clear: stays on */
	edge(&master, 6);
	assert_true(cpu.level);
	i8259_write(&master, 0, 0x48); /* off */
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x63);
	assert_true(cpu.level);
}

static void
special_fully_nested(void **state)
{
	(void)state;
	program(&master, 0x08, 0x04, 0x11);
	edge(&slave, 5);
	assert_int_equal(i8259_ack(&master), 0x75);
	edge(&slave, 1);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x71);
	edge(&slave, 7);
	assert_false(cpu.level);
	assert_int_equal(isr_of(&slave), 0x22);
}

static void
polled(void **state)
{
	(void)state;
	edge(&master, 4);
	i8259_write(&master, 0, 0x0c);
	assert_int_equal(i8259_read(&master, 0), 0x84);
	assert_int_equal(isr_of(&master), 0x10);
	assert_false(cpu.level);
	i8259_write(&master, 0, 0x0c);
	assert_int_equal(i8259_read(&master, 1) & 0x80, 0); /* nothing above it */
	assert_int_equal(i8259_read(&master, 1), 0);	    /* IMR again */
}

static void
register_choice_stays(void **state)
{
	(void)state;
	edge(&master, 4);
	i8259_ack(&master);
	edge(&master, 6);
	i8259_write(&master, 0, 0x0b);
	assert_int_equal(i8259_read(&master, 0), 0x10);
	i8259_write(&master, 0, 0x08); /* RR clear: no change */
	assert_int_equal(i8259_read(&master, 0), 0x10);
	i8259_write(&master, 0, 0x0a);
	assert_int_equal(i8259_read(&master, 0), 0x40);
}

static void
icw1_clears(void **state)
{
	(void)state;
	edge(&master, 4);
	i8259_ack(&master);
	edge(&master, 3);
	i8259_write(&master, 1, 0x55);
	i8259_write(&master, 0, 0xc2);
	program(&master, 0x20, 0x04, 0x01);
	assert_int_equal(isr_of(&master), 0);
	assert_int_equal(irr_of(&master), 0); /* though IR3 is high */
	assert_int_equal(i8259_read(&master, 1), 0);
	edge(&master, 3);
	edge(&master, 2 - 1);
	assert_int_equal(i8259_ack(&master), 0x21);
}

static void
short_initialization(void **state)
{
	(void)state;
	i8259_write(&master, 0, 0x12); /* single, no ICW4 */
	i8259_write(&master, 1, 0x47);
	i8259_write(&master, 1, 0xfe); /* OCW1 already */
	edge(&master, 0);
	assert_int_equal(i8259_ack(&master), 0x40);
	i8259_write(&master, 0, 0x20);
	/* With ICW3, without ICW4. */
	i8259_write(&slave, 0, 0x10);
	i8259_write(&slave, 1, 0x58);
	i8259_write(&slave, 1, 0x02);
	i8259_write(&slave, 1, 0x80);
	assert_int_equal(i8259_read(&slave, 1), 0x80);
	/* Nobody hangs at IR2 of a single one. */
	i8259_write(&master, 1, 0);
	edge(&slave, 3);
	assert_int_equal(i8259_ack(&master), 0x42);
}

static void
level_triggered(void **state)
{
	(void)state;
	i8259_elcr_ports.write(&master, 0, 1, 0xff);
	assert_int_equal(i8259_elcr_ports.read(&master, 0, 1), 0xf8);
	i8259_elcr_ports.write(&slave, 0, 1, 0xff);
	assert_int_equal(i8259_elcr_ports.read(&slave, 0, 1), 0xde);
	i8259_elcr_ports.write(&master, 0, 1, 0x20);
	i8259_set_irq(&master, 5, true);
	assert_int_equal(i8259_ack(&master), 0x0d);
	assert_int_equal(irr_of(&master), 0x20);
	i8259_write(&master, 0, 0x20);
	assert_true(cpu.level); /* still asked for */
	assert_int_equal(i8259_ack(&master), 0x0d);
	i8259_set_irq(&master, 5, false);
	i8259_write(&master, 0, 0x20);
	assert_false(cpu.level);
	/* A line that is high already asks as soon as it counts by level. */
	i8259_set_irq(&master, 6, true);
	i8259_ack(&master);
	i8259_write(&master, 0, 0x20);
	assert_false(cpu.level);
	i8259_elcr_ports.write(&master, 0, 1, 0x40);
	assert_true(cpu.level);
}

static void
through_the_ports(void **state)
{
	(void)state;
	i8259_ports.write(&master, 1, 1, 0x5a);
	assert_int_equal(i8259_ports.read(&master, 1, 1), 0x5a);
}

static void
state_is_kept(void **state)
{
	struct section section = i8259_section(&master);
	struct i8259_state saved;

	(void)state;
	assert_string_equal(section.id, "i8259.master");
	assert_string_equal(i8259_section(&slave).id, "i8259.slave");
	edge(&master, 4);
	i8259_ack(&master);
	edge(&master, 0);
	memcpy(&saved, section.data, section.size);
	i8259_reset(&master);
	assert_false(cpu.level);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_true(cpu.level);
	assert_int_equal(i8259_ack(&master), 0x08);
	assert_int_equal(isr_of(&master), 0x11);
}

static void
any_state_is_safe(void **state)
{
	struct section section = i8259_section(&master);

	(void)state;
	for (unsigned byte = 0; byte < 256; byte += 5) {
		memset(section.data, (int)byte, section.size);
		assert_int_equal(section.restored(section.owner), 0);
		edge(&master, 3);
		assert_in_range(i8259_ack(&master), 0, 255);
		i8259_write(&master, 0, 0x20);
		i8259_read(&master, 0);
		assert_in_range(master.s.lowest, 0, 7);
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(silent_until_programmed),
	    CASE(vector_and_service),
	    CASE(fully_nested),
	    CASE(masks),
	    CASE(mask_before_initialization),
	    CASE(first_input_counts),
	    CASE(spurious),
	    CASE(cascade),
	    CASE(cascade_two_requests),
	    CASE(cascade_auto_eoi_two_requests),
	    CASE(spurious_of_slave),
	    CASE(auto_eoi),
	    CASE(auto_eoi_rotates),
	    CASE(rotate_on_eoi),
	    CASE(set_priority),
	    CASE(special_mask_mode),
	    CASE(special_fully_nested),
	    CASE(polled),
	    CASE(register_choice_stays),
	    CASE(icw1_clears),
	    CASE(short_initialization),
	    CASE(level_triggered),
	    CASE(through_the_ports),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
