/*
 * One call to the pseudo BIOS, as its handlers see it: the caller's registers, the FLAGS image on
 * its stack, its memory. Only src/bios includes this.
 */
#ifndef BIOS_CALL_H
#define BIOS_CALL_H

#include "bios/bda.h"
#include "bios/bios.h"
#include "bios/layout.h"
#include "bios/services.h"

struct bios_call {
	struct bios *bios;
	struct vcpu_state *s;
	unsigned slot; /* vector, or SLOT_* */
	struct bios_recent_call *recent;
	uint64_t flags_at; /* physical address of the FLAGS image */
	unsigned dirty;	   /* groups that changed */
};

extern const struct bios_service int10_services[], int13_services[], int14_services[],
    int15_services[], int16_services[], int17_services[], int1a_services[];
bios_handler int10_unsupported, int13_unsupported, int14_unsupported, int15_unsupported,
    int16_unsupported, int17_unsupported, int1a_unsupported;
bios_handler int02_nmi, int05_print_screen, int11_equipment, int12_memory_size, int18_no_boot,
    int19_boot, int40_floppy;
bios_handler post, irq0_tick, irq1_key, irq_low, irq_high, irq6_floppy, irq8_rtc, irq9_redirect;

/* --- registers ---------------------------------------------------------------------------------- */

#define CALL_REG16(name, index) \
	static inline uint16_t name(const struct bios_call *c) \
	{ \
		return ((uint16_t)c->s->gpr.reg[index]); \
	} \
	static inline void set_##name(struct bios_call *c, unsigned value) \
	{ \
		c->s->gpr.reg[index] = (c->s->gpr.reg[index] & ~0xffffull) | (value & 0xffff); \
		c->dirty |= VCPU_GPR; \
	}
#define CALL_REG8(name, index, shift) \
	static inline uint8_t name(const struct bios_call *c) \
	{ \
		return ((uint8_t)(c->s->gpr.reg[index] >> (shift))); \
	} \
	static inline void set_##name(struct bios_call *c, unsigned value) \
	{ \
		c->s->gpr.reg[index] = (c->s->gpr.reg[index] & ~(0xffull << (shift))) | \
		    (uint64_t)(value & 0xff) << (shift); \
		c->dirty |= VCPU_GPR; \
	}
CALL_REG16(ax, GPR_RAX)
CALL_REG16(bx, GPR_RBX)
CALL_REG16(cx, GPR_RCX)
CALL_REG16(dx, GPR_RDX)
CALL_REG16(si, GPR_RSI)
CALL_REG16(di, GPR_RDI)
CALL_REG16(bp, GPR_RBP)
CALL_REG8(al, GPR_RAX, 0)
CALL_REG8(ah, GPR_RAX, 8)
CALL_REG8(bl, GPR_RBX, 0)
CALL_REG8(bh, GPR_RBX, 8)
CALL_REG8(cl, GPR_RCX, 0)
CALL_REG8(ch, GPR_RCX, 8)
CALL_REG8(dl, GPR_RDX, 0)
CALL_REG8(dh, GPR_RDX, 8)

/* A whole 32-bit register. */
static inline void
set_reg32(struct bios_call *c, enum x86_gpr reg, uint32_t value)
{
	c->s->gpr.reg[reg] = value;
	c->dirty |= VCPU_GPR;
}

/* Linear address of OFFSET in a segment register: no wrap at 64 KB. */
static inline uint64_t
linear(const struct bios_call *c, enum x86_seg_index seg, uint16_t offset)
{
	return (c->s->sregs.seg[seg].base + offset);
}

/* --- the FLAGS image on the caller's stack ---------------------------------------------------------- */

static inline void
set_flag(struct bios_call *c, uint16_t flag, bool on)
{
	uint16_t image = memory_get16(c->bios->mem, c->flags_at);

	memory_put16(c->bios->mem, c->flags_at, (uint16_t)(on ? image | flag : image & ~flag));
}

static inline void
set_cf(struct bios_call *c, bool on)
{
	set_flag(c, RFLAGS_CF, on);
}

/* AH = STATUS, CF = STATUS is not 0. */
static inline enum bios_result
finish(struct bios_call *c, uint8_t status)
{
	set_ah(c, status);
	set_cf(c, status != 0);
	return (BIOS_DONE);
}

/* Send the CPU to SEGMENT:OFFSET. */
static inline enum bios_result
go_to(struct bios_call *c, uint16_t segment, uint16_t offset)
{
	c->s->sregs.seg[SEG_CS].selector = segment;
	c->s->sregs.seg[SEG_CS].base = (uint64_t)segment << 4;
	c->s->gpr.rip = offset;
	c->dirty |= VCPU_SREGS | VCPU_GPR;
	return (BIOS_GO);
}

/* --- memory, ports ---------------------------------------------------------------------------------- */

static inline uint8_t
bda8(const struct bios *b, unsigned offset)
{
	return (memory_get8(b->mem, BDA + offset));
}

static inline uint16_t
bda16(const struct bios *b, unsigned offset)
{
	return (memory_get16(b->mem, BDA + offset));
}

static inline void
set_bda8(struct bios *b, unsigned offset, unsigned value)
{
	memory_put8(b->mem, BDA + offset, (uint8_t)value);
}

static inline void
set_bda16(struct bios *b, unsigned offset, unsigned value)
{
	memory_put16(b->mem, BDA + offset, (uint16_t)value);
}

static inline void
set_vector(struct bios *b, unsigned vector, uint16_t segment, uint16_t offset)
{
	memory_put32(b->mem, vector * 4u, (uint32_t)segment << 16 | offset);
}

static inline uint8_t
inb(struct bios *b, uint16_t port)
{
	return ((uint8_t)bus_in(b->bus, port, 1));
}

static inline void
outb(struct bios *b, uint16_t port, unsigned value)
{
	bus_out(b->bus, port, 1, value & 0xff);
}

static inline uint8_t
cmos_read(struct bios *b, uint8_t reg)
{
	outb(b, 0x70, reg);
	return (inb(b, 0x71));
}

static inline void
cmos_write(struct bios *b, uint8_t reg, unsigned value)
{
	outb(b, 0x70, reg);
	outb(b, 0x71, value);
}

/* --- shared services ----------------------------------------------------------------------------------- */

/* int10.c: set a video mode with a cleared screen; write CH as teletype on PAGE. */
void video_set_mode(struct bios *b, uint8_t mode);
void video_teletype(struct bios *b, uint8_t page, uint8_t ch, int attribute);
/* int16.c: put a key (scan code and character) into the ring; false when full. */
bool keyboard_put(struct bios *b, uint16_t key);
/* post.c: where low memory ends, in KB. */
#define BASE_MEMORY_KB 639
#define EBDA_SEGMENT 0x9fc0
#define EBDA_KB 1

#endif
