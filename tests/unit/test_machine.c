/* The board with the library: what one leaves for the other in the VM. */
#include "vm_fixture.h"

#include <time.h>
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

/* A host that pauses the machine when it is asked the second time, which only a kick can bring. */
struct pausing_host {
	unsigned polls, rests;
	uint64_t clock, instructions;
};

static void
pausing_poll(void *opaque)
{
	struct pausing_host *host = opaque;

	machine.next_poll = UINT64_MAX;
	switch (host->polls++) {
	case 0:
		machine_kick(&machine);
		break;
	case 1:
		assert_true(vcpu_instructions(&machine.vcpu) < 1000000);
		machine_pause(&machine);
		host->clock = clock_now(&machine.clock);
		host->instructions = vcpu_instructions(&machine.vcpu);
		break;
	default:
		machine_event(&machine, (struct machine_event){.kind = MACHINE_EVENT_STOP});
		break;
	}
}

static void
pausing_idle(void *opaque, uint64_t ns)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	struct pausing_host *host = opaque;
	uint64_t before;

	assert_true(ns > 0);
	nanosleep(&pause, NULL);
	assert_int_equal(clock_now(&machine.clock), host->clock);
	assert_int_equal(vcpu_instructions(&machine.vcpu), host->instructions);
	if (++host->rests < 3)
		return;
	before = host_ns();
	machine_resume(&machine);
	machine_kick(&machine);
	/* Guest time goes on where it stood. */
	assert_true(clock_now(&machine.clock) - host->clock <= host_ns() - before);
}

/* jmp $ in real mode. */
static void
spin(struct vmctx *ctx)
{
	struct vcpu_state *s = machine.state;

	assert_int_equal(vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	memory_put16(machine.mem, 0x7c00, 0xfeeb);
	s->sregs.seg[SEG_CS].selector = 0;
	s->sregs.seg[SEG_CS].base = 0;
	s->gpr.rip = 0x7c00;
	vcpu_push(&machine.vcpu, VCPU_ALL);
}

static void
pause_and_kick(void **state)
{
	struct pausing_host host = {0};
	const uint64_t *stats;
	uint64_t began;
	int entries;

	start(*state);
	machine.config.host =
	    (struct machine_host){.poll = pausing_poll, .idle = pausing_idle, .opaque = &host};
	spin(*state);
	began = host_ns();
	assert_int_equal(machine_run(&machine), MACHINE_STOPPED);
	assert_int_equal(host.rests, 3);
	assert_int_equal(host.polls, 3);
	/* The rest was no run time. */
	stats = vm_get_stats(*state, 0, NULL, &entries);
	assert_non_null(stats);
	assert_true(stats[VMM_STAT_RUNTIME] > 0);
	assert_true(stats[VMM_STAT_RUNTIME] + 3 * 2000000 <= host_ns() - began);
	assert_int_equal(stats[VMM_STAT_INSTRUCTIONS], vcpu_instructions(&machine.vcpu));
	stop(*state);
}

/* --- stopping ------------------------------------------------------------------------------------------ */

static uint64_t
stopping_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	vcpu_stop(&machine.vcpu);
	return (0x5a);
}

static void
stopping_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	(void)value;
	(void)stopping_read(opaque, 0, 1);
}

/* A device that asks for it has the run end right behind the instruction that read or wrote it. */
static void
stop_by_a_device(void **state)
{
	/* mov al, [0]; mov [1], al; nop; jmp $ with DS at the device */
	static const uint8_t code[] = {0xa0, 0, 0, 0xa2, 1, 0, 0x90, 0xeb, 0xfe};
	static const struct mmio_ops ops = {stopping_read, stopping_write};
	const struct mem_region device = {
	    .gpa = 0xd0000, .size = 4096, .type = MEM_MMIO, .ops = &ops, .name = "stops"};
	struct vcpu_state *s;

	start(*state);
	spin(*state);
	s = machine.state;
	assert_int_equal(memory_add_region(machine.mem, &device), 0);
	memory_write(machine.mem, 0x7c00, code, sizeof(code));
	s->sregs.seg[SEG_DS].selector = 0xd000;
	s->sregs.seg[SEG_DS].base = 0xd0000;
	vcpu_push(&machine.vcpu, VCPU_ALL);
	for (unsigned behind = 3; behind <= 6; behind += 3) {
		vcpu_run(&machine.vcpu, 1000);
		assert_int_equal(machine.vcpu.exit.kind, ENGINE_STOPPED);
		assert_int_equal(s->gpr.rip, 0x7c00 + behind);
	}
	assert_int_equal(s->gpr.reg[GPR_RAX] & 0xff, 0x5a);
	stop(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(an_interrupt_from_outside, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(pause_and_kick, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(stop_by_a_device, board_setup, vm_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
