/*
 * The pseudo BIOS: each interrupt of a PC's BIOS served in host C when the guest runs into its
 * slot in the ROM. It keeps no state but in guest memory, CMOS and the chips: struct bios is what
 * the board tells it once.
 *
 * Sources: IBM PC/AT Technical Reference (BIOS listing), Phoenix EDD 3.0, ACPI 15 (E820), Ralf
 * Brown's interrupt list for what programs expect.
 */
#ifndef BIOS_BIOS_H
#define BIOS_BIOS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/vcpu_state.h"
#include "bios/counts.h"
#include "bios/recent.h"
#include "bios/services.h"
#include "block/block.h"
#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/memory.h"

#define BIOS_FLOPPIES 2
#define BIOS_DISKS 8
#define BIOS_BOOT_MAX 3

struct bios_disk {
	struct block *block;		/* NULL: no such drive */
	struct block_geometry geometry; /* as INT 13h presents it */
	uint8_t drive_type;		/* floppies: CMOS type */
};

/* What observers (text console) may hang on. */
struct bios_observer {
	/* INT 10h teletype wrote CH. */
	void (*putc)(void *opaque, uint8_t ch);
	void *opaque;
};

/* A call, as those see it who trace calls. */
struct bios_event {
	unsigned vector;
	const struct bios_count *counted; /* what it is counted as */
	const char *name;		  /* of the service; NULL: nobody has heard of it */
	const struct vcpu_state *state;
	uint64_t flags_at; /* physical address of the FLAGS image */
};

struct bios_tracer {
	/* A call is about to be served, for the first time or again because it waits. */
	void (*call)(void *opaque, const struct bios_event *event);
	/* It was: the state and FLAGS are what the caller gets; BIOS_WAIT: it will be served again. */
	void (*done)(void *opaque, const struct bios_event *event, enum bios_result result);
	void *opaque;
};

/* A program that a loader put into memory. */
struct bios_direct {
	bool there;
	bool protected_mode; /* with EAX, EBX as below (multiboot); else in real mode */
	uint32_t entry, eax, ebx;
	uint16_t code_segment; /* entered at offset 0 */
	uint16_t data_segment; /* DS, ES, SS, FS, GS */
	uint16_t stack_pointer;
};

struct bios {
	struct memory *mem;
	struct bus *bus;
	struct clock *clock;
	struct bios_disk floppy[BIOS_FLOPPIES];
	struct bios_disk disk[BIOS_DISKS];
	bool no_fpu;			   /* the CPU has no x87: the equipment word says so */
	struct bios_direct direct;	   /* what INT 19h starts instead of a boot sector */
	uint8_t boot_order[BIOS_BOOT_MAX]; /* drive numbers 00h, 80h, ...; 0xff ends */
	/* Wake a sleeping CPU at guest time DEADLINE (ns), without an interrupt. */
	void (*wake_at)(void *opaque, uint64_t deadline);
	void *opaque;
	struct bios_observer observer;
	struct bios_tracer tracer;
	uint64_t calls[256]; /* by vector; one that waits, when it has what it waited for */
	uint64_t unknown;    /* calls that nobody serves */
	struct bios_recent recent;
	struct bios_counts counts; /* by service */
};

/*
 * The guest wrote to TRAP_PORT, and RIP is behind the OUT. Serve the slot it is in; returns the
 * groups of STATE that were changed (enum vcpu_group), 0 when it was not from a slot.
 */
unsigned bios_trap(struct bios *bios, struct vcpu_state *state);

#endif
