/* Instructions as text, for people. */
#ifndef CPU_DISASM_H
#define CPU_DISASM_H

#include <stddef.h>
#include <stdint.h>

#include "arch/vcpu_state.h"

#define DISASM_MAX 15 /* bytes of an instruction */

/* Width of the code that STATE runs: 16, 32 or 64. */
unsigned disasm_bits(const struct vcpu_state *state);
/*
 * Write the instruction in the SIZE bytes at CODE, as code of BITS at offset RIP, to TEXT of LENGTH
 * bytes, in Intel's syntax. Its length in bytes; 0 when that is none ("(bad)").
 */
unsigned disasm(
    const uint8_t *code, size_t size, unsigned bits, uint64_t rip, char *text, size_t length);

#endif
