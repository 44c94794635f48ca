/*
 * vmmctl's output: what it prints of a VM, each item by the name of its option, in the order and
 * the formats of July 2012.
 */
#ifndef INSPECT_DUMP_H
#define INSPECT_DUMP_H

#include <jansson.h>
#include <stdio.h>

#include "machine/machine.h"
#include "vmm/vmm.h"

/* Print everything, as vmmctl --get-all. 0, or -1 with ERR when the VM cannot be read. */
int dump_all(FILE *out, struct vmctx *ctx, int vcpu, struct vmm_error *err);
/* Print what the option get-WHAT shows ("cr0", "desc-cs", "vmcs-eptp"). 1 if there is no such. */
int dump_one(FILE *out, struct vmctx *ctx, int vcpu, const char *what, struct vmm_error *err);
/* Print all counters, as vmmctl --get-stats. */
int dump_stats(FILE *out, struct vmctx *ctx, int vcpu, struct vmm_error *err);
/*
 * Call EACH for every counter with its name, which is good during the call. COUNTS are the board's;
 * NULL: as in the VM's state, if it has a board.
 */
int dump_each_stat(struct vmctx *ctx, int vcpu, const struct machine_counts *counts,
    void (*each)(void *opaque, const char *name, uint64_t value), void *opaque,
    struct vmm_error *err);

/*
 * The same for programs: members of OUT (a JSON object), by the names of the options. Numbers of
 * registers are text, "0x...": JSON's may lose bits.
 */
int dump_all_json(json_t *out, struct vmctx *ctx, int vcpu, struct vmm_error *err);
int dump_one_json(
    json_t *out, struct vmctx *ctx, int vcpu, const char *what, struct vmm_error *err);
int dump_stats_json(json_t *out, struct vmctx *ctx, int vcpu, const struct machine_counts *counts,
    struct vmm_error *err);

/* The name of item INDEX, for help texts; NULL behind the last. */
const char *dump_item_name(unsigned index);
/* The registers and descriptors that --set-WHAT and --set-desc-WHAT change: an enum vm_reg_name, or
 * -1. */
int dump_register_by_name(const char *what);

/* The block that bhyve prints when a VM exit ends a run. */
void dump_vmx_exit(FILE *out, int vcpu, const struct vm_exit *vmexit);
/* Any exit, as vmmctl --run shows it. */
void dump_exit(FILE *out, int vcpu, const struct vm_exit *vmexit);

#endif
