/* struct vmctx: a VM in this process. Seen in src/vmm only. */
#ifndef VMM_CTX_H
#define VMM_CTX_H

#include "engine/engine.h"
#include "vmm/statefile.h"
#include "vmm/store.h"
#include "vmm/vmm.h"

#define CTX_MAPPINGS_MAX 16
#define CTX_SECTIONS_MAX 64
#define CTX_PATHS_SIZE 4000

/* Section "vm". */
struct ctx_config {
	uint64_t low_size;
	uint64_t high_size;
	uint32_t ncpus;
	uint32_t firmware; /* enum vmm_firmware */
};

/* Section "drives": paths one after the other, each with its NUL. */
struct ctx_drives {
	uint32_t count;
	uint32_t readonly; /* bit per drive */
	char paths[CTX_PATHS_SIZE];
};

/* Section "vcpuN.host". */
struct ctx_host {
	int32_t pinned; /* host CPU, -1 = any */
	int32_t last;	/* host CPU of the last run, -1 = none */
	uint64_t stats[VMM_STAT_COUNT];
};

/* Section "vcpuN.irqs": vectors that wait for the board's local APIC, a bit each. */
struct ctx_irqs {
	uint64_t waiting[VMM_VECTOR_WORDS];
};

struct ctx_vcpu {
	struct vcpu_state state;
	struct vmx vmx;
	struct ctx_host host;
	struct ctx_irqs irqs;
	struct vcpu engine;
	bool has_engine;
};

/* Guest memory that the library's caller sees. */
struct ctx_mapping {
	void *address;
	size_t size;
};

struct vmctx {
	struct store_vm store;
	bool is_volatile; /* memory is a memfd, and the VM goes with the process */
	bool running;	  /* between run_begin and run_end */
	bool killed;	  /* the state file says running and nobody runs it */
	bool shown;	  /* what is here is a running VM's snapshot */
	unsigned depth;	  /* of begin and end */
	bool changed;	  /* something to write at the outermost end */
	bool loaded;
	/* The header of the state file that was loaded: its CRC covers those of all sections. */
	uint8_t seen[STATEFILE_HEADER_SIZE];

	struct ctx_config config;
	struct ctx_drives drives;
	struct ctx_vcpu vcpus[VM_MAXCPU];
	struct section sections[CTX_SECTIONS_MAX]; /* registered by the board */
	unsigned nsections;
	struct statefile file;		 /* as loaded: for sections not registered yet */
	const struct engine_ops *engine; /* of vm_run() */

	int memfd;
	bool has_memory; /* mem is valid */
	struct memory mem;
	struct ctx_mapping mappings[CTX_MAPPINGS_MAX];
	unsigned nmappings;
	uint64_t stats_copy[VMM_STAT_COUNT];
};

/* Registers of a new VM's vCPUs, no memory. */
void ctx_init_vm(struct vmctx *ctx);
/* The state file's bytes for CTX as it stands. */
uint8_t *ctx_build(struct vmctx *ctx, uint32_t flags, size_t *size);
/* Read the state file, which is always whole, without the lock: what a running VM wrote last. */
int ctx_peek(struct vmctx *ctx, struct vmm_error *err);
/* Forget mapped memory and engines (sizes changed, or the VM goes). */
void ctx_drop_memory(struct vmctx *ctx);
void ctx_drop_engines(struct vmctx *ctx);
/* Open the memory file. */
int ctx_open_memory(struct vmctx *ctx, struct vmm_error *err);
/* Free all, close all. */
void ctx_free(struct vmctx *ctx);
/* VCPU's part, made to exist; NULL with errno EINVAL when the number is out of range. */
struct ctx_vcpu *ctx_vcpu(struct vmctx *ctx, int vcpu);

#endif
