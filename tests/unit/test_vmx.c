/* The VMCS view. */
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
	    cmocka_unit_test(exit_reasons_have_names),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
