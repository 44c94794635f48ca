/* Registers in the form of QEMU's monitor ("info registers"), for programs that read that. */
#ifndef INSPECT_QEMU_H
#define INSPECT_QEMU_H

#include <stdbool.h>
#include <stdio.h>

#include "arch/vcpu_state.h"

/* Print S as QEMU 7.2 does; A20 is the state of that gate. */
void qemu_info_registers(FILE *out, const struct vcpu_state *s, bool a20);

#endif
