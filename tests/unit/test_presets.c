/* Register presets: every value that the references give, in tables. */
#include "vm_fixture.h"

#include <errno.h>

#include "bus/memory.h"

#define GDT_ADDRESS 0x5000u
#define RIP 0x1234u
#define RSP 0x7000u
#define CR3 0x2000u

struct expected_reg {
	int reg;
	uint64_t value;
};

struct expected_desc {
	int reg;
	uint16_t selector;
	uint64_t base;
	uint32_t limit;
	uint32_t access;
};

static void
check(struct vmctx *ctx, const struct expected_reg *regs, size_t nregs,
    const struct expected_desc *descs, size_t ndescs)
{
	uint64_t value, base;
	uint32_t limit, access;

	for (size_t i = 0; i < nregs; i++) {
		assert_int_equal(vm_get_register(ctx, 0, regs[i].reg, &value), 0);
		assert_int_equal(value, regs[i].value);
	}
	for (size_t i = 0; i < ndescs; i++) {
		assert_int_equal(vm_get_desc(ctx, 0, descs[i].reg, &base, &limit, &access), 0);
		assert_int_equal(base, descs[i].base);
		assert_int_equal(limit, descs[i].limit);
		assert_int_equal(access, descs[i].access);
		if (descs[i].reg == VM_REG_GUEST_GDTR || descs[i].reg == VM_REG_GUEST_IDTR)
			continue;
		assert_int_equal(vm_get_register(ctx, 0, descs[i].reg, &value), 0);
		assert_int_equal(value, descs[i].selector);
	}
}

#define CHECK(ctx, regs, descs) \
	check(ctx, regs, sizeof(regs) / sizeof(regs[0]), descs, sizeof(descs) / sizeof(descs[0]))

/* All six segments, CS as given, the others as given. */
#define SEGMENTS(cs_selector, cs_base, cs_limit, cs_access, selector, limit, access) \
	{VM_REG_GUEST_CS, cs_selector, cs_base, cs_limit, cs_access}, \
	    {VM_REG_GUEST_DS, selector, 0, limit, access}, \
	    {VM_REG_GUEST_ES, selector, 0, limit, access}, \
	    {VM_REG_GUEST_FS, selector, 0, limit, access}, \
	    {VM_REG_GUEST_GS, selector, 0, limit, access}, \
	{ \
		VM_REG_GUEST_SS, selector, 0, limit, access \
	}

static void
bios_preset(void **state)
{
	static const struct expected_reg regs[] = {
	    {VM_REG_GUEST_CR0, 0x20},
	    {VM_REG_GUEST_CR3, 0},
	    {VM_REG_GUEST_CR4, 0x2000}, /* the guest's 0, and VMXE */
	    {VM_REG_GUEST_EFER, 0},
	    {VM_REG_GUEST_RFLAGS, 2},
	    {VM_REG_GUEST_RIP, RIP},
	    {VM_REG_GUEST_RSP, RSP},
	};
	static const struct expected_desc descs[] = {
	    SEGMENTS(0, 0, 0xffff, 0x9b, 0, 0xffff, 0x93),
	    {VM_REG_GUEST_TR, 0, 0, 0, 0x8b},
	    {VM_REG_GUEST_LDTR, 0, 0, 0, 0x10000},
	    {VM_REG_GUEST_GDTR, 0, GDT_ADDRESS, 0x17, 0},
	    {VM_REG_GUEST_IDTR, 0, 0, 0x3ff, 0},
	};

	assert_int_equal(vm_setup_bios_registers(*state, 0, RIP, CR3, GDT_ADDRESS, RSP), 0);
	CHECK(*state, regs, descs);
}

static void
freebsd_preset(void **state)
{
	static const struct expected_reg regs[] = {
	    {VM_REG_GUEST_CR0, 0x80000021},
	    {VM_REG_GUEST_CR3, CR3},
	    {VM_REG_GUEST_CR4, 0x2020},
	    {VM_REG_GUEST_EFER, 0x500},
	    {VM_REG_GUEST_RFLAGS, 2},
	    {VM_REG_GUEST_RIP, RIP},
	    {VM_REG_GUEST_RSP, RSP},
	};
	static const struct expected_desc descs[] = {
	    SEGMENTS(0x08, 0, 0, 0x209b, 0x10, 0, 0x93),
	    {VM_REG_GUEST_TR, 0, 0, 0, 0x8b},
	    {VM_REG_GUEST_LDTR, 0, 0, 0, 0x10000},
	    {VM_REG_GUEST_GDTR, 0, GDT_ADDRESS, 23, 0},
	};
	uint64_t gdt[3];

	assert_int_equal(vm_setup_freebsd_registers(*state, 0, RIP, CR3, GDT_ADDRESS, RSP), 0);
	CHECK(*state, regs, descs);
	vm_setup_freebsd_gdt(gdt);
	assert_true(gdt[0] == 0 && gdt[1] == 0x0020980000000000 && gdt[2] == 0x0000900000000000);
	vm_setup_bios_gdt(gdt);
	assert_true(gdt[0] == 0 && gdt[1] == 0x0020980000000000 && gdt[2] == 0x0000900000000000);
}

static void
freebsd_i386_preset(void **state)
{
	static const struct expected_reg regs[] = {
	    {VM_REG_GUEST_CR0, 0x21},
	    {VM_REG_GUEST_CR4, 0x2000},
	    {VM_REG_GUEST_EFER, 0},
	    {VM_REG_GUEST_RFLAGS, 2},
	    {VM_REG_GUEST_RIP, RIP},
	    {VM_REG_GUEST_RSP, RSP},
	};
	static const struct expected_desc descs[] = {
	    SEGMENTS(0x08, 0, 0xffffffff, 0xc09b, 0x10, 0xffffffff, 0xc093),
	    {VM_REG_GUEST_TR, 0x18, GDT_ADDRESS + 0x1000, 103, 0x8b},
	    {VM_REG_GUEST_LDTR, 0, 0, 0, 0x10000},
	    {VM_REG_GUEST_GDTR, 0, GDT_ADDRESS, 31, 0},
	};
	uint64_t *gdt;
	char *memory;
	int value;

	/* There must be memory for the GDT. */
	assert_int_equal(vm_setup_freebsd_registers_i386(*state, 0, RIP, GDT_ADDRESS, RSP), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(vm_setup_memory(*state, 0, 1 << 20, &memory), 0);
	assert_int_equal(vm_setup_freebsd_registers_i386(*state, 0, RIP, GDT_ADDRESS, RSP), 0);
	CHECK(*state, regs, descs);
	assert_int_equal(vm_get_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, &value), 0);
	assert_int_equal(value, 1);
	gdt = (uint64_t *)(void *)(memory + GDT_ADDRESS);
	assert_true(gdt[0] == 0 && gdt[1] == 0x00cf9b000000ffff && gdt[2] == 0x00cf93000000ffff);
	assert_true(gdt[3] == 0x00008b0060000067);
}

static void
boot_preset(void **state)
{
	static const struct expected_reg regs[] = {
	    {VM_REG_GUEST_CR0, 0x30}, /* the guest's 10h, and NE */
	    {VM_REG_GUEST_CR3, 0},
	    {VM_REG_GUEST_EFER, 0},
	    {VM_REG_GUEST_RFLAGS, 2},
	    {VM_REG_GUEST_RIP, 0xfff0},
	    {VM_REG_GUEST_RAX, 0},
	};
	static const struct expected_desc descs[] = {
	    SEGMENTS(0xf000, 0xf0000, 0xffff, 0x9b, 0, 0xffff, 0x93),
	    {VM_REG_GUEST_IDTR, 0, 0, 0x3ff, 0},
	};

	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RAX, 5), 0);
	assert_int_equal(vm_setup_boot_registers(*state, 0), 0);
	CHECK(*state, regs, descs);
}

static void
reset_preset(void **state)
{
	static const struct expected_reg regs[] = {
	    {VM_REG_GUEST_CR0, 0x20},
	    {VM_REG_GUEST_CR2, 0},
	    {VM_REG_GUEST_CR3, 0},
	    {VM_REG_GUEST_CR4, 0x2000},
	    {VM_REG_GUEST_EFER, 0},
	    {VM_REG_GUEST_RFLAGS, 2},
	    {VM_REG_GUEST_RIP, 0xfff0},
	    {VM_REG_GUEST_RSP, 0},
	    {VM_REG_GUEST_RAX, 0},
	    {VM_REG_GUEST_RDX, 0xf00},
	    {VM_REG_GUEST_R15, 0},
	    {VM_REG_GUEST_DR6, 0xffff0ff0},
	    {VM_REG_GUEST_DR7, 0x400},
	};
	static const struct expected_desc descs[] = {
	    SEGMENTS(0xf000, 0xffff0000, 0xffff, 0x93, 0, 0xffff, 0x93),
	    {VM_REG_GUEST_TR, 0, 0, 0, 0x8b},
	    {VM_REG_GUEST_LDTR, 0, 0, 0xffff, 0x82},
	    {VM_REG_GUEST_GDTR, 0, 0, 0xffff, 0},
	    {VM_REG_GUEST_IDTR, 0, 0, 0xffff, 0},
	};

	for (int reg = VM_REG_GUEST_RAX; reg <= VM_REG_GUEST_R15; reg++)
		assert_int_equal(vm_set_register(*state, 0, reg, 99), 0);
	assert_int_equal(vcpu_reset(*state, 0), 0);
	CHECK(*state, regs, descs);
}

/* The rule that keeps CTX's vCPU from entering, "" when there is none. */
static const char *
broken(struct vmctx *ctx)
{
	const struct vmx_guest guest = vmx_guest(vmm_vcpu_state(ctx, 0), vmm_vmx(ctx, 0));
	const struct vmx_rule *rule = vmx_check_entry(&guest);

	return (rule != NULL ? rule->name : "");
}

/* Each preset passes VM entry's checks, with the capability where it needs it. */
static void
presets_enter(void **state)
{
	struct vmctx *ctx = *state;
	char *memory;

	assert_int_equal(vm_setup_memory(ctx, 0, 1 << 20, &memory), 0);
	assert_int_equal(vm_setup_freebsd_registers(ctx, 0, RIP, CR3, GDT_ADDRESS, RSP), 0);
	assert_string_equal(broken(ctx), "");
	assert_int_equal(vm_setup_bios_registers(ctx, 0, RIP, CR3, GDT_ADDRESS, RSP), 0);
	assert_string_equal(broken(ctx), "cr0.pe");
	assert_int_equal(vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	assert_string_equal(broken(ctx), "");
	assert_int_equal(vm_setup_boot_registers(ctx, 0), 0);
	assert_string_equal(broken(ctx), "");
	assert_int_equal(vcpu_reset(ctx, 0), 0);
	assert_string_equal(broken(ctx), "");
	assert_int_equal(vm_setup_freebsd_registers_i386(ctx, 0, RIP, GDT_ADDRESS, RSP), 0);
	assert_string_equal(broken(ctx), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bios_preset, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(freebsd_preset, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(freebsd_i386_preset, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(boot_preset, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(reset_preset, vm_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(presets_enter, vm_setup, vm_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
