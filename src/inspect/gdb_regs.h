/* GDB's registers: their order, widths and places, and the description of them that it asks for. */
#ifndef INSPECT_GDB_REGS_H
#define INSPECT_GDB_REGS_H

#include <stddef.h>
#include <stdint.h>

#include "arch/vcpu_state.h"

/* The sets of registers: by the mode at connection. */
enum gdb_set { GDB_I8086, GDB_I386, GDB_X86_64 };

enum gdb_set gdb_set_of(const struct vcpu_state *state);
unsigned gdb_reg_count(enum gdb_set set);
/* Bytes of register N. */
unsigned gdb_reg_size(enum gdb_set set, unsigned n);
/* Register N's bytes, little-endian, to or from BUF. */
void gdb_reg_get(enum gdb_set set, unsigned n, const struct vcpu_state *state, uint8_t *buf);
/* The groups (enum vcpu_group) of STATE that were changed. */
unsigned gdb_reg_set(enum gdb_set set, unsigned n, struct vcpu_state *state, const uint8_t *buf);
/* target.xml, NUL-terminated, to BUF of SIZE bytes. */
void gdb_target_xml(enum gdb_set set, char *buf, size_t size);

#endif
