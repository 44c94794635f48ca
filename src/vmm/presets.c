/*
 * Register presets: what a vCPU starts with, by kind of guest. Each is one table row; the arguments
 * of the calls (RIP, RSP, CR3, GDT base) are put in afterwards. Values: bhyve's library of 2012 and
 * today (presets of FreeBSD guests), SDM vol. 3A table 9-1 (RESET).
 */
#include <errno.h>
#include <string.h>

#include "vmm/ctx.h"

#define CODE_REAL 0x9bu
#define DATA_REAL 0x93u
#define CODE_64 (AR_L | 0x9bu)
#define CODE_32 (AR_G | AR_DB | 0x9bu)
#define DATA_32 (AR_G | AR_DB | 0x93u)
#define TSS_BUSY 0x8bu
#define LDT_PRESENT 0x82u
#define GDT_3 (3 * 8 - 1)
#define GDT_4 (4 * 8 - 1)
#define IVT_LIMIT 0x3ffu
#define TSS_OFFSET 0x1000u
#define TSS_LIMIT 103u
#define RESET_RDX 0xf00u /* family and model of the processor, SDM vol. 3A, 9.1.2 */

/* Segment registers of one kind. */
#define SEG(sel, b, lim, acc) \
	{ \
		.selector = (sel), .base = (b), .limit = (lim), .access = (acc) \
	}
#define SEGS(code, data) \
	{ \
		[SEG_ES] = data, [SEG_CS] = code, [SEG_SS] = data, [SEG_DS] = data, \
		[SEG_FS] = data, [SEG_GS] = data \
	}

enum preset_flags {
	PRESET_GENERAL = 1, /* general registers too: all 0 but RDX */
	PRESET_DEBUG = 2    /* CR2, DR6, DR7 and events to their RESET values */
};

struct preset {
	struct vcpu_sregs sregs;
	uint64_t rip;
	uint64_t rsp;
	uint64_t rdx;
	unsigned flags;
};

static const struct preset freebsd_64 = {
    .sregs = {.cr0 = CR0_PE | CR0_PG | CR0_NE,
	.cr4 = CR4_PAE,
	.efer = EFER_LME | EFER_LMA,
	.seg = SEGS(SEG(0x08, 0, 0, CODE_64), SEG(0x10, 0, 0, DATA_REAL)),
	.tr = SEG(0, 0, 0, TSS_BUSY),
	.ldtr = SEG(0, 0, 0, AR_UNUSABLE),
	.gdtr = {.limit = GDT_3}},
};

static const struct preset freebsd_32 = {
    .sregs = {.cr0 = CR0_PE | CR0_NE,
	.seg = SEGS(SEG(0x08, 0, 0xffffffff, CODE_32), SEG(0x10, 0, 0xffffffff, DATA_32)),
	.tr = SEG(0x18, 0, TSS_LIMIT, TSS_BUSY),
	.ldtr = SEG(0, 0, 0, AR_UNUSABLE),
	.gdtr = {.limit = GDT_4}},
};

/* The seed's values with limits and access rights that real mode needs. */
static const struct preset bios = {
    .sregs = {.cr0 = CR0_NE,
	.seg = SEGS(SEG(0, 0, 0xffff, CODE_REAL), SEG(0, 0, 0xffff, DATA_REAL)),
	.tr = SEG(0, 0, 0, TSS_BUSY),
	.ldtr = SEG(0, 0, 0, AR_UNUSABLE),
	.gdtr = {.limit = GDT_3},
	.idtr = {.limit = IVT_LIMIT}},
};

static const struct preset boot = {
    .sregs = {.cr0 = CR0_ET,
	.seg = SEGS(SEG(0xf000, 0xf0000, 0xffff, CODE_REAL), SEG(0, 0, 0xffff, DATA_REAL)),
	.tr = SEG(0, 0, 0xffff, TSS_BUSY),
	.ldtr = SEG(0, 0, 0xffff, LDT_PRESENT),
	.gdtr = {.limit = 0xffff},
	.idtr = {.limit = IVT_LIMIT}},
    .rip = 0xfff0,
    .rdx = RESET_RDX,
    .flags = PRESET_GENERAL | PRESET_DEBUG,
};

static const struct preset reset = {
    .sregs = {.cr0 = CR0_NE,
	.seg = SEGS(SEG(0xf000, 0xffff0000, 0xffff, DATA_REAL), SEG(0, 0, 0xffff, DATA_REAL)),
	.tr = SEG(0, 0, 0, TSS_BUSY),
	.ldtr = SEG(0, 0, 0xffff, LDT_PRESENT),
	.gdtr = {.limit = 0xffff},
	.idtr = {.limit = 0xffff}},
    .rip = 0xfff0,
    .rdx = RESET_RDX,
    .flags = PRESET_GENERAL | PRESET_DEBUG,
};

/* What the arguments of a call change in its preset. */
struct preset_args {
	uint64_t rip, rsp, cr3, gdt_base;
};

static void
apply(struct vcpu_state *state, const struct preset *preset, const struct preset_args *args)
{
	uint64_t apic_base = state->sregs.apic_base;

	state->sregs = preset->sregs;
	state->sregs.apic_base = apic_base;
	state->sregs.cr3 = args->cr3;
	state->sregs.gdtr.base = args->gdt_base;
	if (preset->flags & PRESET_GENERAL) {
		memset(state->gpr.reg, 0, sizeof(state->gpr.reg));
		state->gpr.reg[GPR_RDX] = preset->rdx;
	}
	if (preset->flags & PRESET_DEBUG) {
		memset(&state->debug, 0, sizeof(state->debug));
		memset(&state->events, 0, sizeof(state->events));
		state->debug.dr6 = 0xffff0ff0;
		state->debug.dr7 = 0x400;
	}
	state->gpr.rip = args->rip;
	state->gpr.reg[GPR_RSP] = args->rsp;
	state->gpr.rflags = RFLAGS_1;
}

static int
set_preset(struct vmctx *ctx, int vcpu, const struct preset *preset, const struct preset_args *args)
{
	if (vcpu < 0 || vcpu >= VM_MAXCPU) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	apply(vmm_vcpu_state(ctx, vcpu), preset, args);
	return (vmm_end(ctx, true, NULL));
}

int
vm_setup_freebsd_registers(
    struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase, uint64_t rsp)
{
	return (set_preset(ctx, vcpu, &freebsd_64, &(struct preset_args){rip, rsp, cr3, gdtbase}));
}

int
vm_setup_bios_registers(
    struct vmctx *ctx, int vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase, uint64_t rsp)
{
	(void)cr3;
	return (set_preset(ctx, vcpu, &bios, &(struct preset_args){rip, rsp, 0, gdtbase}));
}

int
vm_setup_boot_registers(struct vmctx *ctx, int vcpu)
{
	return (set_preset(ctx, vcpu, &boot, &(struct preset_args){.rip = boot.rip}));
}

int
vcpu_reset(struct vmctx *ctx, int vcpu)
{
	return (set_preset(ctx, vcpu, &reset, &(struct preset_args){.rip = reset.rip}));
}

void
vm_setup_freebsd_gdt(uint64_t *gdtr)
{
	gdtr[0] = 0;
	gdtr[1] = 0x0020980000000000; /* 64-bit code */
	gdtr[2] = 0x0000900000000000; /* data */
}

void
vm_setup_bios_gdt(uint64_t *gdtr)
{
	vm_setup_freebsd_gdt(gdtr);
}

/* Write the flat GDT and put the registers in; the VM is locked for writing. */
static int
setup_i386(struct vmctx *ctx, int vcpu, uint32_t eip, uint32_t gdtbase, uint32_t esp)
{
	struct preset_args args = {.rip = eip, .rsp = esp, .gdt_base = gdtbase};
	struct vcpu_state *state = vmm_vcpu_state(ctx, vcpu);
	struct memory *mem = vmm_memory(ctx, NULL);
	uint64_t gdt[4] = {0};

	if (mem == NULL)
		return (-1);
	apply(state, &freebsd_32, &args);
	state->sregs.tr.base = (uint64_t)gdtbase + TSS_OFFSET;
	gdt[1] = segment_to_descriptor(&state->sregs.seg[SEG_CS]);
	gdt[2] = segment_to_descriptor(&state->sregs.seg[SEG_DS]);
	gdt[3] = segment_to_descriptor(&state->sregs.tr);
	vmm_vmx(ctx, vcpu)->caps |= 1u << VMX_CAP_UNRESTRICTED_GUEST;
	if (!memory_write(mem, gdtbase, gdt, sizeof(gdt))) {
		errno = EFAULT;
		return (-1);
	}
	return (0);
}

int
vm_setup_freebsd_registers_i386(
    struct vmctx *ctx, int vcpu, uint32_t eip, uint32_t gdtbase, uint32_t esp)
{
	int error;

	if (vcpu < 0 || vcpu >= VM_MAXCPU) {
		errno = EINVAL;
		return (-1);
	}
	if (vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	error = setup_i386(ctx, vcpu, eip, gdtbase, esp);
	if (vmm_end(ctx, error == 0, NULL) != 0)
		return (-1);
	return (error);
}
