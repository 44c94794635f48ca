/*
 * INT 15h: system services. IBM PC/AT Technical Reference; ACPI 6.4, 15.1 (E820); Phoenix BIOS
 * (E801, 2400-2403).
 */
#include <string.h>

#include "bios/call.h"

#define UNSUPPORTED 0x86
#define NS_PER_US 1000ull

static enum bios_result
ok(struct bios_call *c)
{
	return (finish(c, 0));
}

/* --- A20 ------------------------------------------------------------------------------------------------ */

static void
set_a20(struct bios *b, bool on)
{
	outb(b, 0x92, (inb(b, 0x92) & ~3u) | (on ? 2 : 0));
}

static enum bios_result
int15_2400_a20_off(struct bios_call *c)
{
	set_a20(c->bios, false);
	return (ok(c));
}

static enum bios_result
int15_2401_a20_on(struct bios_call *c)
{
	set_a20(c->bios, true);
	return (ok(c));
}

static enum bios_result
int15_2402_a20_status(struct bios_call *c)
{
	set_al(c, memory_get_a20(c->bios->mem));
	return (ok(c));
}

static enum bios_result
int15_2403_a20_support(struct bios_call *c)
{
	set_bx(c, 0x0003); /* by keyboard controller and by port 92h */
	return (ok(c));
}

/* --- hooks that do nothing by themselves ------------------------------------------------------------------ */

/* The scan code goes on to the keyboard interrupt: CF stays set. */
static enum bios_result
int15_4f_keyboard_intercept(struct bios_call *c)
{
	set_cf(c, true);
	return (BIOS_DONE);
}

static enum bios_result
int15_hook(struct bios_call *c)
{
	return (ok(c));
}

/* --- time --------------------------------------------------------------------------------------------------- */

static uint32_t
microseconds(const struct bios *b)
{
	return ((uint32_t)(clock_now(b->clock) / NS_PER_US));
}

/*
 * Wait CX:DX microseconds. While it lasts, the data area has the wait flag (40:A0 bit 0) and the
 * time it ends (40:9C, microseconds of guest time).
 */
static enum bios_result
int15_86_wait(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint32_t length = (uint32_t)cx(c) << 16 | dx(c), now = microseconds(b), end;

	if (!(bda8(b, BDA_WAIT_FLAG) & 1)) {
		end = now + length;
		memory_put32(b->mem, BDA + BDA_WAIT_COUNT, end);
		set_bda8(b, BDA_WAIT_FLAG, bda8(b, BDA_WAIT_FLAG) | 1u);
	}
	end = memory_get32(b->mem, BDA + BDA_WAIT_COUNT);
	/* More to go than asked for: the clock has passed the end. */
	if (end - now != 0 && end - now <= length) {
		b->wake_at(b->opaque, clock_now(b->clock) + (end - now) * NS_PER_US);
		return (BIOS_WAIT);
	}
	set_bda8(b, BDA_WAIT_FLAG, bda8(b, BDA_WAIT_FLAG) & ~1u);
	return (ok(c));
}

/* --- memory --------------------------------------------------------------------------------------------------- */

/* The table that the caller of 87h builds: null, table, source, destination, BIOS's own. */
#define MOVE_SOURCE 0x10
#define MOVE_DESTINATION 0x18

static uint64_t
descriptor_base(const struct bios *b, uint64_t at)
{
	return (segment_from_descriptor(
	    0, memory_get32(b->mem, at) | (uint64_t)memory_get32(b->mem, at + 4) << 32)
		    .base);
}

/* Move CX words by the descriptors at ES:SI; A20 is on while it lasts, then as before. */
static enum bios_result
int15_87_move_block(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint64_t table = linear(c, SEG_ES, si(c));
	uint64_t from = descriptor_base(b, table + MOVE_SOURCE);
	uint64_t to = descriptor_base(b, table + MOVE_DESTINATION);
	size_t len = (size_t)cx(c) * 2;
	bool a20 = memory_get_a20(b->mem), moved = true;
	uint8_t chunk[4096];

	if (cx(c) > 0x8000)
		return (finish(c, 0x02));
	memory_set_a20(b->mem, true);
	for (size_t part; len > 0 && moved; from += part, to += part, len -= part) {
		part = len < sizeof(chunk) ? len : sizeof(chunk);
		moved =
		    memory_read(b->mem, from, chunk, part) && memory_write(b->mem, to, chunk, part);
	}
	memory_set_a20(b->mem, a20);
	set_flag(c, RFLAGS_ZF, moved);
	return (finish(c, moved ? 0 : 0x02));
}

/* KB from 1 MB on, at most 63 MB (so that 16-bit callers do not overflow). */
static uint64_t
extended_kb(const struct bios *b)
{
	uint64_t size = b->mem->low_size;

	return (size > 0x100000 ? (size - 0x100000) / 1024 : 0);
}

static enum bios_result
int15_88_extended_memory(struct bios_call *c)
{
	uint64_t kb = extended_kb(c->bios);

	set_ax(c, kb > 63 * 1024 ? 63 * 1024 : (unsigned)kb);
	set_cf(c, false);
	return (BIOS_DONE);
}

static enum bios_result
int15_c0_configuration(struct bios_call *c)
{
	c->s->sregs.seg[SEG_ES].selector = ROM_SEGMENT;
	c->s->sregs.seg[SEG_ES].base = ROM_BASE;
	c->dirty |= VCPU_SREGS;
	set_bx(c, ROM_CONFIG_TABLE);
	return (ok(c));
}

static enum bios_result
int15_c1_ebda(struct bios_call *c)
{
	c->s->sregs.seg[SEG_ES].selector = bda16(c->bios, BDA_EBDA);
	c->s->sregs.seg[SEG_ES].base = (uint64_t)bda16(c->bios, BDA_EBDA) << 4;
	c->dirty |= VCPU_SREGS;
	set_cf(c, false);
	return (BIOS_DONE);
}

/* AX = CX: KB from 1 to 16 MB, BX = DX: 64 KB blocks from 16 MB on. */
static enum bios_result
int15_e801_memory_size(struct bios_call *c)
{
	uint64_t kb = extended_kb(c->bios), blocks = 0;

	if (kb > 15 * 1024) {
		blocks = (kb - 15 * 1024) / 64;
		kb = 15 * 1024;
	}
	if (blocks > 0xffff)
		blocks = 0xffff;
	set_ax(c, (unsigned)kb);
	set_cx(c, (unsigned)kb);
	set_bx(c, (unsigned)blocks);
	set_dx(c, (unsigned)blocks);
	set_cf(c, false);
	return (BIOS_DONE);
}

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_entry {
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

/* Entry INDEX of the memory map; false behind the last. */
static bool
e820_entry(const struct bios *b, unsigned index, struct e820_entry *e)
{
	const uint64_t low_top = (uint64_t)BASE_MEMORY_KB * 1024;
	const struct e820_entry map[] = {
	    {0, low_top, E820_RAM},
	    {low_top, 0xa0000 - low_top, E820_RESERVED},
	    {ROM_BASE, ROM_SIZE, E820_RESERVED},
	    {0x100000, b->mem->low_size > 0x100000 ? b->mem->low_size - 0x100000 : 0, E820_RAM},
	    {MEMORY_HIGH_BASE, b->mem->high_size, E820_RAM},
	};
	unsigned seen = 0;

	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (map[i].length != 0 && seen++ == index) {
			*e = map[i];
			return (true);
		}
	}
	return (false);
}

#define SMAP 0x534d4150u

/* EBX = which entry, ES:DI = buffer of ECX bytes, EDX = 'SMAP'; 20 bytes are given. */
static enum bios_result
int15_e820_memory_map(struct bios_call *c)
{
	uint32_t index = (uint32_t)c->s->gpr.reg[GPR_RBX];
	uint32_t size = (uint32_t)c->s->gpr.reg[GPR_RCX];
	struct e820_entry e, next;

	if ((uint32_t)c->s->gpr.reg[GPR_RDX] != SMAP || size < sizeof(e) ||
	    !e820_entry(c->bios, index, &e) ||
	    !memory_write(c->bios->mem, linear(c, SEG_ES, di(c)), &e, sizeof(e)))
		return (int15_unsupported(c));
	set_reg32(c, GPR_RAX, SMAP);
	set_reg32(c, GPR_RCX, sizeof(e));
	set_reg32(c, GPR_RBX, e820_entry(c->bios, index + 1, &next) ? index + 1 : 0);
	set_cf(c, false);
	return (BIOS_DONE);
}

enum bios_result
int15_unsupported(struct bios_call *c)
{
	return (finish(c, UNSUPPORTED));
}

const struct bios_service int15_services[] = {
    {0x2400, true, "a20_off", int15_2400_a20_off},
    {0x2401, true, "a20_on", int15_2401_a20_on},
    {0x2402, true, "a20_status", int15_2402_a20_status},
    {0x2403, true, "a20_support", int15_2403_a20_support},
    {0x4f, false, "keyboard_intercept", int15_4f_keyboard_intercept},
    {0x52, false, "media_eject", NULL},
    {0x53, false, "apm", NULL},
    {0x80, false, "device_open", int15_hook},
    {0x81, false, "device_close", int15_hook},
    {0x82, false, "program_end", int15_hook},
    {0x83, false, "event_wait", NULL},
    {0x85, false, "sysreq", int15_hook},
    {0x86, false, "wait", int15_86_wait},
    {0x87, false, "move_block", int15_87_move_block},
    {0x88, false, "extended_memory", int15_88_extended_memory},
    {0x89, false, "protected_mode", NULL},
    {0x90, false, "device_busy", int15_hook},
    {0x91, false, "interrupt_complete", int15_hook},
    {0xc0, false, "configuration", int15_c0_configuration},
    {0xc1, false, "ebda", int15_c1_ebda},
    {0xc2, false, "mouse", NULL},
    {0xe801, true, "memory_size", int15_e801_memory_size},
    {0xe820, true, "memory_map", int15_e820_memory_map},
    {0},
};
