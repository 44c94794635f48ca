/* The board, and the library's vCPU, on a KVM that fails: told once, and the VM stays usable. */
#include "vm_fixture.h"

#include <vmmapi.h>

#include "fake_kvm.h"
#include "machine/machine.h"

#define CODE 0x7c00

static struct machine machine;

static int
setup(void **state)
{
	fake_kvm_reset(false);
	if (vm_setup(state) != 0 || vmm_begin(*state, VMM_WRITE, NULL) != 0)
		return (-1);
	vmm_set_firmware(*state, VMM_FW_ROM);
	if (vmm_set_memory(*state, 1 << 20, 0, NULL) != 0 || vmm_end(*state, true, NULL) != 0)
		return (-1);
	return (vm_set_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, 1));
}

static int
make(struct vmctx *ctx, const struct engine_ops *engine, struct vmm_error *err)
{
	const struct machine_config config = {
	    .debug_exit_port = -1, .coms = 1, .no_reboot = true, .engine = engine};

	return (machine_init(&machine, ctx, &config, err));
}

/* The VM "vm0" as somebody else finds it: RIP can be read, and it can be destroyed. */
static void
read_and_destroy(void **state, uint64_t rip)
{
	uint64_t value = 0;

	vm_close(*state);
	*state = vm_open("vm0");
	assert_non_null(*state);
	assert_int_equal(vm_get_register(*state, 0, VM_REG_GUEST_RIP, &value), 0);
	assert_int_equal(value, rip);
	vm_destroy(*state);
	*state = NULL;
	assert_null(vm_open("vm0"));
}

static int
teardown(void **state)
{
	if (*state != NULL)
		vm_close(*state);
	return (folder_teardown(state));
}

/* --- the tests --------------------------------------------------------------------------------------- */

static void
no_vcpu_can_be_made(void **state)
{
	static const unsigned long creation[] = {
	    FAKE_OPEN, KVM_CREATE_VM, KVM_CREATE_VCPU, FAKE_MMAP, KVM_SET_CPUID2};
	unsigned files = open_files();
	struct vmm_error err;

	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RIP, CODE), 0);
	for (size_t i = 0; i < sizeof(creation) / sizeof(creation[0]); i++) {
		fake_kvm_reset(false);
		fake_kvm.failure = (struct fake_failure){
		    .call = creation[i], .argument = FAKE_ANY, .error = ENOMEM};
		assert_int_equal(vmm_run_begin(*state, NULL), 0);
		assert_int_equal(make(*state, &engine_kvm, &err), -1);
		assert_non_null(strstr(err.text, "vm0: cannot make a vCPU: "));
		assert_non_null(strstr(err.text, "--engine soft"));
		machine_fini(&machine); /* which is for nothing, but no harm */
		assert_int_equal(vmm_run_end(*state, NULL), 0);
	}
	read_and_destroy(state, CODE);
	assert_true(open_files() <= files);
}

static int
two_entries(struct kvm_run *run, unsigned n)
{
	(void)run;
	fake_kvm.regs.rip = CODE + n;
	fake_kvm.regs.rflags = 2;
	return (n < 2 ? EINTR : ENOSYS);
}

static void
the_guest_runs_no_further(void **state)
{
	struct vmm_error err;

	fake_kvm.guest = two_entries;
	assert_int_equal(vmm_run_begin(*state, NULL), 0);
	assert_int_equal(make(*state, &engine_kvm, &err), 0);
	assert_int_equal(machine_run(&machine), MACHINE_EXIT);
	assert_int_equal(machine.vcpu.exit.kind, ENGINE_ERROR);
	assert_string_equal(
	    machine.vcpu.exit.text, "KVM_RUN: Function not implemented; use --engine soft");
	assert_int_equal(vmm_run_end(*state, NULL), 0);
	machine_fini(&machine);
	read_and_destroy(state, CODE + 2);
}

/* What KVM ended with goes on on the built-in CPU. */
static void
another_engine_goes_on(void **state)
{
	struct vmm_error err;

	fake_kvm.guest = two_entries;
	assert_int_equal(vmm_run_begin(*state, NULL), 0);
	assert_int_equal(make(*state, &engine_kvm, &err), 0);
	memory_write(machine.mem, CODE, "\x90\x90\x40\xfa\xf4", 5); /* inc ax; cli; hlt */
	machine.state->sregs.seg[SEG_CS] = segment_real(0, 0x9b);
	machine.state->gpr.reg[GPR_RAX] = 6;
	vcpu_push(&machine.vcpu, VCPU_ALL);
	assert_int_equal(machine_run(&machine), MACHINE_EXIT);
	machine_fini(&machine);
	assert_int_equal(make(*state, &engine_soft, &err), 0);
	assert_int_equal(machine_run(&machine), MACHINE_HALTED);
	assert_int_equal(machine.state->gpr.rip, CODE + 5);
	assert_int_equal(vmm_run_end(*state, NULL), 0);
	machine_fini(&machine);
}

/* Memory that the file system has no room for, found by KVM. */
static int
no_room(struct kvm_run *run, unsigned n)
{
	(void)run;
	(void)n;
	fake_kvm.regs.rip = CODE;
	return (EFAULT);
}

static void
a_full_file_system(void **state)
{
	struct vm_exit vmexit;
	struct vmm_error err;

	fake_kvm.guest = no_room;
	vmm_set_engine(*state, &engine_kvm);
	assert_int_equal(vmm_run(*state, 0, CODE, 1000, &vmexit, &err), -1);
	assert_int_equal(err.error, EIO);
	assert_non_null(strstr(err.text, "KVM_RUN"));
	assert_non_null(strstr(err.text, "file system full"));
}

static void
no_vcpu_for_the_library(void **state)
{
	struct vm_exit vmexit;
	struct vmm_error err;

	fake_kvm.failure = (struct fake_failure){
	    .call = KVM_CREATE_VM, .argument = FAKE_ANY, .times = 1, .error = EBUSY};
	vmm_set_engine(*state, &engine_kvm);
	assert_int_equal(vmm_run(*state, 0, CODE, 1000, &vmexit, &err), -1);
	assert_int_equal(err.error, EBUSY);
	assert_non_null(strstr(err.text, "KVM_CREATE_VM"));
	assert_non_null(strstr(err.text, "other hypervisor"));
	/* It ended. */
	assert_int_equal(vmm_run(*state, 0, CODE, 1000, &vmexit, &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(no_vcpu_can_be_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_guest_runs_no_further, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_engine_goes_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_file_system, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_vcpu_for_the_library, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
