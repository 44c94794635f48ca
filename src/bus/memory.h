/*
 * Guest-physical memory. One reserved host range holds all of it: host address = base +
 * guest-physical address. RAM and ROM are mapped in from one file (a VM's memory file or a memfd,
 * file offset = guest-physical address); holes and the guard pages around it have no access.
 *
 * One memory map says for each page what it is. Engines listen for changes of the map (flush
 * TLBs, move slots) and for writes by anybody but the CPU (drop decoded code), therefore every
 * such writer (DMA, BIOS, loader, debugger, socket) goes through memory_write().
 *
 * The A20 gate (bit 20 of every physical address forced to 0 when off) is applied here.
 */
#ifndef BUS_MEMORY_H
#define BUS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MEMORY_A20 (1ull << 20)
#define MEMORY_REGIONS_MAX 64
#define MEMORY_LISTENERS_MAX 8
#define MEMORY_HIGH_BASE (1ull << 32) /* where memory above the PCI hole starts */

enum mem_type { MEM_NONE, MEM_RAM, MEM_ROM, MEM_MMIO };

struct mmio_ops {
	/* OFFSET from the region's start; SIZE 1, 2, 4 or 8, never across the region's end. */
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);
};

struct mem_region {
	uint64_t gpa;  /* multiple of 4096 */
	uint64_t size; /* multiple of 4096 */
	enum mem_type type;
	const struct mmio_ops *ops; /* MEM_MMIO only */
	void *opaque;
	const char *name;
};

struct memory_listener {
	/* The map of [gpa, gpa+size) changed (type or A20). */
	void (*changed)(void *opaque, uint64_t gpa, uint64_t size);
	/* Somebody who is not the CPU wrote there. */
	void (*written)(void *opaque, uint64_t gpa, uint64_t size);
	void *opaque;
};

struct memory {
	uint8_t *base;	/* host address of guest-physical 0 */
	uint64_t limit; /* end of the host range that may hold RAM: no page at or above it is RAM */
	uint64_t low_size;
	uint64_t high_size;
	uint64_t a20_mask; /* applied to every physical address */
	int fd;
	struct mem_region regions[MEMORY_REGIONS_MAX]; /* later ones lie over earlier ones */
	unsigned nregions;
	unsigned nbase;	       /* the first ones: RAM as memory_init() laid it */
	uint64_t plain_end[2]; /* from 0 and from 1 MB on up to here is nothing but that RAM */
	struct memory_listener listeners[MEMORY_LISTENERS_MAX];
	unsigned nlisteners;
	uint64_t mmio_reads, mmio_writes; /* by the CPU */
	void *reservation;
	size_t reservation_size;
};

/* What one page is. */
struct mem_page {
	enum mem_type type;
	uint8_t *host;			 /* RAM, ROM: its first byte */
	const struct mem_region *region; /* MMIO: who answers */
};

/*
 * Map LOW_SIZE bytes at 0 and HIGH_SIZE bytes at 4 GB (multiples of 4096; either may be 0) from
 * FD, which is grown sparsely if shorter. FD stays the caller's. WRITABLE false maps read-only.
 * Returns 0, or -1 with errno (ENOMEM: no address space; EFBIG, ENOSPC: from ftruncate).
 */
int memory_init(struct memory *mem, int fd, uint64_t low_size, uint64_t high_size, bool writable);
/*
 * COPY is SRC's memory and map as they are now, for trying things out: what is written to it stays
 * in it, and what SRC has mapped to devices reads as all ones. SRC must live as long. 0, or -1 with
 * errno.
 */
int memory_copy(struct memory *copy, const struct memory *src);
void memory_fini(struct memory *mem);

/* Lay a region over the map, [gpa, gpa+size) from now on is TYPE; -1 when the table is full. */
int memory_add_region(struct memory *mem, const struct mem_region *region);
/* Change the type of the region NAME that was added before. */
void memory_set_type(struct memory *mem, const char *name, enum mem_type type);
/* Put the region NAME at GPA (multiple of 4096) instead, as TYPE. */
void memory_move(struct memory *mem, const char *name, uint64_t gpa, enum mem_type type);
/* MEM's map becomes the N regions of REGIONS, the first ones its RAM, and its A20 gate as ON. */
void memory_take_map(struct memory *mem, const struct mem_region *regions, unsigned n, bool a20);
void memory_set_a20(struct memory *mem, bool on);
bool memory_get_a20(const struct memory *mem);
int memory_listen(struct memory *mem, const struct memory_listener *listener);
void memory_unlisten(struct memory *mem, const void *opaque);

/* The page at guest-physical GPA (A20 applied; offset in page ignored). */
struct mem_page memory_page(const struct memory *mem, uint64_t gpa);

/*
 * Copy out of / into RAM (and out of ROM). False, and nothing more is copied from there on, when
 * a page is not RAM (or ROM, for reads); never touches MMIO. memory_write tells the listeners.
 */
bool memory_read(const struct memory *mem, uint64_t gpa, void *buf, size_t len);
bool memory_write(struct memory *mem, uint64_t gpa, const void *buf, size_t len);
/* As memory_write, but may also fill ROM: for loaders. */
bool memory_load(struct memory *mem, uint64_t gpa, const void *buf, size_t len);
/* Whether [gpa, gpa+len) is RAM throughout. */
bool memory_is_ram(const struct memory *mem, uint64_t gpa, size_t len);
/*
 * Host pointer to [gpa, gpa+len) if that is RAM in one piece (A20 applied), else NULL. Who writes
 * through it calls memory_touched() afterwards.
 */
uint8_t *memory_span(const struct memory *mem, uint64_t gpa, size_t len);
void memory_touched(struct memory *mem, uint64_t gpa, size_t len);

/* Little-endian words in RAM; a read from elsewhere gives 0, a write to elsewhere does nothing. */
uint8_t memory_get8(const struct memory *mem, uint64_t gpa);
uint16_t memory_get16(const struct memory *mem, uint64_t gpa);
uint32_t memory_get32(const struct memory *mem, uint64_t gpa);
void memory_put8(struct memory *mem, uint64_t gpa, uint8_t value);
void memory_put16(struct memory *mem, uint64_t gpa, uint16_t value);
void memory_put32(struct memory *mem, uint64_t gpa, uint32_t value);

#endif
