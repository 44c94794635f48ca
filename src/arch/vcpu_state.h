/*
 * struct vcpu_state: the one truth about a virtual CPU, as the guest sees it.
 *
 * It holds the guest's own CR0 and CR4; the bits that VT-x forces (NE, VMXE), masks, shadows and
 * controls belong to src/vmx. The structure is plain data without pointers: each group below is
 * one section of the state file, copied as it stands (little-endian host and guest).
 *
 * Engines pull and push it by groups. A bit set in a dirty mask means "changed by somebody who is
 * not the engine; the engine must take it over before it runs on".
 */
#ifndef ARCH_VCPU_STATE_H
#define ARCH_VCPU_STATE_H

#include "arch/segment.h"
#include "arch/x86.h"

/* Order of the general registers in instruction encodings. */
enum x86_gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT
};

/* For tables: M(0), M(1) ... of registers that have numbers, as ST0 to ST7 and XMM0 to XMM15. */
#define VCPU_EACH_8(M) M(0), M(1), M(2), M(3), M(4), M(5), M(6), M(7)
#define VCPU_EACH_16(M) VCPU_EACH_8(M), M(8), M(9), M(10), M(11), M(12), M(13), M(14), M(15)

enum vcpu_group {
	VCPU_GPR = 1 << 0,    /* general registers, RIP, RFLAGS */
	VCPU_SREGS = 1 << 1,  /* segments, tables, control registers, EFER, APIC base */
	VCPU_EVENTS = 1 << 2, /* pending events, shadows, activity */
	VCPU_FPU = 1 << 3,    /* x87, MMX, SSE */
	VCPU_MSR = 1 << 4,
	VCPU_DEBUG = 1 << 5,
	VCPU_ALL = 0x3f
};

struct vcpu_gprs {
	uint64_t reg[GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;
	uint64_t zero; /* always 0: what src/cpu reads for a base or index that is not there */
};

struct vcpu_sregs {
	struct x86_segment seg[SEG_COUNT];
	struct x86_segment ldtr;
	struct x86_segment tr;
	struct x86_table gdtr;
	struct x86_table idtr;
	uint64_t cr0;
	uint64_t cr2;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t cr8;
	uint64_t efer;
	uint64_t apic_base;
};

/* SDM vol. 3C, 25.4.2, "Activity state". */
enum vcpu_activity { VCPU_ACTIVE = 0, VCPU_HLT = 1, VCPU_SHUTDOWN = 2, VCPU_WAIT_SIPI = 3 };

/* Kinds of vcpu_events.inject_type, numbered as vmmapi's enum vm_event_type. */
enum vcpu_event_type {
	EVENT_NONE,
	EVENT_HW_INTR,
	EVENT_NMI,
	EVENT_HW_EXCEPTION,
	EVENT_SW_INTR,
	EVENT_PRIV_SW_EXCEPTION,
	EVENT_SW_EXCEPTION
};

/* Interruptibility bits, SDM vol. 3C, table 25-3. */
#define SHADOW_STI 0x1u
#define SHADOW_MOVSS 0x2u
#define SHADOW_NMI 0x8u

struct vcpu_events {
	uint8_t inject_type; /* enum vcpu_event_type: delivered before the next instruction */
	uint8_t inject_vector;
	uint8_t inject_has_error;
	uint8_t nmi_pending;
	uint32_t inject_error;
	uint32_t interruptibility; /* SHADOW_* */
	uint32_t activity;	   /* enum vcpu_activity */
	uint64_t pending_debug;	   /* DR6 bits of a #DB not yet delivered */
};

struct vcpu_fpu {
	uint8_t fxsave[512] __attribute__((aligned(16))); /* FXSAVE64 layout, SDM vol. 1, 10.5.1 */
	uint64_t xcr0;
	uint64_t pad;
};

struct vcpu_msrs {
	uint64_t tsc_offset; /* added to the guest clock's count */
	uint64_t sysenter_cs;
	uint64_t sysenter_esp;
	uint64_t sysenter_eip;
	uint64_t star;
	uint64_t lstar;
	uint64_t cstar;
	uint64_t fmask;
	uint64_t kernel_gsbase;
	uint64_t tsc_aux;
	uint64_t pat;
	uint64_t misc_enable;
};

struct vcpu_debug {
	uint64_t dr[4];
	uint64_t dr6;
	uint64_t dr7;
};

struct vcpu_state {
	struct vcpu_gprs gpr;
	struct vcpu_sregs sregs;
	struct vcpu_events events;
	struct vcpu_fpu fpu;
	struct vcpu_msrs msr;
	struct vcpu_debug debug;
};

/*
 * What RESET leaves (SDM vol. 3A, table 9-1): real mode at F000:FFF0 with base FFFF0000,
 * CR0 = 60000010h, EDX = 600h family/model signature given by the caller.
 */
void vcpu_state_reset(struct vcpu_state *state, uint32_t signature);
/* The linear address of the instruction at CS:RIP (SDM vol. 1, 3.4.2.1, for 64-bit mode). */
uint64_t vcpu_linear_rip(const struct vcpu_state *state);

#endif
