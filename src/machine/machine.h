/*
 * The machine: the board that wires the chips to the bus, one vCPU, the pseudo BIOS, guest time,
 * and the run loop. Everything from outside comes in through machine_event().
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "bios/bios.h"
#include "bios/layout.h"
#include "bus/bus.h"
#include "bus/clock.h"
#include "device/debugcon.h"
#include "device/debugexit.h"
#include "device/i8042.h"
#include "device/i8237.h"
#include "device/i8254.h"
#include "device/i8259.h"
#include "device/lapic.h"
#include "device/mc146818.h"
#include "device/ns16550.h"
#include "device/port61.h"
#include "device/port92.h"
#include "device/portcf9.h"
#include "device/portf0.h"
#include "device/post80.h"
#include "device/vga.h"
#include "engine/engine.h"
#include "vmm/vmm.h"

#define MACHINE_COMS 4
#define MACHINE_LOOK_NS 10000000ull
#define MACHINE_ICOUNT_NS 10u /* guest ns an instruction takes under --clock icount */
#define MACHINE_EXIT_NS 1000u /* and an access to a device, as on ISA, in lockstep */

enum machine_clock { MACHINE_CLOCK_HOST, MACHINE_CLOCK_ICOUNT };

/* Why machine_run() came back. */
enum machine_end {
	MACHINE_RUNS,	   /* it did not: still running */
	MACHINE_POWER_OFF, /* the guest switched the power off */
	MACHINE_RESET,	   /* the guest reset the machine, and config.no_reboot is set */
	MACHINE_HALTED,	   /* HLT with interrupts off and nothing that could wake it */
	MACHINE_TRIPLE_FAULT,
	MACHINE_DEBUG_EXIT, /* OUT to the debug-exit port; exit_value has the byte */
	MACHINE_STOPPED,    /* somebody outside asked for it: EVENT_STOP */
	MACHINE_EXIT,	    /* an exit of the engine that only the caller understands */
};

/* What the machine asks of its host (the command that runs it). Any may be NULL. */
struct machine_host {
	/* Look at input, draw, run the script: about every POLL_NS of host time. */
	void (*poll)(void *opaque);
	/* Under icount: look at the script and at given input, every MACHINE_LOOK_NS of guest time. */
	void (*look)(void *opaque);
	/* A debugger's breakpoint was hit or its step is done; the guest goes on behind this. */
	void (*debug_stop)(void *opaque);
	/* The vCPU sleeps: wait for input, at most NS nanoseconds. */
	void (*idle)(void *opaque, uint64_t ns);
	/* A byte left COM NUMBER (0 = COM1). */
	void (*serial)(void *opaque, unsigned number, uint8_t byte);
	/* A byte was written to port E9h. */
	void (*debug)(void *opaque, uint8_t byte);
	void *opaque;
};

struct machine_config {
	enum machine_clock clock;
	bool no_reboot;
	int debug_exit_port;	 /* -1: none */
	unsigned coms;		 /* serial ports on the board, 1..4 */
	unsigned engine_options; /* enum engine_option */
	const struct engine_ops *engine;
	struct lockstep *lockstep; /* engine_lockstep's: which two */
	int cpu_model;		   /* as struct engine_world's */
	bool no_fpu;		   /* that model has no x87 */
	bool no_apic;		   /* nor a local APIC */
	struct machine_host host;
};

/* What comes from outside. */
enum machine_event_kind {
	MACHINE_EVENT_KEY,    /* value: a set-1 scan code byte */
	MACHINE_EVENT_SERIAL, /* value: a byte for COM number */
	MACHINE_EVENT_STOP,   /* end machine_run() with MACHINE_STOPPED */
	MACHINE_EVENT_RESET,  /* as if the reset button was pressed */
};

struct machine_event {
	enum machine_event_kind kind;
	unsigned number;
	uint8_t value;
	uint64_t when; /* guest ns; filled in by machine_event() */
};

/* What observers see. The machine never knows who they are. */
struct machine_observer {
	void (*event)(void *opaque, const struct machine_event *event);
	/* The engine came back: machine->vcpu.exit says why. */
	void (*exit)(void *opaque);
	/* Around every instruction, which then runs alone; both or neither. */
	void (*before)(void *opaque);
	void (*after)(void *opaque);
	void *opaque;
};

/* Guest time as it is kept in the state file. */
struct machine_time {
	uint64_t guest_ns;
	int64_t wall_offset;
};

/* What explain asks for, and the A20 gate: a section of the state file. */
struct machine_history {
	struct vcpu_history cpu;
	struct bios_recent bios;
	uint32_t a20;
};
/* What the board counts: a section of the state file. */
#define MACHINE_CHIPS 32
struct machine_counts {
	uint64_t unassigned; /* port accesses that nobody answered */
	uint64_t mmio_reads, mmio_writes;
	struct {
		char name[16]; /* empty behind the last */
		uint64_t reads, writes;
	} chips[MACHINE_CHIPS];
	struct bios_counts bios;
};
#define MACHINE_COUNTS_ID "counts"
#define MACHINE_COUNTS_VERSION 1

#define MACHINE_HISTORY_ID "history"
#define MACHINE_HISTORY_VERSION 2

struct machine {
	struct machine_config config;
	struct vmctx *ctx;
	struct memory *mem;
	struct vcpu_state *state;
	struct vcpu vcpu;
	struct bus bus;
	struct clock clock;
	struct machine_time time;
	struct machine_history history; /* as of the last machine_update() */
	struct machine_counts counts;	/* up to date after machine_update() */
	uint64_t counted_instructions;	/* of those that the VM's statistics have */
	uint64_t run_ns;		/* of run time that they do not have yet */
	uint64_t running_since;		/* host ns; 0: it does not run */
	uint64_t host_base;		/* host ns at guest time 0 */

	struct lapic lapic;
	struct i8259 pic[2];
	struct i8254 pit;
	struct port61 port61;
	struct port92 port92;
	struct mc146818 rtc;
	struct i8042 kbc;
	struct i8237 dma;
	struct vga vga;
	struct portcf9 portcf9;
	struct portf0 portf0;
	struct post80 post80;
	struct ns16550 com[MACHINE_COMS];
	struct debugcon debugcon;
	struct debugexit debugexit;
	struct bios bios;
	struct timer wake; /* of a BIOS call that waits */
	struct timer look; /* under icount: the host's look() */
	struct machine_observer observer;

	enum machine_end end;
	uint8_t exit_value;
	bool reset_pending;
	bool paused;	    /* machine_pause() */
	uint64_t paused_at; /* guest ns */
	bool kicked;	    /* machine_kick(): atomic */
	uint64_t resets;
	uint64_t next_poll; /* host ns */
	bool step;	    /* one instruction, then host.debug_stop() */
};

/*
 * Build the board around CTX, which this process runs (vmm_run_begin). M must not move afterwards.
 * Chips' sections found in CTX's state file are restored. 0, or -1 with ERR.
 */
int machine_init(struct machine *m, struct vmctx *ctx, const struct machine_config *config,
    struct vmm_error *err);
void machine_fini(struct machine *m);
/* Give the BIOS a drive: 00h.. are floppies, 80h.. hard disks. The block stays the caller's. */
void machine_add_drive(struct machine *m, uint8_t drive, struct block *block);
/* Run until something ends it. */
enum machine_end machine_run(struct machine *m);
/*
 * Let EVENT in, stamped with guest time. False: not now (the keyboard's or the line's buffer is
 * full); try again later.
 */
bool machine_event(struct machine *m, struct machine_event event);
/*
 * Hold the vCPU and guest time, until machine_resume(): machine_run() then only asks its host, whose
 * idle() is to wait. From the machine's own thread.
 */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
/* From any thread: have the host's poll() called soon, within an instruction or two. */
void machine_kick(struct machine *m);

/* Bring the VM's statistics, the counts and the history up to date. */
void machine_update(struct machine *m);

/* counts.c */
int counts_init(struct machine *m, struct vmm_error *err);
void counts_update(struct machine *m);
/* Run time begins, and ends. */
void counts_start(struct machine *m);
void counts_stop(struct machine *m);

/* board.c */
void board_init(struct machine *m);
void board_reset(struct machine *m);
int board_add_sections(struct machine *m, struct vmm_error *err);

#endif
