/* The VMCS view and the entry checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/view.h"
#include "vmx/vmx.h"

#define UNRESTRICTED (1u << VMX_CAP_UNRESTRICTED_GUEST)

static const struct vmx_place place = {.vcpu = 0, .low_size = 128u << 20, .high_size = 256u << 20};

/* Paged protected mode that passes every check. */
static void
good_state(struct vcpu_state *state, struct vmx *vmx)
{
	vcpu_state_reset(state, 0);
	vmx_init(vmx);
	state->sregs.cr0 = CR0_PE | CR0_PG | CR0_ET;
	state->sregs.seg[SEG_CS] =
	    (struct x86_segment){.selector = 8, .limit = UINT32_MAX, .access = AR_G | AR_DB | 0x9b};
	state->sregs.seg[SEG_SS] = (struct x86_segment){
	    .selector = 16, .limit = UINT32_MAX, .access = AR_G | AR_DB | 0x93};
}

static void
controls_are_the_seeds(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;
	struct vmx_view view;

	(void)unused;
	good_state(&state, &vmx);
	view = vmx_view(&state, &vmx, &place);
	assert_int_equal(view.pinbased_ctls, 0x3f);
	assert_int_equal(view.procbased_ctls, 0x95006172);
	assert_int_equal(view.procbased_ctls2, 0x22);
	assert_int_equal(view.exit_ctls, 0x003f6ffb);
	assert_int_equal(view.entry_ctls, 0x0000d1fb);
	assert_int_equal(view.exception_bitmap, 0x40000);
	vmx.caps = UNRESTRICTED;
	view = vmx_view(&state, &vmx, &place);
	assert_int_equal(view.procbased_ctls2, 0xa2);
}

static void
capabilities_set_their_controls(void **unused)
{
	static const struct {
		enum vmx_cap cap;
		uint32_t bit;
	} rows[] = {
	    {VMX_CAP_HALT_EXIT, 1u << 7},
	    {VMX_CAP_MTRAP_EXIT, 1u << 27},
	    {VMX_CAP_PAUSE_EXIT, 1u << 30},
	};
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	good_state(&state, &vmx);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vmx.caps = 1u << rows[i].cap;
		assert_int_equal(
		    vmx_view(&state, &vmx, &place).procbased_ctls, 0x95006172u | rows[i].bit);
	}
	vmx.caps = 0;
	state.sregs.efer = EFER_LME | EFER_LMA;
	assert_int_equal(vmx_view(&state, &vmx, &place).entry_ctls, 0xd3fb);
}

static void
control_registers_show_fixed_bits(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;
	struct vmx_view view;

	(void)unused;
	good_state(&state, &vmx);
	state.sregs.cr0 = CR0_NE;
	state.sregs.cr4 = 0;
	view = vmx_view(&state, &vmx, &place);
	assert_int_equal(view.guest_cr0, 0x20);
	assert_int_equal(view.guest_cr4, 0x2000);
	assert_true(view.cr0_mask == 0xffffffff60000020);
	assert_int_equal(view.cr0_shadow, 0x20);
	assert_int_equal(view.cr4_mask, 0);
	state.sregs.cr0 = CR0_ET | CR0_CD;
	view = vmx_view(&state, &vmx, &place);
	assert_int_equal(view.guest_cr0, CR0_NE | CR0_ET | CR0_CD);
	/* What the guest reads: its own bits, where the mask has ones from the shadow. */
	assert_int_equal(
	    (view.guest_cr0 & ~view.cr0_mask) | (view.cr0_shadow & view.cr0_mask), CR0_ET | CR0_CD);
}

static void
ept_lies_behind_guest_memory(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;
	struct vmx_view view;

	(void)unused;
	good_state(&state, &vmx);
	view = vmx_view(&state, &vmx, &place);
	assert_int_equal(view.eptp & 0xfff, 0x1e); /* write-back, 4 levels */
	assert_true((view.eptp & ~0xfffull) >= VMX_HOST_MEMORY + place.low_size + place.high_size);
	assert_int_equal(view.vpid, 1);
	assert_int_equal(view.host_cr3, 0);
	vmx.entered = 1;
	assert_int_not_equal(vmx_view(&state, &vmx, &place).host_cr3, 0);
}

/* The name of the first rule that fails, "" when none does. */
static const char *
failed(const struct vcpu_state *state, const struct vmx *vmx)
{
	const struct vmx_rule *rule = vmx_check_entry(state, vmx);

	return (rule == NULL ? "" : rule->name);
}

static void
paged_protected_mode_enters(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	good_state(&state, &vmx);
	assert_string_equal(failed(&state, &vmx), "");
}

static void
reset_state_needs_unrestricted_guest(void **unused)
{
	const struct vmx_rule *rule;
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	vcpu_state_reset(&state, 0);
	vmx_init(&vmx);
	rule = vmx_check_entry(&state, &vmx);
	assert_non_null(rule);
	assert_string_equal(rule->name, "cr0.pe");
	assert_string_equal(vmx_rule_broken(rule), "CR0.PE=0 needs unrestricted guest");
	state.sregs.cr0 |= CR0_PE;
	assert_string_equal(failed(&state, &vmx), "cr0.pg");
	state.sregs.cr0 &= ~(uint64_t)CR0_PE;
	vmx.caps = UNRESTRICTED;
	assert_string_equal(failed(&state, &vmx), "");
}

/* Limit 0 everywhere and a 64-bit CS: the seed's VM entered with them, and died of them. */
static void
the_seeds_wrong_values_enter(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	vcpu_state_reset(&state, 0);
	vmx_init(&vmx);
	vmx.caps = UNRESTRICTED;
	state.sregs.cr0 = CR0_NE;
	for (int i = 0; i < SEG_COUNT; i++)
		state.sregs.seg[i] = (struct x86_segment){.access = 0x93};
	state.sregs.seg[SEG_CS].access = 0x209b;
	state.sregs.tr = (struct x86_segment){.access = 0x8b};
	state.sregs.ldtr = (struct x86_segment){.access = AR_UNUSABLE};
	state.sregs.gdtr = (struct x86_table){.base = 0x5000, .limit = 0x17};
	state.sregs.idtr = (struct x86_table){0};
	assert_string_equal(failed(&state, &vmx), "");
}

#define AT(field) offsetof(struct vcpu_state, field), sizeof(((struct vcpu_state *)NULL)->field)

/* One wrong field each, and the rule that says so. */
static const struct {
	const char *rule;
	size_t offset;
	size_t size;
	uint64_t value;
} wrong[] = {
    {"cr0.reserved", AT(sregs.cr0), 1ull << 32 | CR0_PE | CR0_PG},
    {"cr4.reserved", AT(sregs.cr4), 1u << 31},
    {"cr4.pcide", AT(sregs.cr4), CR4_PCIDE},
    {"efer.lma-paging", AT(sregs.efer), EFER_LMA | EFER_LME},
    {"efer.reserved", AT(sregs.efer), 1u << 5},
    {"efer.lma-lme", AT(sregs.efer), EFER_LME},
    {"tr.ti", AT(sregs.tr.selector), 4},
    {"base.high", AT(sregs.seg[SEG_CS].base), 1ull << 32},
    {"base.high", AT(sregs.seg[SEG_DS].base), 1ull << 63},
    {"cs.type", AT(sregs.seg[SEG_CS].access), 0x93},
    {"cs.type", AT(sregs.seg[SEG_CS].access), 0x1b},
    {"ss.type", AT(sregs.seg[SEG_SS].access), 0x91},
    {"data.type", AT(sregs.seg[SEG_ES].access), 0x99},
    {"data.type", AT(sregs.seg[SEG_GS].access), 0x92},
    {"access.reserved", AT(sregs.seg[SEG_FS].access), 0x193},
    {"limit.granularity", AT(sregs.seg[SEG_DS].limit), 0x100000},
    {"limit.granularity", AT(sregs.seg[SEG_CS].limit), 0xfffffff0},
    {"tr.usable", AT(sregs.tr.access), AR_UNUSABLE | 0x8b},
    {"tr.type", AT(sregs.tr.access), 0x89},
    {"ldtr.type", AT(sregs.ldtr.access), 0x8b},
    {"tables.limit", AT(sregs.gdtr.limit), 0x10000},
    {"tables.limit", AT(sregs.idtr.limit), 0x10000},
    {"rip.high", AT(gpr.rip), 1ull << 32},
    {"rflags.reserved", AT(gpr.rflags), 0},
    {"rflags.reserved", AT(gpr.rflags), 0xa},
    {"rflags.reserved", AT(gpr.rflags), 0x8002},
};

static void
each_wrong_field_fails_its_rule(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		good_state(&state, &vmx);
		memcpy((char *)&state + wrong[i].offset, &wrong[i].value, wrong[i].size);
		assert_string_equal(failed(&state, &vmx), wrong[i].rule);
	}
}

static void
rules_that_two_fields_break(void **unused)
{
	struct vcpu_state state;
	struct vmx vmx;

	(void)unused;
	good_state(&state, &vmx);
	vmx.caps = UNRESTRICTED;
	state.sregs.cr0 = CR0_PG;
	assert_string_equal(failed(&state, &vmx), "cr0.pg-pe");
	state.sregs.cr0 = 0;
	state.gpr.rflags |= RFLAGS_VM;
	assert_string_equal(failed(&state, &vmx), "rflags.vm");
	good_state(&state, &vmx);
	vmx.entry_interruption_info = 0x80000020; /* external interrupt, vector 20h */
	assert_string_equal(failed(&state, &vmx), "rflags.if");
	state.gpr.rflags |= RFLAGS_IF;
	assert_string_equal(failed(&state, &vmx), "");
}

static void
rules_have_names_and_sections(void **unused)
{
	size_t count;
	const struct vmx_rule *rules = vmx_entry_rules(&count);

	(void)unused;
	assert_true(count >= 20);
	for (size_t i = 0; i < count; i++) {
		assert_true(rules[i].name[0] != '\0' && rules[i].title[0] != '\0');
		assert_int_equal(strncmp(rules[i].section, "27.3.1.", 7), 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rules[i].name, rules[k].name);
	}
}

static void
exit_reasons_have_names(void **unused)
{
	(void)unused;
	assert_string_equal(vmx_exit_reason_name(VMX_EXIT_TRIPLE_FAULT), "triple fault");
	assert_string_equal(vmx_exit_reason_name(VMX_EXIT_VMCALL), "VMCALL");
	assert_string_equal(
	    vmx_exit_reason_name(VMX_EXIT_ENTRY_GUEST_STATE | VMX_EXIT_ENTRY_FAILURE),
	    "VM-entry failure: invalid guest state");
	for (uint32_t reason = 0; reason < 0x10000; reason++)
		assert_non_null(vmx_exit_reason_name(reason));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(controls_are_the_seeds),
	    cmocka_unit_test(capabilities_set_their_controls),
	    cmocka_unit_test(control_registers_show_fixed_bits),
	    cmocka_unit_test(ept_lies_behind_guest_memory),
	    cmocka_unit_test(paged_protected_mode_enters),
	    cmocka_unit_test(reset_state_needs_unrestricted_guest),
	    cmocka_unit_test(the_seeds_wrong_values_enter),
	    cmocka_unit_test(each_wrong_field_fails_its_rule),
	    cmocka_unit_test(rules_that_two_fields_break),
	    cmocka_unit_test(rules_have_names_and_sections),
	    cmocka_unit_test(exit_reasons_have_names),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
