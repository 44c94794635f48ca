/*
 * GDB's remote protocol ("GDB Remote Serial Protocol", appendix E of the GDB manual), for one guest
 * and one GDB at a time. The server lives in the run loop: gdb_poll() looks for a connection and for
 * Ctrl-C, gdb_stop() talks to GDB until the guest is to go on.
 *
 * Registers have the width of the mode that the CPU is in when GDB connects; EIP is linear (CS.base
 * added), so that breakpoints and disassembly work in real mode too. Memory is linear. A BIOS call is
 * one step; a step that begins in the BIOS's ROM is an instruction there.
 */
#ifndef INSPECT_GDB_H
#define INSPECT_GDB_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

struct gdb;

/* Why the guest stands. */
enum gdb_why { GDB_CONNECTED, GDB_BREAK, GDB_INTERRUPT, GDB_ENDED };

/*
 * Listen on ADDRESS ("[HOST:]PORT"; HOST is 127.0.0.1 unless given; port 0 is any). NULL with ERR.
 */
struct gdb *gdb_listen(struct machine *m, const char *address, struct vmm_error *err);
/* The port that it listens on. */
uint16_t gdb_port(const struct gdb *g);
void gdb_close(struct gdb *g);
/* Wait until a GDB has connected and lets the guest go on, or the run ends. */
void gdb_wait(struct gdb *g);
/* Between stretches of guest code: a GDB that connects or sends Ctrl-C stops the guest. */
void gdb_poll(struct gdb *g);
/* The guest stands: tell GDB, and talk until it is to go on. */
void gdb_stop(struct gdb *g, enum gdb_why why);

#endif
