/*
 * libvmmapi: virtual machines in the manner of bhyve's library of July 2012, on Linux.
 *
 * A VM is an object with a name that outlives the process, like a file: one program creates and
 * loads it, another runs it, a third looks at its registers. It holds guest memory, up to VM_MAXCPU
 * virtual CPUs, their capabilities and statistics. Every change is kept at once; a change, and a
 * read of registers, fails with EBUSY while another process runs the VM.
 *
 * Unless a call says otherwise it returns 0, or -1 with errno set. Everywhere:
 *	EINVAL		a vCPU, register, type or address that does not exist
 *	EBUSY		another process runs the VM
 *	ENOENT		the VM was destroyed
 *	EBADMSG		the VM's state file is damaged, or of another version
 *	EOWNERDEAD	(changes and runs) the process that ran the VM was killed; memory and
 *			registers disagree, the VM can only be read and destroyed
 * "ctx" is the handle that vm_open() gave, "vcpu" the number of a virtual CPU from 0 on. A handle
 * may be used by one thread at a time.
 */
#ifndef VMMAPI_H
#define VMMAPI_H

#include <sys/time.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VM_MAXCPU 8
#define VM_MAX_NAMELEN 32 /* with the terminating NUL */

typedef uint64_t vm_paddr_t;

struct vmctx;

/* Registers. Those from CR2 on are additions to the interface of 2012. */
enum vm_reg_name {
	VM_REG_GUEST_RAX,
	VM_REG_GUEST_RBX,
	VM_REG_GUEST_RCX,
	VM_REG_GUEST_RDX,
	VM_REG_GUEST_RSI,
	VM_REG_GUEST_RDI,
	VM_REG_GUEST_RBP,
	VM_REG_GUEST_R8,
	VM_REG_GUEST_R9,
	VM_REG_GUEST_R10,
	VM_REG_GUEST_R11,
	VM_REG_GUEST_R12,
	VM_REG_GUEST_R13,
	VM_REG_GUEST_R14,
	VM_REG_GUEST_R15,
	VM_REG_GUEST_CR0,
	VM_REG_GUEST_CR3,
	VM_REG_GUEST_CR4,
	VM_REG_GUEST_DR7,
	VM_REG_GUEST_RSP,
	VM_REG_GUEST_RIP,
	VM_REG_GUEST_RFLAGS,
	VM_REG_GUEST_ES,
	VM_REG_GUEST_CS,
	VM_REG_GUEST_SS,
	VM_REG_GUEST_DS,
	VM_REG_GUEST_FS,
	VM_REG_GUEST_GS,
	VM_REG_GUEST_LDTR,
	VM_REG_GUEST_TR,
	VM_REG_GUEST_IDTR,
	VM_REG_GUEST_GDTR,
	VM_REG_GUEST_EFER,
	VM_REG_GUEST_CR2,
	VM_REG_GUEST_DR0,
	VM_REG_GUEST_DR1,
	VM_REG_GUEST_DR2,
	VM_REG_GUEST_DR3,
	VM_REG_GUEST_DR6,
	VM_REG_LAST
};

/* What may be asked of VT-x for a vCPU. */
enum vm_cap_type {
	VM_CAP_HALT_EXIT,	   /* HLT exits */
	VM_CAP_MTRAP_EXIT,	   /* every instruction exits */
	VM_CAP_PAUSE_EXIT,	   /* PAUSE exits */
	VM_CAP_UNRESTRICTED_GUEST, /* CR0.PE and CR0.PG may be 0: real mode runs */
	VM_CAP_MAX
};

/* Kinds of events to inject. */
enum vm_event_type {
	VM_EVENT_NONE,
	VM_HW_INTR,
	VM_NMI,
	VM_HW_EXCEPTION,
	VM_SW_INTR,
	VM_PRIV_SW_EXCEPTION,
	VM_SW_EXCEPTION,
	VM_EVENT_MAX
};

/* Why vm_run() came back. Those from HYPERCALL on are additions to the interface of 2012. */
enum vm_exitcode {
	VM_EXITCODE_INOUT,     /* port I/O, not done: u.inout */
	VM_EXITCODE_VMX,       /* a VM exit that the caller must know: u.vmx */
	VM_EXITCODE_BOGUS,     /* nothing happened; run on */
	VM_EXITCODE_RDMSR,     /* u.msr */
	VM_EXITCODE_WRMSR,     /* u.msr */
	VM_EXITCODE_HLT,       /* the guest waits for an interrupt */
	VM_EXITCODE_MTRAP,     /* one instruction was done (VM_CAP_MTRAP_EXIT) */
	VM_EXITCODE_PAUSE,     /* VM_CAP_PAUSE_EXIT */
	VM_EXITCODE_PAGING,    /* access to an address without memory: u.paging */
	VM_EXITCODE_HYPERCALL, /* VMCALL, not done: u.vmx */
	VM_EXITCODE_DEBUG,     /* breakpoint or single step */
	VM_EXITCODE_MAX
};

struct vm_exit {
	enum vm_exitcode exitcode;
	int inst_length; /* bytes of the instruction at rip; 0 = unknown */
	uint64_t rip;
	union {
		struct {
			uint16_t bytes : 3; /* 1, 2 or 4 */
			uint16_t in : 1;    /* 1 = IN, 0 = OUT */
			uint16_t string : 1;
			uint16_t rep : 1;
			uint16_t port;
			uint32_t eax; /* what OUT writes */
		} inout;
		struct {
			uint64_t cr3;
		} paging;
		struct {
			int error;	      /* VM-instruction error */
			uint32_t exit_reason; /* basic exit reason, SDM vol. 3D, appendix C */
			uint64_t exit_qualification;
		} vmx;
		struct {
			uint32_t code;
			uint64_t wval;
		} msr;
	} u;
};

/*
 * VM objects.
 */

/*
 * Create a VM without memory. NAME is 1 to VM_MAX_NAMELEN - 1 letters, digits, ".", "_" or "-",
 * the first a letter, digit or "_". EEXIST: there is one; EINVAL, ENAMETOOLONG: no such name.
 */
int vm_create(const char *name);
/* A handle on the VM NAME, or NULL with errno (ENOENT: there is none). */
struct vmctx *vm_open(const char *name);
/* Give the handle back. The VM stays, with all that was set. */
void vm_close(struct vmctx *ctx);
/* Destroy the VM and give the handle back. A VM that another process runs stays. */
void vm_destroy(struct vmctx *ctx);

/*
 * Memory. A VM has up to two segments: from 0 on, at most 3 GB, and from 4 GB on.
 */

/*
 * The segment that starts at GPA: *LEN its bytes (0: there is none), *HPA the host-physical address
 * that the VMCS model gives it. Never fails for an address.
 */
int vm_get_memory_seg(struct vmctx *ctx, vm_paddr_t gpa, vm_paddr_t *hpa, size_t *len);
/*
 * Give the VM LEN bytes (a multiple of 4096) of memory at GPA, which is 0 or 4 GB, filled with 0.
 * A segment stays as long as the VM; asking again for the same length changes nothing.
 * MAPADDR, if not NULL, receives its address in this process (MAP_FAILED when that fails, and -1
 * is returned). EINVAL: address or length; EEXIST: the segment has another length; ENOSPC: the
 * file system that holds VMs has no room for it.
 */
int vm_setup_memory(struct vmctx *ctx, vm_paddr_t gpa, size_t len, char **mapaddr);
/*
 * The address in this process of LEN bytes of guest memory from GPA (a multiple of 4096) on, valid
 * until the handle is given back. MAP_FAILED with errno (EINVAL: not all of it is memory).
 */
char *vm_map_memory(struct vmctx *ctx, vm_paddr_t gpa, size_t len);

/*
 * Registers.
 */

/*
 * Segment registers (VM_REG_GUEST_ES to VM_REG_GUEST_GS, LDTR, TR) and tables (GDTR, IDTR) without
 * selectors: linear BASE, LIMIT in bytes, ACCESS rights in the VMCS's form (SDM vol. 3C, table
 * 25-2; tables have none and give 0). Values are kept as they are given, legal or not: VM entry
 * judges them.
 */
int vm_set_desc(
    struct vmctx *ctx, int vcpu, int reg, uint64_t base, uint32_t limit, uint32_t access);
int vm_get_desc(
    struct vmctx *ctx, int vcpu, int reg, uint64_t *base, uint32_t *limit, uint32_t *access);
/*
 * All other registers (enum vm_reg_name), and the selectors of segment registers. CR0 and CR4 read
 * as the VMCS holds them, that is with CR0.NE and CR4.VMXE, which VT-x requires, set.
 */
int vm_set_register(struct vmctx *ctx, int vcpu, int reg, uint64_t val);
int vm_get_register(struct vmctx *ctx, int vcpu, int reg, uint64_t *retval);
/* All registers of VCPU to their values after RESET: real mode, about to run F000:FFF0. */
int vcpu_reset(struct vmctx *ctx, int vcpu);

/*
 * Running.
 */

/* The host CPU that VCPU may run on, -1 (also on return) for any. EINVAL: no such host CPU. */
int vm_get_pinning(struct vmctx *ctx, int vcpu, int *hostcpu);
int vm_set_pinning(struct vmctx *ctx, int vcpu, int hostcpu);
/*
 * Run VCPU from RIP on until something happens that the CPU cannot do alone, and say in VMEXIT
 * what: 0, or -1 with errno (EIO: the CPU engine failed). A handle has no devices: all port I/O
 * comes back as VM_EXITCODE_INOUT with the instruction not done. The caller does it, and runs on at
 * rip + inst_length. The last exit is remembered, as a VMCS does. VM entry that fails gives
 * VM_EXITCODE_VMX with exit reason 33.
 */
int vm_run(struct vmctx *ctx, int vcpu, uint64_t rip, struct vm_exit *vmexit);
/*
 * Write the MP configuration table (Intel MultiProcessor Specification 1.4) for NCPUS processors to
 * guest memory at F0400, and the OEMTBLSZ bytes of the OEM's table, if any, behind it. EFAULT: no
 * memory there.
 */
int vm_build_tables(struct vmctx *ctx, int ncpus, void *oemtbl, int oemtblsz);

/*
 * Events.
 */

/*
 * Deliver an event of TYPE (enum vm_event_type) with VECTOR (0 to 255), and for the second call
 * an error code, before VCPU's next instruction. EAGAIN: one is waiting already.
 */
int vm_inject_event(struct vmctx *ctx, int vcpu, enum vm_event_type type, int vector);
int vm_inject_event2(
    struct vmctx *ctx, int vcpu, enum vm_event_type type, int vector, int error_code);
/*
 * An edge-triggered interrupt with VECTOR (16 to 255) to VCPU's local APIC, which takes it when the
 * VM runs the next time; one that is off then drops it. ENODEV: the VM has no local APIC, since it
 * was not loaded with a pseudo BIOS ROM.
 */
int vm_lapic_irq(struct vmctx *ctx, int vcpu, int vector);
/* A non-maskable interrupt to VCPU. */
int vm_inject_nmi(struct vmctx *ctx, int vcpu);

/*
 * Capabilities.
 */

/* The enum vm_cap_type called CAPNAME (hlt_exit, mtrap_exit, pause_exit, unrestricted_guest), or
 * -1. */
int vm_capability_name2type(const char *capname);
/* Whether CAP is set (0 or 1) on VCPU. */
int vm_get_capability(struct vmctx *ctx, int vcpu, enum vm_cap_type cap, int *retval);
/* Set (VAL not 0) or clear CAP. */
int vm_set_capability(struct vmctx *ctx, int vcpu, enum vm_cap_type cap, int val);

/*
 * PCI passthrough and message-signalled interrupts need devices that this library does not have:
 * ENODEV, always.
 */
int vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func);
int vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func);
int vm_map_pptdev_mmio(
    struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa);
int vm_setup_msi(
    struct vmctx *ctx, int vcpu, int bus, int slot, int func, int dest, int vector, int numvec);
int vm_setup_msix(struct vmctx *ctx, int vcpu, int bus, int slot, int func, int idx, uint32_t msg,
    uint32_t vector_control, uint64_t addr);

/*
 * Statistics.
 */

/*
 * VCPU's counters: an array of *ENTRIES values, good until the next call with this handle, and in
 * *TV the time of day. While another process runs the VM: as that process wrote them last. NULL with
 * errno.
 */
uint64_t *vm_get_stats(struct vmctx *ctx, int vcpu, struct timeval *tv, int *entries);
/* What the counter INDEX of that array counts, in words; NULL when there is none. */
const char *vm_get_stat_desc(struct vmctx *ctx, int index);

/*
 * Presets: the registers that a kind of guest starts with. The general registers that are not
 * named below stay as they are.
 */

/*
 * 64-bit mode, paging on, as the FreeBSD/amd64 kernel starts: RIP, CR3, RSP as given, GDTR at
 * GDTBASE, where the caller puts the table that vm_setup_freebsd_gdt() fills (3 descriptors).
 */
int vm_setup_freebsd_registers(
    struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase, uint64_t rsp);
void vm_setup_freebsd_gdt(uint64_t *gdtr);
/*
 * 32-bit protected mode without paging, flat segments. Writes the GDT of 4 descriptors to guest
 * memory at GDTBASE, sets VM_CAP_UNRESTRICTED_GUEST; the TSS is at GDTBASE + 1000h. EFAULT: no
 * memory there.
 */
int vm_setup_freebsd_registers_i386(
    struct vmctx *ctx, int vcpu, uint32_t eip, uint32_t gdtbase, uint32_t esp);
/*
 * Real mode, all segments at 0 with 64 KB limits, as a pseudo BIOS starts. CR3 is taken for the
 * likeness with the call above and not used: it is 0 in real mode. The table that
 * vm_setup_bios_gdt() fills (3 descriptors) goes to GDTBASE.
 */
int vm_setup_bios_registers(
    struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase, uint64_t rsp);
void vm_setup_bios_gdt(uint64_t *gdtr);
/* Real mode at the entry of a ROM at F0000: F000:FFF0, CR0 = 10h, A20 on. */
int vm_setup_boot_registers(struct vmctx *ctx, int vcpu);

#ifdef __cplusplus
}
#endif

#endif
