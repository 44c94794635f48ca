/*
 * INT 13h: floppies and hard disks, by CHS and by EDD. IBM PC/AT Technical Reference; Enhanced
 * Disk Drive Specification 3.0 (Phoenix). Status codes as there, 4.1.
 */
#include <errno.h>
#include <string.h>

#include "bios/call.h"

enum disk_status {
	DISK_OK = 0x00,
	DISK_BAD_COMMAND = 0x01,
	DISK_WRITE_PROTECTED = 0x03,
	DISK_NOT_FOUND = 0x04, /* sector not found */
	DISK_CHANGED = 0x06,
	DISK_DMA_BOUNDARY = 0x09,
	DISK_CONTROLLER = 0x20,
	DISK_TIMEOUT = 0x80, /* not ready, no such drive */
	DISK_WRITE_FAULT = 0xcc,
};

#define IS_FLOPPY(drive) ((drive) < 0x80)
#define CHS_SECTORS_MAX 128u
#define EDD_SECTORS_MAX 127u

static struct bios_disk *
find_drive(struct bios *b, uint8_t drive)
{
	struct bios_disk *d = NULL;

	if (drive < BIOS_FLOPPIES)
		d = &b->floppy[drive];
	else if (drive >= 0x80 && drive < 0x80 + BIOS_DISKS)
		d = &b->disk[drive - 0x80];
	return (d != NULL && d->block != NULL ? d : NULL);
}

/* Return to the caller with STATUS in AH, CF and the data area; IF is set, as old BIOSes do. */
static enum bios_result
disk_done(struct bios_call *c, uint8_t status)
{
	set_bda8(c->bios, IS_FLOPPY(dl(c)) ? BDA_FLOPPY_STATUS : BDA_DISK_STATUS, status);
	set_flag(c, RFLAGS_IF, true);
	return (finish(c, status));
}

/* The drive of the call; without one the status is "timeout" for floppies, "bad command" else. */
static struct bios_disk *
call_drive(struct bios_call *c, enum bios_result *result)
{
	struct bios_disk *d = find_drive(c->bios, dl(c));

	if (d == NULL)
		*result = disk_done(c, IS_FLOPPY(dl(c)) ? DISK_TIMEOUT : DISK_BAD_COMMAND);
	return (d);
}

enum transfer { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_VERIFY };

static uint8_t
status_of(int error, enum transfer what)
{
	switch (error) {
	case 0:
		return (DISK_OK);
	case EINVAL:
		return (DISK_NOT_FOUND);
	case EROFS:
		return (DISK_WRITE_PROTECTED);
	default:
		return (what == TRANSFER_WRITE ? DISK_WRITE_FAULT : DISK_CONTROLLER);
	}
}

/* COUNT sectors between the image and guest memory at ADDRESS, in one piece if it is RAM. */
static uint8_t
transfer_direct(struct bios *b, struct block *block, enum transfer what, uint64_t lba,
    uint32_t count, uint64_t address)
{
	size_t len = (size_t)count * BLOCK_SECTOR;
	uint8_t *host = memory_span(b->mem, address, len);
	int error;

	if (host == NULL)
		return (DISK_DMA_BOUNDARY);
	if (what == TRANSFER_WRITE)
		return (status_of(block_write(block, lba, count, host), what));
	error = block_read(block, lba, count, host);
	memory_touched(b->mem, address, len);
	return (status_of(error, what));
}

/* As far as it goes; *DONE says how many sectors went well. */
static uint8_t
transfer(struct bios *b, struct bios_disk *d, enum transfer what, uint64_t lba, uint32_t count,
    uint64_t address, uint32_t *done)
{
	uint64_t total = block_sectors(d->block);
	uint32_t n = count;
	uint8_t status;

	*done = 0;
	if (lba >= total)
		return (DISK_NOT_FOUND);
	if (n > total - lba)
		n = (uint32_t)(total - lba);
	if (what == TRANSFER_WRITE && block_readonly(d->block))
		return (DISK_WRITE_PROTECTED);
	if (what != TRANSFER_VERIFY) {
		status = transfer_direct(b, d->block, what, lba, n, address);
		if (status != DISK_OK)
			return (status);
	}
	*done = n;
	return (n == count ? DISK_OK : DISK_NOT_FOUND);
}

/* --- by cylinder, head, sector ------------------------------------------------------------------------ */

static enum bios_result
chs_call(struct bios_call *c, enum transfer what)
{
	enum bios_result result;
	struct bios_disk *d = call_drive(c, &result);
	uint32_t cylinder = ch(c) | (cl(c) & 0xc0u) << 2, sector = cl(c) & 0x3f, done;
	const struct block_geometry *g;
	uint64_t lba;
	uint8_t status;

	if (d == NULL)
		return (result);
	g = &d->geometry;
	if (al(c) == 0 || al(c) > CHS_SECTORS_MAX || sector == 0)
		return (disk_done(c, DISK_BAD_COMMAND));
	if (cylinder >= g->cylinders || dh(c) >= g->heads || sector > g->sectors) {
		set_al(c, 0);
		return (disk_done(c, IS_FLOPPY(dl(c)) ? DISK_NOT_FOUND : DISK_BAD_COMMAND));
	}
	lba = ((uint64_t)cylinder * g->heads + dh(c)) * g->sectors + sector - 1;
	status = transfer(c->bios, d, what, lba, al(c), linear(c, SEG_ES, bx(c)), &done);
	set_al(c, done);
	return (disk_done(c, status));
}

static enum bios_result
int13_02_read(struct bios_call *c)
{
	return (chs_call(c, TRANSFER_READ));
}

static enum bios_result
int13_03_write(struct bios_call *c)
{
	return (chs_call(c, TRANSFER_WRITE));
}

static enum bios_result
int13_04_verify(struct bios_call *c)
{
	return (chs_call(c, TRANSFER_VERIFY));
}

/* --- state and parameters --------------------------------------------------------------------------------- */

static enum bios_result
int13_00_reset(struct bios_call *c)
{
	enum bios_result result;

	/* Resetting a hard disk resets floppies too; a drive that is not there is an error. */
	if (call_drive(c, &result) == NULL)
		return (result);
	return (disk_done(c, DISK_OK));
}

static enum bios_result
int13_01_status(struct bios_call *c)
{
	return (finish(c, bda8(c->bios, IS_FLOPPY(dl(c)) ? BDA_FLOPPY_STATUS : BDA_DISK_STATUS)));
}

static unsigned
drive_count(const struct bios *b, uint8_t drive)
{
	const struct bios_disk *list = IS_FLOPPY(drive) ? b->floppy : b->disk;
	unsigned max = IS_FLOPPY(drive) ? BIOS_FLOPPIES : BIOS_DISKS, n = 0;

	while (n < max && list[n].block != NULL)
		n++;
	return (n);
}

static void
point_es_di(struct bios_call *c, uint16_t segment, uint16_t offset)
{
	c->s->sregs.seg[SEG_ES].selector = segment;
	c->s->sregs.seg[SEG_ES].base = (uint64_t)segment << 4;
	c->dirty |= VCPU_SREGS;
	set_di(c, offset);
}

static enum bios_result
int13_08_parameters(struct bios_call *c)
{
	struct bios_disk *d = find_drive(c->bios, dl(c));
	unsigned n = drive_count(c->bios, dl(c)), last;
	uint8_t drive = dl(c);

	if (d == NULL && IS_FLOPPY(drive)) {
		/* A floppy drive that is not there: zeros, no error (IBM AT BIOS). */
		set_ax(c, 0);
		set_bx(c, 0);
		set_cx(c, 0);
		set_dx(c, n);
		set_cf(c, false);
		return (BIOS_DONE);
	}
	if (d == NULL)
		return (disk_done(c, 0x07));
	/* EDD, 4.2.3: the last cylinder that can be used. */
	last = d->geometry.cylinders - 1;
	if (last > 1023)
		last = 1023;
	set_al(c, 0);
	set_ch(c, last);
	set_cl(c, (last >> 8) << 6 | d->geometry.sectors);
	set_dh(c, d->geometry.heads - 1);
	set_dl(c, n);
	if (IS_FLOPPY(drive)) {
		set_bx(c, d->drive_type);
		point_es_di(c, ROM_SEGMENT, ROM_DISKETTE_TABLE);
	}
	set_bda8(c->bios, IS_FLOPPY(drive) ? BDA_FLOPPY_STATUS : BDA_DISK_STATUS, 0);
	set_flag(c, RFLAGS_IF, true);
	return (finish(c, DISK_OK));
}

/* Commands that have nothing to do on an image: 05 format needs more and is not among them. */
static enum bios_result
int13_nothing_to_do(struct bios_call *c)
{
	enum bios_result result;

	if (call_drive(c, &result) == NULL)
		return (result);
	return (disk_done(c, DISK_OK));
}

/* Hard disks only. */
static enum bios_result
int13_disk_nothing_to_do(struct bios_call *c)
{
	return (IS_FLOPPY(dl(c)) ? disk_done(c, DISK_BAD_COMMAND) : int13_nothing_to_do(c));
}

static enum bios_result
int13_15_type(struct bios_call *c)
{
	struct bios_disk *d = find_drive(c->bios, dl(c));
	uint64_t sectors;

	set_flag(c, RFLAGS_IF, true);
	set_cf(c, false);
	if (d == NULL) {
		set_ah(c, 0); /* no such drive */
		return (BIOS_DONE);
	}
	if (IS_FLOPPY(dl(c))) {
		set_ah(c, 1); /* no change line */
		return (BIOS_DONE);
	}
	sectors = (uint64_t)d->geometry.cylinders * d->geometry.heads * d->geometry.sectors;
	set_cx(c, (unsigned)(sectors >> 16));
	set_dx(c, (unsigned)sectors);
	set_ah(c, 3);
	return (BIOS_DONE);
}

static enum bios_result
int13_16_change(struct bios_call *c)
{
	enum bios_result result;

	if (call_drive(c, &result) == NULL)
		return (result);
	return (disk_done(c, IS_FLOPPY(dl(c)) ? DISK_OK : DISK_BAD_COMMAND));
}

/* --- EDD ------------------------------------------------------------------------------------------------------- */

static enum bios_result
int13_41_extensions(struct bios_call *c)
{
	enum bios_result result;

	if (IS_FLOPPY(dl(c)) || bx(c) != 0x55aa)
		return (disk_done(c, DISK_BAD_COMMAND));
	if (call_drive(c, &result) == NULL)
		return (result);
	set_bx(c, 0xaa55);
	set_cx(c, 0x0005); /* packet calls, EDD (48h) */
	disk_done(c, DISK_OK);
	set_ah(c, 0x30); /* EDD 3.0 */
	return (BIOS_DONE);
}

/* The disk address packet at DS:SI (EDD 3.0, 3.2). */
struct packet {
	uint8_t size;
	uint8_t reserved;
	uint16_t count;
	uint16_t offset, segment;
	uint64_t lba;
} __attribute__((packed));

static enum bios_result
edd_call(struct bios_call *c, enum transfer what)
{
	enum bios_result result;
	struct bios_disk *d = call_drive(c, &result);
	uint64_t at = linear(c, SEG_DS, si(c)), address;
	struct packet p;
	uint32_t done;
	uint8_t status;

	if (d == NULL)
		return (result);
	if (IS_FLOPPY(dl(c)) || !memory_read(c->bios->mem, at, &p, sizeof(p)) ||
	    p.size < sizeof(p) || p.count > EDD_SECTORS_MAX)
		return (disk_done(c, DISK_BAD_COMMAND));
	address = (uint64_t)p.segment * 16 + p.offset;
	/* A 64-bit address follows when the short one is FFFF:FFFF. */
	if (p.segment == 0xffff && p.offset == 0xffff && p.size >= 24 &&
	    !memory_read(c->bios->mem, at + 16, &address, sizeof(address)))
		return (disk_done(c, DISK_BAD_COMMAND));
	if (p.count == 0)
		return (disk_done(c, DISK_OK));
	status = transfer(c->bios, d, what, p.lba, p.count, address, &done);
	memory_put16(c->bios->mem, at + 2, (uint16_t)done);
	return (disk_done(c, status));
}

static enum bios_result
int13_42_extended_read(struct bios_call *c)
{
	return (edd_call(c, TRANSFER_READ));
}

static enum bios_result
int13_43_extended_write(struct bios_call *c)
{
	return (edd_call(c, TRANSFER_WRITE));
}

/* The result buffer of 48h (EDD 3.0, 3.8). */
struct edd_parameters {
	uint16_t size;
	uint16_t flags;
	uint32_t cylinders, heads, sectors;
	uint64_t total;
	uint16_t sector_size;
	uint32_t dpte; /* FFFFFFFF: none */
} __attribute__((packed));
#define EDD_SIZE_1 26
#define EDD_SIZE_2 30

static enum bios_result
int13_48_drive_parameters(struct bios_call *c)
{
	enum bios_result result;
	struct bios_disk *d = call_drive(c, &result);
	uint64_t at = linear(c, SEG_DS, si(c));
	uint16_t size = memory_get16(c->bios->mem, at);
	struct edd_parameters p;

	if (d == NULL)
		return (result);
	if (IS_FLOPPY(dl(c)) || size < EDD_SIZE_1)
		return (disk_done(c, DISK_BAD_COMMAND));
	p = (struct edd_parameters){
	    .size = size < EDD_SIZE_2 ? EDD_SIZE_1 : EDD_SIZE_2,
	    .flags = 0x0002, /* the geometry is valid */
	    .cylinders = d->geometry.cylinders,
	    .heads = d->geometry.heads,
	    .sectors = d->geometry.sectors,
	    .total = block_sectors(d->block),
	    .sector_size = BLOCK_SECTOR,
	    .dpte = UINT32_MAX,
	};
	if (!memory_write(c->bios->mem, at, &p, p.size))
		return (disk_done(c, DISK_BAD_COMMAND));
	return (disk_done(c, DISK_OK));
}

enum bios_result
int13_unsupported(struct bios_call *c)
{
	return (disk_done(c, DISK_BAD_COMMAND));
}

const struct bios_service int13_services[] = {
    {0x00, false, "reset", int13_00_reset},
    {0x01, false, "status", int13_01_status},
    {0x02, false, "read", int13_02_read},
    {0x03, false, "write", int13_03_write},
    {0x04, false, "verify", int13_04_verify},
    {0x05, false, "format", NULL},
    {0x08, false, "parameters", int13_08_parameters},
    {0x09, false, "set_parameters", int13_disk_nothing_to_do},
    {0x0c, false, "seek", int13_disk_nothing_to_do},
    {0x0d, false, "alternate_reset", int13_disk_nothing_to_do},
    {0x10, false, "ready", int13_disk_nothing_to_do},
    {0x11, false, "recalibrate", int13_disk_nothing_to_do},
    {0x14, false, "diagnose", int13_disk_nothing_to_do},
    {0x15, false, "type", int13_15_type},
    {0x16, false, "change", int13_16_change},
    {0x17, false, "set_media_type", NULL},
    {0x18, false, "set_media_geometry", NULL},
    {0x41, false, "extensions", int13_41_extensions},
    {0x42, false, "extended_read", int13_42_extended_read},
    {0x43, false, "extended_write", int13_43_extended_write},
    {0x44, false, "extended_verify", NULL},
    {0x45, false, "lock", NULL},
    {0x46, false, "eject", NULL},
    {0x47, false, "extended_seek", NULL},
    {0x48, false, "drive_parameters", int13_48_drive_parameters},
    {0x49, false, "extended_change", NULL},
    {0x4b, false, "cd_emulation", NULL},
    {0x4e, false, "hardware_configuration", NULL},
    {0},
};
