/* Registers and descriptors by the library's names. */
#include <errno.h>

#include "vmm/ctx.h"

enum reg_kind { REG_NONE, REG_64, REG_CR0, REG_CR4, REG_SELECTOR, REG_TABLE };

/* Where each register lives in struct vcpu_state. */
struct reg_place {
	enum reg_kind kind;
	size_t offset; /* of the value, the segment or the table */
};

#define AT(field) offsetof(struct vcpu_state, field)
#define GPR(name) \
	{ \
		REG_64, AT(gpr.reg[GPR_##name]) \
	}
#define SEGMENT(name) \
	{ \
		REG_SELECTOR, AT(sregs.seg[SEG_##name]) \
	}

static const struct reg_place places[VM_REG_LAST] = {
    [VM_REG_GUEST_RAX] = GPR(RAX),
    [VM_REG_GUEST_RBX] = GPR(RBX),
    [VM_REG_GUEST_RCX] = GPR(RCX),
    [VM_REG_GUEST_RDX] = GPR(RDX),
    [VM_REG_GUEST_RSI] = GPR(RSI),
    [VM_REG_GUEST_RDI] = GPR(RDI),
    [VM_REG_GUEST_RBP] = GPR(RBP),
    [VM_REG_GUEST_R8] = GPR(R8),
    [VM_REG_GUEST_R9] = GPR(R9),
    [VM_REG_GUEST_R10] = GPR(R10),
    [VM_REG_GUEST_R11] = GPR(R11),
    [VM_REG_GUEST_R12] = GPR(R12),
    [VM_REG_GUEST_R13] = GPR(R13),
    [VM_REG_GUEST_R14] = GPR(R14),
    [VM_REG_GUEST_R15] = GPR(R15),
    [VM_REG_GUEST_CR0] = {REG_CR0, AT(sregs.cr0)},
    [VM_REG_GUEST_CR3] = {REG_64, AT(sregs.cr3)},
    [VM_REG_GUEST_CR4] = {REG_CR4, AT(sregs.cr4)},
    [VM_REG_GUEST_DR7] = {REG_64, AT(debug.dr7)},
    [VM_REG_GUEST_RSP] = GPR(RSP),
    [VM_REG_GUEST_RIP] = {REG_64, AT(gpr.rip)},
    [VM_REG_GUEST_RFLAGS] = {REG_64, AT(gpr.rflags)},
    [VM_REG_GUEST_ES] = SEGMENT(ES),
    [VM_REG_GUEST_CS] = SEGMENT(CS),
    [VM_REG_GUEST_SS] = SEGMENT(SS),
    [VM_REG_GUEST_DS] = SEGMENT(DS),
    [VM_REG_GUEST_FS] = SEGMENT(FS),
    [VM_REG_GUEST_GS] = SEGMENT(GS),
    [VM_REG_GUEST_LDTR] = {REG_SELECTOR, AT(sregs.ldtr)},
    [VM_REG_GUEST_TR] = {REG_SELECTOR, AT(sregs.tr)},
    [VM_REG_GUEST_IDTR] = {REG_TABLE, AT(sregs.idtr)},
    [VM_REG_GUEST_GDTR] = {REG_TABLE, AT(sregs.gdtr)},
    [VM_REG_GUEST_EFER] = {REG_64, AT(sregs.efer)},
    [VM_REG_GUEST_CR2] = {REG_64, AT(sregs.cr2)},
    [VM_REG_GUEST_DR0] = {REG_64, AT(debug.dr[0])},
    [VM_REG_GUEST_DR1] = {REG_64, AT(debug.dr[1])},
    [VM_REG_GUEST_DR2] = {REG_64, AT(debug.dr[2])},
    [VM_REG_GUEST_DR3] = {REG_64, AT(debug.dr[3])},
    [VM_REG_GUEST_DR6] = {REG_64, AT(debug.dr6)},
};

struct ctx_vcpu *
ctx_vcpu(struct vmctx *ctx, int vcpu)
{
	if (vcpu < 0 || vcpu >= VM_MAXCPU) {
		errno = EINVAL;
		return (NULL);
	}
	if ((uint32_t)vcpu >= ctx->config.ncpus)
		ctx->config.ncpus = (uint32_t)vcpu + 1;
	return (&ctx->vcpus[vcpu]);
}

/* The place of REG if it is of a kind from FIRST to LAST, and VCPU is a number of one. */
static const struct reg_place *
place_of(int vcpu, int reg, enum reg_kind first, enum reg_kind last)
{
	if (vcpu < 0 || vcpu >= VM_MAXCPU || reg < 0 || reg >= VM_REG_LAST ||
	    places[reg].kind < first || places[reg].kind > last) {
		errno = EINVAL;
		return (NULL);
	}
	return (&places[reg]);
}

static void *
at_place(struct vmctx *ctx, int vcpu, const struct reg_place *place)
{
	return ((char *)&ctx_vcpu(ctx, vcpu)->state + place->offset);
}

int
vm_set_register(struct vmctx *ctx, int vcpu, int reg, uint64_t val)
{
	const struct reg_place *place = place_of(vcpu, reg, REG_64, REG_SELECTOR);
	void *value;

	if (place == NULL || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	value = at_place(ctx, vcpu, place);
	if (place->kind == REG_SELECTOR)
		((struct x86_segment *)value)->selector = (uint16_t)val;
	else if (place->kind == REG_CR4)
		*(uint64_t *)value = val & ~(uint64_t)CR4_VMXE; /* VT-x's bit, not the guest's */
	else
		*(uint64_t *)value = val;
	return (vmm_end(ctx, true, NULL));
}

int
vm_get_register(struct vmctx *ctx, int vcpu, int reg, uint64_t *retval)
{
	const struct reg_place *place = place_of(vcpu, reg, REG_64, REG_SELECTOR);
	const void *value;

	if (place == NULL || vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (-1);
	value = at_place(ctx, vcpu, place);
	if (place->kind == REG_SELECTOR)
		*retval = ((const struct x86_segment *)value)->selector;
	else
		*retval = *(const uint64_t *)value;
	if (place->kind == REG_CR0)
		*retval = vmx_guest_cr0(*retval);
	else if (place->kind == REG_CR4)
		*retval = vmx_guest_cr4(*retval);
	return (vmm_end(ctx, false, NULL));
}

int
vm_set_desc(struct vmctx *ctx, int vcpu, int reg, uint64_t base, uint32_t limit, uint32_t access)
{
	const struct reg_place *place = place_of(vcpu, reg, REG_SELECTOR, REG_TABLE);
	struct x86_segment *seg;
	struct x86_table *table;

	if (place == NULL || vmm_begin(ctx, VMM_WRITE, NULL) != 0)
		return (-1);
	if (place->kind == REG_TABLE) {
		table = at_place(ctx, vcpu, place);
		table->base = base;
		table->limit = limit;
	} else {
		seg = at_place(ctx, vcpu, place);
		seg->base = base;
		seg->limit = limit;
		seg->access = access;
	}
	return (vmm_end(ctx, true, NULL));
}

int
vm_get_desc(struct vmctx *ctx, int vcpu, int reg, uint64_t *base, uint32_t *limit, uint32_t *access)
{
	const struct reg_place *place = place_of(vcpu, reg, REG_SELECTOR, REG_TABLE);
	const struct x86_segment *seg;
	const struct x86_table *table;

	if (place == NULL || vmm_begin(ctx, VMM_READ, NULL) != 0)
		return (-1);
	if (place->kind == REG_TABLE) {
		table = at_place(ctx, vcpu, place);
		*base = table->base;
		*limit = table->limit;
		*access = 0;
	} else {
		seg = at_place(ctx, vcpu, place);
		*base = seg->base;
		*limit = seg->limit;
		*access = seg->access;
	}
	return (vmm_end(ctx, false, NULL));
}
