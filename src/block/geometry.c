/*
 * Geometries: the standard floppy formats, and what a BIOS says of a hard disk. Partition tables:
 * Phoenix BIOS Enhanced Disk Drive Specification 1.1, section 4; UEFI 2.x, 5.2 and 5.3, for GPT.
 */
#include <stdio.h>
#include <string.h>

#include "block/block.h"

#define TABLE_OFFSET 0x1be
#define TABLE_ENTRIES 4
#define TYPE_EMPTY 0x00
#define TYPE_GPT 0xee /* protective: its CHS and sizes are made up */
#define CYLINDERS_MAX 1024u

/* By size; where two share one, the one that a drive of its time would take for it. */
static const struct floppy_format floppy_formats[] = {
    {1, {40, 1, 8}},  /* 160 KB */
    {1, {40, 1, 9}},  /* 180 KB */
    {1, {40, 2, 8}},  /* 320 KB */
    {1, {40, 2, 9}},  /* 360 KB */
    {3, {80, 2, 9}},  /* 720 KB */
    {2, {80, 2, 15}}, /* 1.2 MB */
    {4, {80, 2, 18}}, /* 1.44 MB */
    {5, {80, 2, 36}}, /* 2.88 MB */
};

struct partition {
	uint8_t status;
	uint8_t start_chs[3];
	uint8_t type;
	uint8_t end_chs[3];
	uint8_t lba[4];
	uint8_t sectors[4];
};

static uint32_t
get32(const uint8_t *bytes)
{
	return ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	    (uint32_t)bytes[3] << 24);
}

static uint64_t
get64(const uint8_t *bytes)
{
	return (get32(bytes) | (uint64_t)get32(bytes + 4) << 32);
}

const struct floppy_format *
floppy_format_for(uint64_t sectors)
{
	for (size_t i = 0; i < sizeof(floppy_formats) / sizeof(floppy_formats[0]); i++) {
		const struct block_geometry *g = &floppy_formats[i].geometry;

		if (sectors <= (uint64_t)g->cylinders * g->heads * g->sectors)
			return (&floppy_formats[i]);
	}
	return (NULL);
}

/*
 * The partition table of the disk. False when there is none: no signature, or bytes in its place
 * that are not one (the boot sector of an unpartitioned disk has code there).
 */
static bool
read_table(struct block *block, struct partition table[TABLE_ENTRIES])
{
	uint8_t mbr[BLOCK_SECTOR];

	if (block_read(block, 0, 1, mbr) != 0 || mbr[510] != 0x55 || mbr[511] != 0xaa)
		return (false);
	memcpy(table, mbr + TABLE_OFFSET, sizeof(struct partition) * TABLE_ENTRIES);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		if ((table[i].status & 0x7f) != 0)
			return (false);
	return (true);
}

static bool
entry_used(const struct partition *entry)
{
	return (entry->type != TYPE_EMPTY && entry->type != TYPE_GPT && get32(entry->sectors) != 0);
}

static unsigned
chs_head(const uint8_t chs[3])
{
	return (chs[0]);
}

static unsigned
chs_sector(const uint8_t chs[3])
{
	return (chs[1] & 0x3fu);
}

static unsigned
chs_cylinder(const uint8_t chs[3])
{
	return (chs[2] | (chs[1] & 0xc0u) << 2);
}

/* Whether CHS names sector LBA in this geometry; beyond cylinder 1023 anything may stand there. */
static bool
chs_matches(const uint8_t chs[3], uint64_t lba, unsigned heads, unsigned sectors)
{
	if (lba / sectors / heads >= CYLINDERS_MAX - 1)
		return (true);
	return (chs_cylinder(chs) == lba / sectors / heads &&
	    chs_head(chs) == lba / sectors % heads && chs_sector(chs) == lba % sectors + 1);
}

static bool
table_matches(const struct partition table[TABLE_ENTRIES], unsigned heads, unsigned sectors)
{
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		uint64_t first = get32(table[i].lba);

		if (!entry_used(&table[i]))
			continue;
		if (!chs_matches(table[i].start_chs, first, heads, sectors) ||
		    !chs_matches(
			table[i].end_chs, first + get32(table[i].sectors) - 1, heads, sectors))
			return (false);
	}
	return (true);
}

/* The heads and sectors that every entry agrees on; false when none fit. */
static bool
table_geometry(const struct partition table[TABLE_ENTRIES], struct block_geometry *geometry)
{
	/* What partitioning programs use, for partitions that end inside a cylinder. */
	static const struct {
		uint8_t heads, sectors;
	} usual[] = {{255, 63}, {16, 63}, {240, 63}, {128, 63}, {64, 63}, {32, 63}, {64, 32}};
	bool any = false;

	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		unsigned heads = chs_head(table[i].end_chs) + 1;
		unsigned sectors = chs_sector(table[i].end_chs);

		if (!entry_used(&table[i]))
			continue;
		any = true;
		if (sectors == 0 || heads > 255 || !table_matches(table, heads, sectors))
			continue;
		geometry->heads = heads;
		geometry->sectors = sectors;
		return (true);
	}
	for (size_t i = 0; any && i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (!table_matches(table, usual[i].heads, usual[i].sectors))
			continue;
		geometry->heads = usual[i].heads;
		geometry->sectors = usual[i].sectors;
		return (true);
	}
	return (false);
}

/* LBA-assisted translation: as few heads as keep the disk within 1024 cylinders. */
static struct block_geometry
assisted_geometry(uint64_t total)
{
	struct block_geometry geometry = {.heads = 16, .sectors = 63};

	while (geometry.heads < 128 && total > (uint64_t)CYLINDERS_MAX * geometry.heads * 63)
		geometry.heads *= 2;
	if (total > (uint64_t)CYLINDERS_MAX * geometry.heads * 63)
		geometry.heads = 255;
	return (geometry);
}

struct block_geometry
block_disk_geometry(struct block *block)
{
	struct partition table[TABLE_ENTRIES];
	struct block_geometry geometry;
	uint64_t total = block_sectors(block), cylinders;

	if (!read_table(block, table) || !table_geometry(table, &geometry))
		geometry = assisted_geometry(total);
	cylinders = total / geometry.heads / geometry.sectors;
	if (cylinders > CYLINDERS_MAX)
		cylinders = CYLINDERS_MAX;
	geometry.cylinders = cylinders > 0 ? (uint32_t)cylinders : 1;
	return (geometry);
}

static int
refuse_partition(struct block_error *err, const char *what, uint64_t end, uint64_t total)
{
	err->error = 0;
	snprintf(err->text, sizeof(err->text),
	    "%s reaches to sector %llu, but the image ends at sector %llu: it was cut short", what,
	    (unsigned long long)end - 1, (unsigned long long)total - 1);
	return (-1);
}

/* UEFI 5.3.2: the header's field LastUsableLBA. */
static int
check_gpt(struct block *block, struct block_error *err)
{
	uint8_t header[BLOCK_SECTOR];
	uint64_t last, total = block_sectors(block);

	if (block_read(block, 1, 1, header) != 0 || memcmp(header, "EFI PART", 8) != 0)
		return (0);
	last = get64(header + 48);
	if (last < total)
		return (0);
	return (refuse_partition(err, "its GPT", last < UINT64_MAX ? last + 1 : last, total));
}

int
block_check_partitions(struct block *block, struct block_error *err)
{
	struct partition table[TABLE_ENTRIES];
	uint64_t total = block_sectors(block);

	*err = (struct block_error){.error = 0};
	if (!read_table(block, table))
		return (0);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		uint64_t end = (uint64_t)get32(table[i].lba) + get32(table[i].sectors);
		char what[16];

		snprintf(what, sizeof(what), "partition %u", i + 1);
		if (entry_used(&table[i]) && end > total)
			return (refuse_partition(err, what, end, total));
		if (table[i].type == TYPE_GPT && check_gpt(block, err) != 0)
			return (-1);
	}
	return (0);
}
