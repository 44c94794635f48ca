/* vm_run: the library's exits, with small programs in guest memory. */
#include "vm_fixture.h"

#include <errno.h>

#define CODE(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

/* Put CODE at 0 and set real mode up. */
static void
program(struct vmctx *ctx, const uint8_t *code, size_t size)
{
	char *memory;

	assert_int_equal(vm_setup_memory(ctx, 0, 1 << 20, &memory), 0);
	memcpy(memory, code, size);
	assert_int_equal(vm_setup_bios_registers(ctx, 0, 0, 0, 0x5000, 0x1000), 0);
	assert_int_equal(vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
}

static struct vm_exit
run(struct vmctx *ctx, uint64_t rip)
{
	struct vm_exit vmexit;

	assert_int_equal(vm_run(ctx, 0, rip, &vmexit), 0);
	return (vmexit);
}

static uint64_t
reg(struct vmctx *ctx, int number)
{
	uint64_t value;

	assert_int_equal(vm_get_register(ctx, 0, number, &value), 0);
	return (value);
}

static void
vmcall_exits(void **state)
{
	struct vm_exit vmexit;

	/* nop; vmcall */
	program(*state, CODE(0x90, 0x0f, 0x01, 0xc1));
	vmexit = run(*state, 0);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_HYPERCALL);
	assert_int_equal(vmexit.rip, 1);
	assert_int_equal(vmexit.inst_length, 3);
	assert_int_equal(vmexit.u.vmx.exit_reason, 18);
	assert_int_equal(reg(*state, VM_REG_GUEST_RIP), 1);
	assert_int_equal(reg(*state, VM_REG_GUEST_CR0), 0x30); /* ET reads as one after entry */
}

static void
ports_are_the_callers(void **state)
{
	struct vm_exit vmexit;

	/* mov al, 5Ah; out 80h, al; mov dx, 1234h; in ax, dx; hlt */
	program(*state, CODE(0xb0, 0x5a, 0xe6, 0x80, 0xba, 0x34, 0x12, 0xed, 0xf4));
	vmexit = run(*state, 0);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_INOUT);
	assert_int_equal(vmexit.rip, 2);
	assert_int_equal(vmexit.inst_length, 2);
	assert_int_equal(vmexit.u.inout.port, 0x80);
	assert_int_equal(vmexit.u.inout.bytes, 1);
	assert_int_equal(vmexit.u.inout.in, 0);
	assert_int_equal(vmexit.u.inout.eax & 0xff, 0x5a);
	vmexit = run(*state, vmexit.rip + (unsigned)vmexit.inst_length);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_INOUT);
	assert_int_equal(vmexit.u.inout.port, 0x1234);
	assert_int_equal(vmexit.u.inout.bytes, 2);
	assert_int_equal(vmexit.u.inout.in, 1);
	assert_int_equal(vm_set_register(*state, 0, VM_REG_GUEST_RAX, 0xbeef), 0);
	vmexit = run(*state, vmexit.rip + (unsigned)vmexit.inst_length);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_HLT);
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX), 0xbeef);
}

static void
real_mode_needs_the_capability(void **state)
{
	struct vm_exit vmexit;

	program(*state, CODE(0xf4));
	assert_int_equal(vm_set_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, 0), 0);
	vmexit = run(*state, 0);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_VMX);
	assert_int_equal(vmexit.u.vmx.exit_reason, 33);
	assert_int_equal(vmm_exit_reason(*state, 0), 0x80000021);
	assert_int_equal(vm_set_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	assert_int_equal(run(*state, 0).exitcode, VM_EXITCODE_HLT);
}

static void
limits_of_zero_end_in_a_triple_fault(void **state)
{
	struct vm_exit vmexit;

	program(*state, CODE(0x0f, 0x01, 0xc1));
	assert_int_equal(vm_set_desc(*state, 0, VM_REG_GUEST_CS, 0, 0, 0x209b), 0);
	assert_int_equal(vm_set_desc(*state, 0, VM_REG_GUEST_IDTR, 0, 0, 0), 0);
	vmexit = run(*state, 0);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_VMX);
	assert_int_equal(vmexit.u.vmx.exit_reason, 2);
	assert_int_equal(vmexit.inst_length, 3);
	assert_int_equal(reg(*state, VM_REG_GUEST_RFLAGS), 0x10002);
}

static void
memory_that_is_not_there_exits(void **state)
{
	struct vm_exit vmexit;

	/* mov ax, [0]: DS based at 4 MB, above the VM's 1 MB */
	program(*state, CODE(0xa1, 0x00, 0x00, 0xf4));
	assert_int_equal(vm_set_desc(*state, 0, VM_REG_GUEST_DS, 4 << 20, 0xffff, 0x93), 0);
	vmexit = run(*state, 0);
	assert_int_equal(vmexit.exitcode, VM_EXITCODE_PAGING);
	assert_int_equal(vmexit.rip, 0);
}

/* Code that the caller changes through its mapping is what runs next. */
static void
changed_code_runs(void **state)
{
	char *memory;

	/* mov al, 1; hlt */
	program(*state, CODE(0xb0, 0x01, 0xf4));
	run(*state, 0);
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX) & 0xff, 1);
	memory = vm_map_memory(*state, 0, 4096);
	memory[1] = 2;
	run(*state, 0);
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX) & 0xff, 2);
}

static void
an_injected_interrupt_is_delivered_first(void **state)
{
	static const uint8_t handler[] = {0xb0, 0x07, 0xf4};
	static const uint16_t vector[] = {0x500, 0};
	char *memory;

	/* hlt; at 500h, the handler: mov al, 7; hlt */
	program(*state, CODE(0xf4));
	memory = vm_map_memory(*state, 0, 4096);
	memcpy(memory + 0x500, handler, sizeof(handler));
	memcpy(memory + 4 * 0x40, vector, sizeof(vector));
	assert_int_equal(vm_inject_event(*state, 0, VM_SW_INTR, 0x40), 0);
	assert_int_equal(run(*state, 0).exitcode, VM_EXITCODE_HLT);
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX) & 0xff, 7);
}

static void
runs_are_counted(void **state)
{
	uint64_t *stats;
	int entries;

	program(*state, CODE(0x90, 0x90, 0xf4));
	run(*state, 0);
	stats = vm_get_stats(*state, 0, NULL, &entries);
	assert_int_equal(stats[VMM_STAT_MIGRATIONS], 1);
	assert_true(stats[VMM_STAT_RUNTIME] > 0);
	assert_int_equal(stats[VMM_STAT_EXIT_EXTINT], 0);
	assert_int_equal(stats[VMM_STAT_EXITS], 1);
	assert_int_equal(stats[VMM_STAT_EXIT_HLT], 1);
	assert_int_equal(stats[VMM_STAT_INSTRUCTIONS], 3);
}

static void
another_process_goes_on(void **state)
{
	struct vmctx *other;

	/* inc ax; hlt; jmp 0 */
	program(*state, CODE(0x40, 0xf4, 0xeb, 0xfc));
	run(*state, 0);
	other = vm_open("vm0");
	run(other, reg(other, VM_REG_GUEST_RIP));
	vm_close(other);
	run(*state, reg(*state, VM_REG_GUEST_RIP));
	assert_int_equal(reg(*state, VM_REG_GUEST_RAX), 3);
}

int
main(void)
{
#define ON_VM(test) cmocka_unit_test_setup_teardown(test, vm_setup, vm_teardown)
	const struct CMUnitTest tests[] = {
	    ON_VM(vmcall_exits),
	    ON_VM(ports_are_the_callers),
	    ON_VM(real_mode_needs_the_capability),
	    ON_VM(limits_of_zero_end_in_a_triple_fault),
	    ON_VM(memory_that_is_not_there_exits),
	    ON_VM(changed_code_runs),
	    ON_VM(an_injected_interrupt_is_delivered_first),
	    ON_VM(runs_are_counted),
	    ON_VM(another_process_goes_on),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
