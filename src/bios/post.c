/*
 * Power-on self test: vectors, BIOS data area, chips, as a PC's BIOS leaves them for the boot.
 * IBM PC/AT Technical Reference; chip programming by the data sheets.
 */
#include <string.h>

#include "bios/call.h"

/* Where a vector leads: fixed entry points of the ROM. */
static const struct {
	uint8_t vector;
	uint16_t offset;
} vectors[] = {
    {0x02, 0xe2c3},
    {0x05, 0xff54},
    {0x08, 0xfea5},
    {0x09, 0xe987},
    {0x0a, ROM_IRQ_LOW},
    {0x0b, ROM_IRQ_LOW},
    {0x0c, ROM_IRQ_LOW},
    {0x0d, ROM_IRQ_LOW},
    {0x0e, 0xef57},
    {0x0f, ROM_IRQ_LOW},
    {0x10, 0xf065},
    {0x11, 0xf84d},
    {0x12, 0xf841},
    {0x13, 0xe3fe},
    {0x14, 0xe739},
    {0x15, 0xf859},
    {0x16, 0xe82e},
    {0x17, 0xefd2},
    {0x18, ROM_SLOTS + 0x18 * ROM_SLOT_SIZE + ROM_SLOT_TRAP},
    {0x19, 0xe6f2},
    {0x1a, 0xfe6e},
    {0x1d, 0xf0a4},
    {0x1e, ROM_DISKETTE_TABLE},
    {0x40, 0xec59},
    {0x70, ROM_IRQ_RTC},
    {0x71, ROM_IRQ_REDIRECT},
    {0x72, ROM_IRQ_HIGH},
    {0x73, ROM_IRQ_HIGH},
    {0x74, ROM_IRQ_HIGH},
    {0x75, ROM_IRQ_FPU},
    {0x76, ROM_IRQ_HIGH},
    {0x77, ROM_IRQ_HIGH},
};

/*
 * All vectors lead to an IRET, but for 60h-66h and 79h, which are the users': 0000:0000. The mode set
 * at the end of POST has 1Fh and 43h lead to fonts.
 */
static void
init_vectors(struct bios *b)
{
	for (unsigned v = 0; v < 256; v++)
		set_vector(b, v, ROM_SEGMENT, ROM_IRET);
	for (unsigned v = 0x60; v <= 0x66; v++)
		set_vector(b, v, 0, 0);
	set_vector(b, 0x79, 0, 0);
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		set_vector(b, vectors[i].vector, ROM_SEGMENT, vectors[i].offset);
}

static unsigned
count_drives(const struct bios_disk *disks, unsigned max)
{
	unsigned n = 0;

	while (n < max && disks[n].block != NULL)
		n++;
	return (n);
}

/* The equipment word (INT 11h). */
static uint16_t
equipment(struct bios *b)
{
	unsigned floppies = count_drives(b->floppy, BIOS_FLOPPIES);
	uint16_t word = 0x0020; /* 80x25 colour */

	if (!b->no_fpu)
		word |= 0x0002;
	if (floppies > 0)
		word |= (uint16_t)(1 | (floppies - 1) << 6);
	for (unsigned i = 0; i < 4; i++)
		word = (uint16_t)(word + (bda16(b, BDA_COM + i * 2) != 0 ? 0x200 : 0));
	for (unsigned i = 0; i < 3; i++)
		word = (uint16_t)(word + (bda16(b, BDA_LPT + i * 2) != 0 ? 0x4000 : 0));
	return (word);
}

/* Serial ports that answer: IER keeps its low four bits and no others. */
static void
find_serial_ports(struct bios *b)
{
	static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++) {
		outb(b, (uint16_t)(ports[i] + 1), 0x02);
		if (inb(b, (uint16_t)(ports[i] + 1)) != 0x02)
			continue;
		outb(b, (uint16_t)(ports[i] + 1), 0);
		set_bda16(b, BDA_COM + n * 2, ports[i]);
		set_bda8(b, BDA_COM_TIMEOUT + n, 10);
		n++;
	}
}

static void
init_data_area(struct bios *b)
{
	static const uint8_t zero[0x100];

	memory_write(b->mem, BDA, zero, sizeof(zero));
	memory_write(b->mem, EBDA_SEGMENT * 16u, zero, sizeof(zero));
	memory_put8(b->mem, EBDA_SEGMENT * 16u, EBDA_KB);
	set_bda16(b, BDA_EBDA, EBDA_SEGMENT);
	set_bda16(b, BDA_MEMORY, BASE_MEMORY_KB);
	find_serial_ports(b);
	set_bda16(b, BDA_EQUIPMENT, equipment(b));
	set_bda16(b, BDA_KEY_HEAD, BDA_KEY_RING);
	set_bda16(b, BDA_KEY_TAIL, BDA_KEY_RING);
	set_bda16(b, BDA_KEY_START, BDA_KEY_RING);
	set_bda16(b, BDA_KEY_END, BDA_KEY_RING_END);
	set_bda8(b, BDA_KEY_FLAGS, 0x10); /* 101/102-key keyboard */
	set_bda8(b, BDA_DISK_COUNT, count_drives(b->disk, BIOS_DISKS));
	for (unsigned i = 0; i < 3; i++)
		set_bda8(b, BDA_LPT_TIMEOUT + i, 20);
}

/* The fixed-disk tables behind vectors 41h and 46h, in the EBDA (IBM AT BIOS, INT 13h). */
static void
init_disk_tables(struct bios *b)
{
	for (unsigned i = 0; i < 2 && b->disk[i].block != NULL; i++) {
		const struct block_geometry *g = &b->disk[i].geometry;
		uint16_t offset = (uint16_t)(0x3d + i * 16);
		uint64_t at = EBDA_SEGMENT * 16u + offset;

		memory_put16(b->mem, at, (uint16_t)g->cylinders);
		memory_put8(b->mem, at + 2, (uint8_t)g->heads);
		memory_put16(b->mem, at + 5, 0xffff);
		memory_put8(b->mem, at + 8, g->heads > 8 ? 0xc8 : 0xc0);
		memory_put16(b->mem, at + 12, (uint16_t)g->cylinders);
		memory_put8(b->mem, at + 14, (uint8_t)g->sectors);
		set_vector(b, i == 0 ? 0x41 : 0x46, EBDA_SEGMENT, offset);
	}
}

/* Both 8259s: vectors 08h and 70h, slave on line 2; timer, keyboard, cascade and RTC open. */
static void
init_interrupt_controllers(struct bios *b)
{
	static const struct {
		uint8_t port, value;
	} words[] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
	    {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0x21, 0xb8}, {0xa1, 0x8f}};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		outb(b, words[i].port, words[i].value);
}

static void
init_chips(struct bios *b)
{
	init_interrupt_controllers(b);
	outb(b, 0x43, 0x34); /* counter 0: mode 2, 65536 */
	outb(b, 0x40, 0);
	outb(b, 0x40, 0);
	outb(b, 0x43, 0x54); /* counter 1: refresh, mode 2, 18 */
	outb(b, 0x41, 18);
	outb(b, 0x64, 0x60); /* 8042: translate, IRQ 1 on, keyboard on */
	outb(b, 0x60, 0x65);
	outb(b, 0x92, (inb(b, 0x92) & 1u) | 0x02); /* A20 on; the CPU was reset by this or not */
	outb(b, 0x0d, 0);			   /* DMA: master clear; channel 4 cascades */
	outb(b, 0xda, 0);
	outb(b, 0xd6, 0xc0);
	outb(b, 0xd4, 0x00);
}

static unsigned
from_bcd(unsigned value)
{
	return ((value >> 4) * 10 + (value & 15));
}

/* Ticks since midnight by the RTC's time of day: 1193182 / 65536 a second. */
static void
init_ticks(struct bios *b)
{
	uint64_t seconds = from_bcd(cmos_read(b, 0)) + from_bcd(cmos_read(b, 2)) * 60 +
	    from_bcd(cmos_read(b, 4)) * 3600;

	memory_put32(b->mem, BDA + BDA_TICKS, (uint32_t)mul_div(seconds, 1193182, 65536));
}

/* What the RTC's RAM says of the machine (AT CMOS map): floppies, disks, memory. */
static void
init_cmos(struct bios *b)
{
	uint64_t extended = b->mem->low_size > 0x100000 ? (b->mem->low_size - 0x100000) / 1024 : 0;
	uint64_t above_16m =
	    b->mem->low_size > 0x1000000 ? (b->mem->low_size - 0x1000000) / 65536 : 0;
	unsigned sum = 0;

	if (extended > 0xffff)
		extended = 0xffff;
	if (above_16m > 0xffff)
		above_16m = 0xffff;
	cmos_write(b, 0x10, (unsigned)(b->floppy[0].drive_type << 4 | b->floppy[1].drive_type));
	cmos_write(b, 0x12,
	    (b->disk[0].block != NULL ? 0xf0u : 0) | (b->disk[1].block != NULL ? 0x0fu : 0));
	cmos_write(b, 0x14, bda8(b, BDA_EQUIPMENT));
	cmos_write(b, 0x15, BASE_MEMORY_KB + 1);
	cmos_write(b, 0x16, (BASE_MEMORY_KB + 1) >> 8);
	cmos_write(b, 0x17, (unsigned)extended);
	cmos_write(b, 0x18, (unsigned)extended >> 8);
	cmos_write(b, 0x30, (unsigned)extended);
	cmos_write(b, 0x31, (unsigned)extended >> 8);
	cmos_write(b, 0x34, (unsigned)above_16m);
	cmos_write(b, 0x35, (unsigned)above_16m >> 8);
	cmos_write(b, 0x32, 0x20); /* century */
	for (uint8_t reg = 0x10; reg <= 0x2d; reg++)
		sum += cmos_read(b, reg);
	cmos_write(b, 0x2e, sum >> 8);
	cmos_write(b, 0x2f, sum);
}

/*
 * CMOS shutdown code 0Fh: a program that reset the CPU to leave protected mode on a 286 asks for
 * a jump through 40:67 (codes 05h, with EOI, and 0Ah, without). AT BIOS, "shutdown".
 */
static bool
resume(struct bios_call *c, enum bios_result *result)
{
	struct bios *b = c->bios;
	uint8_t code = cmos_read(b, 0x0f);
	uint32_t to = memory_get32(b->mem, BDA + BDA_RESUME);

	cmos_write(b, 0x0f, 0);
	if (code != 0x05 && code != 0x0a)
		return (false);
	if (code == 0x05) {
		outb(b, 0xa0, 0x20);
		outb(b, 0x20, 0x20);
	}
	*result = go_to(c, (uint16_t)(to >> 16), (uint16_t)to);
	return (true);
}

enum bios_result
post(struct bios_call *c)
{
	struct bios *b = c->bios;
	enum bios_result result;

	if (resume(c, &result))
		return (result);
	init_vectors(b);
	init_chips(b);
	init_data_area(b);
	init_disk_tables(b);
	init_cmos(b);
	init_ticks(b);
	video_set_mode(b, 3);
	return (BIOS_DONE);
}
