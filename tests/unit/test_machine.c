/* The board with the library: what one leaves for the other in the VM. */
#include "vm_fixture.h"

#include <vmmapi.h>

#include "machine/machine.h"

static struct machine machine;

static int
board_setup(void **state)
{
	if (vm_setup(state) != 0 || vmm_begin(*state, VMM_WRITE, NULL) != 0)
		return (-1);
	vmm_set_firmware(*state, VMM_FW_ROM);
	return (vmm_set_memory(*state, 1 << 20, 0, NULL) == 0 ? vmm_end(*state, true, NULL) : -1);
}

static void
start(struct vmctx *ctx)
{
	const struct machine_config config = {
	    .debug_exit_port = -1, .coms = 1, .engine = &engine_soft};

	assert_int_equal(vmm_run_begin(ctx, NULL), 0);
	assert_int_equal(machine_init(&machine, ctx, &config, NULL), 0);
}

static void
stop(struct vmctx *ctx)
{
	assert_int_equal(vmm_run_end(ctx, NULL), 0);
	machine_fini(&machine);
}

/* vm_lapic_irq() on a stopped VM: the local APIC, kept as it was, has the request in the next run. */
static void
an_interrupt_from_outside(void **state)
{
	struct vmctx *ctx = *state;

	start(ctx);
	lapic_write(&machine.lapic, 0xf0, 0x1ff);
	stop(ctx);
	vm_close(ctx);
	*state = ctx = vm_open("vm0");
	assert_int_equal(vm_lapic_irq(ctx, 0, 0x41), 0);
	vm_close(ctx);
	*state = ctx = vm_open("vm0");
	start(ctx);
	assert_int_equal(lapic_read(&machine.lapic, 0x220), 2);
	assert_int_equal(lapic_ack(&machine.lapic), 0x41);
	stop(ctx);
	vm_close(ctx);
	*state = ctx = vm_open("vm0");
	start(ctx);
	assert_int_equal(lapic_read(&machine.lapic, 0x120), 2); /* and not again */
	assert_int_equal(lapic_read(&machine.lapic, 0x220), 0);
	stop(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(an_interrupt_from_outside, board_setup, vm_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
