/*
 * Only in a build with -Dinsn_coverage=true: what has been decoded, by row of the instruction table
 * and by mode. tools/coverage makes docs/instruction-coverage.md of it.
 */
#ifndef CPU_COVERAGE_H
#define CPU_COVERAGE_H

#include "cpu/insn.h"

/*
 * OP, an instruction with this Zydis MNEMONIC, was decoded to be run. At the end of the process what
 * was noted is written to a file in the folder $INSN_COVERAGE, a line `NAME MODE` each.
 */
void insn_coverage(const struct cpu *c, const struct op *op, unsigned mnemonic);

#endif
