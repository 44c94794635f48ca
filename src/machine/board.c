/* The board: which chip sits at which ports, and where its lines lead. IBM PC/AT, PIIX-like. */
#include <string.h>

#include "bios/rom.h"
#include "machine/machine.h"

/* --- lines ---------------------------------------------------------------------------------------- */

static void
intr_line(void *opaque, int number, bool level)
{
	struct machine *m = opaque;

	(void)number;
	vcpu_set_intr(&m->vcpu, level);
}

static void
nmi_line(void *opaque, int number, bool level)
{
	struct machine *m = opaque;

	(void)number;
	if (level)
		vcpu_raise_nmi(&m->vcpu);
}

/* The A20 gate has two drivers, the 8042 and port 92h: the last one to write wins. */
static void
a20_line(void *opaque, int number, bool level)
{
	struct machine *m = opaque;

	memory_set_a20(m->mem, level);
	if (number == 0)
		port92_follow_a20(&m->port92, level);
	else
		i8042_follow_a20(&m->kbc, level);
}

/* A reset takes effect when the instruction that asked for it is over. */
static void
reset_line(void *opaque, int number, bool level)
{
	struct machine *m = opaque;

	(void)number;
	if (!level)
		return;
	m->reset_pending = true;
	vcpu_stop(&m->vcpu);
}

/* The request line IR 0-15 of the two 8259s. */
static struct line
irq_line(struct machine *m, int ir)
{
	return ((struct line){.set = i8259_line_set, .opaque = &m->pic[ir >= 8], .number = ir & 7});
}

/* --- what the local APIC asks for -------------------------------------------------------------------- */

static int
pic_ack(void *opaque)
{
	struct machine *m = opaque;

	return (i8259_ack(&m->pic[0]));
}

static void
apic_moved(void *opaque, uint64_t base, bool visible)
{
	struct machine *m = opaque;

	/* Where no RAM is, so that nothing hides any. */
	if (visible)
		memory_move(m->mem, "lapic", base, MEM_MMIO);
	else
		memory_move(m->mem, "lapic", LAPIC_BASE, MEM_NONE);
}

static void
cr8_follows(void *opaque, uint64_t value)
{
	struct machine *m = opaque;

	vcpu_pull(&m->vcpu, VCPU_SREGS);
	m->state->sregs.cr8 = value;
	vcpu_push(&m->vcpu, VCPU_SREGS);
}

static uint64_t
tsc_offset(void *opaque)
{
	struct machine *m = opaque;

	vcpu_pull(&m->vcpu, VCPU_MSR);
	return (m->state->msr.tsc_offset);
}

/* --- the private port of the pseudo BIOS ------------------------------------------------------------ */

static void
trap_write(void *chip, uint16_t reg, unsigned size, uint32_t value)
{
	struct machine *m = chip;
	unsigned dirty;

	(void)reg;
	(void)size;
	(void)value;
	vcpu_pull(&m->vcpu, VCPU_GPR | VCPU_SREGS);
	dirty = bios_trap(&m->bios, m->state);
	if (dirty != 0)
		vcpu_push(&m->vcpu, dirty);
}

static const struct port_ops trap_ports = {.write = trap_write};

/* --- what leaves the board ---------------------------------------------------------------------------- */

static void
com_tx(void *opaque, uint8_t byte)
{
	struct ns16550 *com = opaque;
	struct machine *m = (struct machine *)(void *)((uint8_t *)com -
	    offsetof(struct machine, com) - com->number * sizeof(*com));

	if (m->config.host.serial != NULL)
		m->config.host.serial(m->config.host.opaque, com->number, byte);
}

static void
debug_byte(void *opaque, uint8_t byte)
{
	struct machine *m = opaque;

	if (m->config.host.debug != NULL)
		m->config.host.debug(m->config.host.opaque, byte);
}

static void
debug_exit(void *opaque, uint32_t value)
{
	struct machine *m = opaque;

	m->end = MACHINE_DEBUG_EXIT;
	m->exit_value = (uint8_t)value;
	vcpu_stop(&m->vcpu);
}

/* --- putting it together --------------------------------------------------------------------------------- */

static void
init_chips(struct machine *m)
{
	static const uint8_t com_irq[MACHINE_COMS] = {4, 3, 4, 3};

	lapic_init(&m->lapic, &m->clock);
	m->lapic.intr = (struct line){.set = intr_line, .opaque = m};
	m->lapic.nmi = (struct line){.set = nmi_line, .opaque = m};
	m->lapic.ext_ack = pic_ack;
	m->lapic.moved = apic_moved;
	m->lapic.cr8 = cr8_follows;
	m->lapic.tsc_offset = tsc_offset;
	m->lapic.opaque = m;
	i8259_init(&m->pic[0], true,
	    (struct line){.set = lapic_line_set, .opaque = &m->lapic, .number = LAPIC_LINT0});
	i8259_init(&m->pic[1], false, (struct line){0});
	i8259_cascade(&m->pic[0], &m->pic[1]);
	i8254_init(&m->pit, &m->clock, irq_line(m, 0));
	port61_init(&m->port61, &m->clock, &m->pit);
	port92_init(&m->port92, (struct line){.set = a20_line, .opaque = m, .number = 1},
	    (struct line){.set = reset_line, .opaque = m});
	mc146818_init(&m->rtc, &m->clock, irq_line(m, 8));
	i8042_init(&m->kbc, &m->clock);
	m->kbc.irq1 = irq_line(m, 1);
	m->kbc.irq12 = irq_line(m, 12);
	m->kbc.a20 = (struct line){.set = a20_line, .opaque = m, .number = 0};
	m->kbc.reset = (struct line){.set = reset_line, .opaque = m};
	i8237_init(&m->dma, m->mem);
	vga_init(&m->vga, &m->clock, m->mem);
	vga_load_font(&m->vga, bios_rom + ROM_FONT_8X16, 16);
	portcf9_init(&m->portcf9, (struct line){.set = reset_line, .opaque = m});
	portf0_init(&m->portf0, irq_line(m, 13));
	post80_init(&m->post80);
	for (unsigned i = 0; i < m->config.coms; i++) {
		ns16550_init(&m->com[i], i, &m->clock, irq_line(m, com_irq[i]));
		m->com[i].tx = com_tx;
		m->com[i].opaque = &m->com[i];
	}
	m->debugcon = (struct debugcon){.put = debug_byte, .opaque = m};
	m->debugexit = (struct debugexit){.ended = debug_exit, .opaque = m};
}

static void
attach_ports(struct machine *m)
{
	static const uint16_t com_port[MACHINE_COMS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	const struct {
		const char *name;
		const struct port_ops *ops;
		void *chip;
		uint16_t first;
		unsigned count;
		uint16_t reg_base;
	} map[] = {
	    {"i8237", &i8237_low_ports, &m->dma, 0x00, 16, 0},
	    {"i8259", &i8259_ports, &m->pic[0], 0x20, 2, 0},
	    {"i8254", &i8254_ports, &m->pit, 0x40, 4, 0},
	    {"i8042", &i8042_ports, &m->kbc, 0x60, 1, 0},
	    {"port61", &port61_ports, &m->port61, 0x61, 1, 0},
	    {"i8042", &i8042_ports, &m->kbc, 0x64, 1, 4},
	    {"mc146818", &mc146818_ports, &m->rtc, 0x70, 2, 0},
	    {"i8237", &i8237_page_ports, &m->dma, 0x80, 16, 0},
	    {"post80", &post80_ports, &m->post80, 0x80, 1, 0},
	    {"port92", &port92_ports, &m->port92, 0x92, 1, 0},
	    {"i8259", &i8259_ports, &m->pic[1], 0xa0, 2, 0},
	    {"i8237", &i8237_high_ports, &m->dma, 0xc0, 32, 0},
	    {"portf0", &portf0_ports, &m->portf0, 0xf0, 2, 0},
	    {"debugcon", &debugcon_ports, &m->debugcon, 0xe9, 1, 0},
	    {"bios", &trap_ports, m, TRAP_PORT, 1, 0},
	    {"vga", &vga_ports, &m->vga, 0x3b0, 12, 0},
	    {"vga", &vga_ports, &m->vga, 0x3c0, 32, 0x10},
	    {"elcr", &i8259_elcr_ports, &m->pic[0], 0x4d0, 1, 0},
	    {"elcr", &i8259_elcr_ports, &m->pic[1], 0x4d1, 1, 0},
	    {"portcf9", &portcf9_ports, &m->portcf9, 0xcf8, 4, 0},
	};

	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		bus_attach(&m->bus, map[i].name, map[i].ops, map[i].chip, map[i].first,
		    map[i].count, map[i].reg_base);
	for (unsigned i = 0; i < m->config.coms; i++)
		bus_attach(&m->bus, "ns16550", &ns16550_ports, &m->com[i], com_port[i], 8, 0);
	if (m->config.debug_exit_port >= 0)
		bus_attach(&m->bus, "debugexit", &debugexit_ports, &m->debugexit,
		    (uint16_t)m->config.debug_exit_port, 1, 0);
}

/* What is not RAM: the video window and the ROM in the first MB, the local APIC. */
static void
map_memory(struct machine *m)
{
	const struct mem_region regions[] = {
	    vga_window(&m->vga),
	    {.gpa = 0xc0000, .size = 0x30000, .type = MEM_NONE, .name = "expansion"},
	    {.gpa = ROM_BASE, .size = ROM_SIZE, .type = MEM_ROM, .name = "bios"},
	    {.gpa = LAPIC_BASE,
		.size = LAPIC_SIZE,
		.type = MEM_NONE,
		.ops = &lapic_mmio,
		.opaque = &m->lapic,
		.name = "lapic"},
	};

	for (unsigned i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		memory_add_region(m->mem, &regions[i]);
}

void
board_init(struct machine *m)
{
	init_chips(m);
	attach_ports(m);
	map_memory(m);
	lapic_reset(&m->lapic, m->config.no_apic ? 0 : m->state->sregs.apic_base);
}

/* The reset line: chips as at power-on; memory and the clock's time stay. */
void
board_reset(struct machine *m)
{
	i8259_reset(&m->pic[0]);
	i8259_reset(&m->pic[1]);
	i8254_reset(&m->pit);
	port61_reset(&m->port61);
	port92_reset(&m->port92);
	mc146818_reset(&m->rtc);
	i8042_reset(&m->kbc);
	i8237_reset(&m->dma);
	vga_reset(&m->vga);
	vga_load_font(&m->vga, bios_rom + ROM_FONT_8X16, 16);
	portcf9_reset(&m->portcf9);
	portf0_reset(&m->portf0);
	post80_reset(&m->post80);
	for (unsigned i = 0; i < m->config.coms; i++)
		ns16550_reset(&m->com[i]);
	timer_cancel(&m->clock, &m->wake);
}

int
board_add_sections(struct machine *m, struct vmm_error *err)
{
	/* The clock came first; the 8254 goes before port 61h, which reads it. */
	const struct section sections[] = {
	    lapic_section(&m->lapic),
	    i8259_section(&m->pic[0]),
	    i8259_section(&m->pic[1]),
	    i8254_section(&m->pit),
	    port61_section(&m->port61),
	    port92_section(&m->port92),
	    mc146818_section(&m->rtc),
	    i8042_section(&m->kbc),
	    i8237_section(&m->dma),
	    vga_section(&m->vga),
	    vga_memory_section(&m->vga),
	    portcf9_section(&m->portcf9),
	    portf0_section(&m->portf0),
	    post80_section(&m->post80),
	};

	for (unsigned i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (vmm_add_section(m->ctx, &sections[i], err) < 0)
			return (-1);
	for (unsigned i = 0; i < m->config.coms; i++) {
		const struct section com = ns16550_section(&m->com[i]);

		if (vmm_add_section(m->ctx, &com, err) < 0)
			return (-1);
	}
	return (0);
}
