/* INT 18h and 19h: what to boot from, in order; BIOS Boot Specification 1.01, 3.2 and 6. */
#include "bios/call.h"

#define BOOT_ADDRESS 0x7c00u
#define BOOT_SIGNATURE 0xaa55u
/* Which place of the boot order is being tried: kept in the EBDA, since the BIOS has no memory. */
#define EBDA_BOOT_INDEX (EBDA_SEGMENT * 16u + 0x80)

static void
say(struct bios *b, const char *text)
{
	for (; *text != '\0'; text++)
		video_teletype(b, 0, (uint8_t)*text, -1);
}

static struct block *
drive_block(struct bios *b, uint8_t drive)
{
	if (drive < BIOS_FLOPPIES)
		return (b->floppy[drive].block);
	if (drive >= 0x80 && drive < 0x80 + BIOS_DISKS)
		return (b->disk[drive - 0x80].block);
	return (NULL);
}

/* Load the boot sector of DRIVE; false: cannot be read, or not bootable. */
static bool
load_boot_sector(struct bios *b, uint8_t drive)
{
	struct block *block = drive_block(b, drive);
	uint8_t sector[BLOCK_SECTOR];

	if (block == NULL || block_read(block, 0, 1, sector) != 0)
		return (false);
	/* Floppies boot without the signature on many BIOSes, hard disks need it. */
	if (drive >= 0x80 && (sector[510] | sector[511] << 8) != BOOT_SIGNATURE)
		return (false);
	return (memory_write(b->mem, BOOT_ADDRESS, sector, sizeof(sector)));
}

/* All data segments are SEGMENT from now on. */
static void
set_data_segments(struct bios_call *c, uint16_t segment)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_SS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < sizeof(data); i++) {
		c->s->sregs.seg[data[i]].selector = segment;
		c->s->sregs.seg[data[i]].base = (uint64_t)segment << 4;
	}
}

/* A program that was loaded into memory, as the Linux boot protocol wants it: interrupts off. */
static enum bios_result
start_direct(struct bios_call *c)
{
	const struct bios_direct *d = &c->bios->direct;

	set_data_segments(c, d->data_segment);
	set_reg32(c, GPR_RSP, d->stack_pointer);
	c->s->gpr.rflags = RFLAGS_1;
	return (go_to(c, d->code_segment, 0));
}

/* Multiboot Specification 0.6.96, 3.2: flat segments of 32 bits, interrupts and paging off. */
static enum bios_result
start_protected(struct bios_call *c)
{
	const struct bios_direct *d = &c->bios->direct;
	struct vcpu_sregs *sr = &c->s->sregs;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		sr->seg[i] = (struct x86_segment){
		    .selector = 0x10, .limit = UINT32_MAX, .access = AR_G | AR_DB | 0x93};
	sr->seg[SEG_CS].selector = 0x08;
	sr->seg[SEG_CS].access = AR_G | AR_DB | 0x9b;
	sr->cr0 |= CR0_PE;
	c->s->gpr.rflags = RFLAGS_1;
	set_reg32(c, GPR_RAX, d->eax);
	set_reg32(c, GPR_RBX, d->ebx);
	c->s->gpr.rip = d->entry;
	c->dirty |= VCPU_SREGS | VCPU_GPR;
	return (BIOS_GO);
}

/* As a BIOS hands over: DL = drive, AX = AA55, segments 0, stack below the boot sector. */
static enum bios_result
start(struct bios_call *c, uint8_t drive)
{
	set_data_segments(c, 0);
	set_reg32(c, GPR_RAX, BOOT_SIGNATURE);
	set_reg32(c, GPR_RBX, 0);
	set_reg32(c, GPR_RCX, 0);
	set_reg32(c, GPR_RSI, 0);
	set_reg32(c, GPR_RDI, 0);
	set_reg32(c, GPR_RBP, 0);
	set_reg32(c, GPR_RDX, drive);
	set_reg32(c, GPR_RSP, BOOT_ADDRESS);
	c->s->gpr.rflags = RFLAGS_1 | RFLAGS_IF;
	return (go_to(c, 0, BOOT_ADDRESS));
}

/* Try the boot order from INDEX on. */
static enum bios_result
boot_from(struct bios_call *c, unsigned index)
{
	struct bios *b = c->bios;

	for (; index < BIOS_BOOT_MAX && b->boot_order[index] != 0xff; index++) {
		memory_put8(b->mem, EBDA_BOOT_INDEX, (uint8_t)index);
		if (load_boot_sector(b, b->boot_order[index]))
			return (start(c, b->boot_order[index]));
	}
	memory_put8(b->mem, EBDA_BOOT_INDEX, BIOS_BOOT_MAX);
	say(b, "\r\nNo bootable device.\r\n");
	return (go_to(c, ROM_SEGMENT, ROM_IDLE));
}

enum bios_result
int19_boot(struct bios_call *c)
{
	if (!c->bios->direct.there)
		return (boot_from(c, 0));
	return (c->bios->direct.protected_mode ? start_protected(c) : start_direct(c));
}

/* What was booted gave up: on to the next device. */
enum bios_result
int18_no_boot(struct bios_call *c)
{
	return (boot_from(c, memory_get8(c->bios->mem, EBDA_BOOT_INDEX) + 1u));
}
