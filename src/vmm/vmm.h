/*
 * VM objects for the rest of the program: what vmmapi.h does not show, and what its calls stand on.
 *
 * Functions that take a struct vmm_error return 0 or a pointer, or -1 or NULL with the reason in it
 * and in errno; it may be NULL. What changes a VM stands between vmm_begin(VMM_WRITE) and
 * vmm_end(), what runs it between vmm_run_begin() and vmm_run_end(). They nest.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vmmapi.h>

#include "arch/vcpu_state.h"
#include "bus/memory.h"
#include "bus/section.h"
#include "vmm/error.h"
#include "vmx/view.h"
#include "vmx/vmx.h"

#define VMM_LOW_MAX (3ull << 30)     /* the PCI hole starts here */
#define VMM_MEMORY_MAX (64ull << 30) /* both segments together */
#define VMM_KEEP_MAX (64ull << 20)   /* memory that vmm_keep() keeps */
#define VMM_DRIVES_MAX 8

/* What a VM was loaded with, hence what it needs to run. */
enum vmm_firmware {
	VMM_FW_NONE,  /* nothing yet */
	VMM_FW_RAW,   /* a program at 0 that expects no board: the seed's pseudobios.bin */
	VMM_FW_ROM,   /* a pseudo BIOS ROM at F0000: needs the board */
	VMM_FW_DIRECT /* a kernel or flat program, loaded by bhyveload */
};

enum vmm_access {
	VMM_READ,
	VMM_WRITE,
	VMM_LOAD /* as VMM_WRITE, and of a killed VM too: vmm_reset() must follow */
};

/* Counters of a vCPU. The first VMM_STATS_2012 are those of the 2012 --get-all. */
enum vmm_stat {
	VMM_STAT_MIGRATIONS,
	VMM_STAT_RUNTIME, /* ns */
	VMM_STAT_EXIT_EXTINT,
	VMM_STAT_EXITS,
	VMM_STAT_EXIT_HYPERCALL,
	VMM_STAT_EXIT_HLT,
	VMM_STAT_EXIT_INOUT,
	VMM_STAT_EXIT_PAGING,
	VMM_STAT_EXIT_TRIPLE_FAULT,
	VMM_STAT_ENTRY_FAILED,
	VMM_STAT_INSTRUCTIONS,
	VMM_STAT_COUNT
};
#define VMM_STATS_2012 3

enum vmm_status { VMM_STOPPED, VMM_RUNNING, VMM_KILLED, VMM_DAMAGED };

/* One line of a list of VMs. */
struct vmm_info {
	char name[VM_MAX_NAMELEN];
	enum vmm_status status;
	pid_t runner; /* VMM_RUNNING */
	uint64_t low_size;
	uint64_t high_size;
	bool is_volatile;
	char problem[200]; /* VMM_DAMAGED */
};

/* A drive that the loader was given, for the board. */
struct vmm_drive {
	const char *path;
	bool readonly;
};

/* VM objects. */

int vmm_create(const char *name, struct vmm_error *err);
struct vmctx *vmm_open(const char *name, struct vmm_error *err);
/* Destroy the VM NAME, whatever state it is in, unless it runs. */
int vmm_destroy(const char *name, struct vmm_error *err);
/*
 * A VM that goes with this process: its memory is anonymous, and it runs from now on (vmm_run_begin
 * has been called). It ends with vmm_discard().
 */
struct vmctx *vmm_create_volatile(
    const char *name, uint64_t low_size, uint64_t high_size, struct vmm_error *err);
/* Remove the volatile VM and free CTX. */
void vmm_discard(struct vmctx *ctx);
/*
 * Copy CTX's state, with memory up to VMM_KEEP_MAX, to the stopped VM NAME, which is replaced. CTX
 * is being run by this process.
 */
int vmm_keep(struct vmctx *ctx, const char *name, struct vmm_error *err);
/* Describe the VM NAME. -1 when there is none. */
int vmm_info(const char *name, struct vmm_info *info, struct vmm_error *err);
/* Call EACH with every VM's name in alphabetical order; their number. */
int vmm_each(void (*each)(void *opaque, const char *name), void *opaque, struct vmm_error *err);
const char *vmm_name(const struct vmctx *ctx);
/* The VM's directory, for its sockets: good as long as CTX. */
int vmm_dirfd(const struct vmctx *ctx);
/* Whether its runner was killed (read at the last vmm_begin). */
bool vmm_was_killed(const struct vmctx *ctx);

/* Access. */

/* Lock the VM and bring CTX up to date with its state file. Changing a killed VM: EOWNERDEAD. */
int vmm_begin(struct vmctx *ctx, enum vmm_access access, struct vmm_error *err);
/* Write the state file if CHANGED, and unlock. */
int vmm_end(struct vmctx *ctx, bool changed, struct vmm_error *err);
/* Unlock, and forget all changes since the outermost vmm_begin(). */
void vmm_cancel(struct vmctx *ctx);
/* Mark the VM as running, on disk too, and keep it locked. */
int vmm_run_begin(struct vmctx *ctx, struct vmm_error *err);
/* Write all sections, mark as stopped, unlock. */
int vmm_run_end(struct vmctx *ctx, struct vmm_error *err);
/*
 * Register a section of the state file (its struct is copied, its data and owner stay the
 * caller's). If the file has one of that id, it is restored now: returns 1; 0 if not; -1 with the
 * reason if it does not fit.
 */
int vmm_add_section(struct vmctx *ctx, const struct section *section, struct vmm_error *err);
/*
 * Copy a section of the VM's state file to SECTION's data, without registering it. 1, 0 if there is
 * none, or -1 with the reason if it does not fit.
 */
int vmm_read_section(struct vmctx *ctx, const struct section *section, struct vmm_error *err);
/* The state file's bytes for CTX as it stands, *SIZE of them, to be freed; NULL: out of memory. */
uint8_t *vmm_snapshot(struct vmctx *ctx, size_t *size);
/*
 * Have CTX show what is in BYTES, a vmm_snapshot() of SIZE bytes that its runner made (taken over),
 * and the memory in the file MEMFD (taken over; -1: not known). It can only be read then.
 */
int vmm_show_snapshot(
    struct vmctx *ctx, uint8_t *bytes, size_t size, int memfd, struct vmm_error *err);
/* The file with CTX's memory, which stays CTX's; -1: none is open. */
int vmm_memory_fd(const struct vmctx *ctx);
/*
 * For loaders: registers, capabilities, statistics and memory as in a new VM, drives and all
 * sections forgotten. A killed VM is whole again.
 */
int vmm_reset(struct vmctx *ctx, struct vmm_error *err);

struct engine_ops;
/*
 * As vm_run(), for at most BUDGET instructions (VM_EXITCODE_BOGUS when they are used up), between
 * vmm_run_begin() and vmm_run_end(): nothing is written to disk.
 */
int vmm_run(struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t budget, struct vm_exit *vmexit,
    struct vmm_error *err);
/* From another thread: make vmm_run() return soon. */
void vmm_kick(struct vmctx *ctx, int vcpu);
/* What vm_run() runs this handle's vCPUs on; engine_soft unless set. */
void vmm_set_engine(struct vmctx *ctx, const struct engine_ops *engine);

/* Parts of a VM. Between vmm_begin and vmm_end. */

/* The vCPU's registers; vcpus up to this number exist from now on. NULL: no such number. */
struct vcpu_state *vmm_vcpu_state(struct vmctx *ctx, int vcpu);
#define VMM_VECTOR_WORDS 4 /* of 64 bits, one for each vector */
/* The vectors that vm_lapic_irq() left for VCPU's local APIC, a bit each; none are left then. */
void vmm_take_irqs(struct vmctx *ctx, int vcpu, uint64_t out[VMM_VECTOR_WORDS]);
struct vmx *vmm_vmx(struct vmctx *ctx, int vcpu);
/* The VMCS. */
struct vmx_view vmm_view(struct vmctx *ctx, int vcpu);
/* Number of vCPUs that were ever touched, at least 1. */
int vmm_ncpus(const struct vmctx *ctx);
/* Give the VM its memory, in bytes. Sizes that it has already change nothing, others fail. */
int vmm_set_memory(struct vmctx *ctx, uint64_t low_size, uint64_t high_size, struct vmm_error *err);
void vmm_memory_sizes(const struct vmctx *ctx, uint64_t *low_size, uint64_t *high_size);
/* Guest memory, mapped. */
struct memory *vmm_memory(struct vmctx *ctx, struct vmm_error *err);
enum vmm_firmware vmm_firmware(const struct vmctx *ctx);
void vmm_set_firmware(struct vmctx *ctx, enum vmm_firmware firmware);
int vmm_add_drive(struct vmctx *ctx, const char *path, bool readonly, struct vmm_error *err);
/* The drives, in order; their number (at most VMM_DRIVES_MAX). */
unsigned vmm_drives(const struct vmctx *ctx, struct vmm_drive *drives);
void vmm_stat_add(struct vmctx *ctx, int vcpu, enum vmm_stat stat, uint64_t n);
/* Count an exit of KIND (enum engine_exit). */
void vmm_stat_exit(struct vmctx *ctx, int vcpu, unsigned kind);
/* The exit of the last vm_run() in VMX terms, with bit 31 of the reason. */
uint32_t vmm_exit_reason(struct vmctx *ctx, int vcpu);

#endif
