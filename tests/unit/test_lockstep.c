/* Two engines in lockstep: what differs is found, and where; what does not is left alone. */
#include "vm_fixture.h"

#include <vmmapi.h>

#include "engine/lockstep.h"
#include "machine/machine.h"

#define CODE 0x7c00
#define DATA 0x9000

/* Real mode, ends by HLT with interrupts off. */
static const uint8_t program[] = {
    0xb8, 0x34, 0x12,			/* 7c00 mov ax, 1234h */
    0x89, 0xc3,				/* 7c03 mov bx, ax */
    0xa3, 0x00, 0x90,			/* 7c05 mov [9000h], ax */
    0xe6, 0x80,				/* 7c08 out 80h, al */
    0x43,				/* 7c0a inc bx */
    0x0f, 0x31,				/* 7c0b rdtsc */
    0x0f, 0xa2,				/* 7c0d cpuid */
    0xe4, 0x61,				/* 7c0f in al, 61h */
    0xb9, 0xe8, 0x03,			/* 7c11 mov cx, 1000 */
    0xe2, 0xfe,				/* 7c14 loop 7c14h */
    0xbe, 0x00, 0x90, 0xb9, 0x08, 0x00, /* 7c16 mov si, 9000h; mov cx, 8 */
    0xba, 0x80, 0x00, 0xf3, 0x6e,	/* 7c1c mov dx, 80h; rep outsb */
    0x43,				/* 7c21 inc bx */
    0xfa, 0xf4,				/* 7c22 cli; hlt */
};

static struct machine machine;
static struct lockstep ls;

/* A soft engine that somebody meddles with before each instruction. */
static void (*meddle)(struct vcpu *vcpu);
static bool stopping;

static void
meddled_stop(struct vcpu *vcpu)
{
	(void)vcpu;
	stopping = true;
}

static void
meddled_run(struct vcpu *vcpu, uint64_t budget)
{
	uint64_t end = vcpu_instructions(vcpu) + budget;

	stopping = false;
	do {
		if (meddle != NULL)
			meddle(vcpu);
		engine_soft.run(vcpu, 1);
	} while (!stopping && vcpu->exit.kind == ENGINE_CANCELED && vcpu_instructions(vcpu) < end);
	if (stopping && vcpu->exit.kind == ENGINE_CANCELED)
		vcpu->exit.kind = ENGINE_STOPPED;
}

static bool
at(const struct vcpu *vcpu, uint64_t rip)
{
	return (vcpu->state->gpr.rip == rip && vcpu->state->sregs.seg[SEG_CS].base == 0);
}

static void
flip_register(struct vcpu *vcpu)
{
	if (!at(vcpu, 0x7c05))
		return;
	vcpu->state->gpr.reg[GPR_RBX] ^= 4;
	vcpu_push(vcpu, VCPU_GPR);
}

static void
flip_memory(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c0a))
		memory_put8(vcpu->world.mem, DATA + 1, 0x13);
}

static void
flip_value(struct vcpu *vcpu)
{
	if (!at(vcpu, 0x7c08))
		return;
	vcpu->state->gpr.reg[GPR_RAX] ^= 1;
	vcpu_push(vcpu, VCPU_GPR);
}

static void
go_to(struct vcpu *vcpu, uint64_t rip)
{
	vcpu->state->gpr.rip = rip;
	vcpu_push(vcpu, VCPU_GPR);
}

static void
skip_output(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c08))
		go_to(vcpu, 0x7c0a);
}

static void
output_more(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c22))
		bus_out(vcpu->world.bus, 0x80, 1, 0);
}

static void
skip_halt(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c23))
		go_to(vcpu, 0x7c22);
}

static void
never_output(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c08))
		go_to(vcpu, 0x7c05);
}

static void
flip_memory_elsewhere(struct vcpu *vcpu)
{
	if (at(vcpu, 0x7c0a))
		memory_put8(vcpu->world.mem, 0x30003, 1);
}

static void
flip_register_later(struct vcpu *vcpu)
{
	if (!at(vcpu, 0x7c0f))
		return;
	vcpu->state->gpr.reg[GPR_RBP] ^= 4;
	vcpu_push(vcpu, VCPU_GPR);
}

/* --- running it ------------------------------------------------------------------------------------ */

static int
board_setup(void **state)
{
	if (vm_setup(state) != 0 || vmm_begin(*state, VMM_WRITE, NULL) != 0)
		return (-1);
	vmm_set_firmware(*state, VMM_FW_ROM);
	return (vmm_set_memory(*state, 1 << 20, 0, NULL) == 0 ? vmm_end(*state, true, NULL) : -1);
}

static unsigned polls;

/* A person who waits for a while, for what never comes. */
static void
poll(void *opaque)
{
	(void)opaque;
	if (++polls >= 5 && meddle == never_output)
		machine_event(&machine, (struct machine_event){.kind = MACHINE_EVENT_STOP});
}

/* Run PROGRAM on soft and FOLLOWER, until the machine ends. SAME: nothing differs in the end. */
static enum machine_end
run(void **state, const struct engine_ops *follower, void (*by)(struct vcpu *vcpu), bool *same)
{
	const struct machine_config config = {.debug_exit_port = -1,
	    .coms = 1,
	    .engine = &engine_lockstep,
	    .lockstep = &ls,
	    .clock = MACHINE_CLOCK_ICOUNT,
	    .host.poll = poll};
	struct vcpu_state *s;
	enum machine_end end;

	ls = (struct lockstep){.engines = {&engine_soft, follower}};
	meddle = by;
	polls = 0;
	assert_int_equal(vm_set_capability(*state, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	assert_int_equal(vmm_run_begin(*state, NULL), 0);
	assert_int_equal(machine_init(&machine, *state, &config, NULL), 0);
	assert_true(memory_write(machine.mem, CODE, program, sizeof(program)));
	s = machine.state;
	s->sregs.seg[SEG_CS].selector = 0;
	s->sregs.seg[SEG_CS].base = 0;
	s->gpr.rip = CODE;
	s->gpr.reg[GPR_RSP] = CODE;
	vcpu_push(&machine.vcpu, VCPU_ALL);
	end = machine_run(&machine);
	*same = lockstep_finish(&ls);
	assert_int_equal(vmm_run_end(*state, NULL), 0);
	machine_fini(&machine);
	return (end);
}

/* Soft as an engine that is meddled with. TIMED: and that counts nothing, as KVM. */
static struct engine_ops
meddled(bool timed)
{
	const struct engine_ops *soft = &engine_soft;
	struct engine_ops ops = *soft;

	ops.run = meddled_run;
	ops.stop = meddled_stop;
	ops.timed = timed;
	if (timed)
		ops.written = NULL;
	return (ops);
}

static void
expect(void **state, bool timed, void (*by)(struct vcpu *vcpu), enum lockstep_what what)
{
	const struct engine_ops follower = meddled(timed);
	bool same;

	assert_int_equal(run(state, &follower, by, &same), MACHINE_EXIT);
	assert_false(same);
	assert_int_equal(ls.report.what, what);
}

/* The last instruction listed is at RIP; it makes the difference, when it is run again. */
static void
expect_step(uint64_t rip)
{
	const struct lockstep_report *r = &ls.report;

	assert_true(r->reproduced);
	assert_true(r->nsteps > 0);
	assert_int_equal(r->step[r->nsteps - 1].gpr.rip, rip);
}

/* --- the tests ------------------------------------------------------------------------------------- */

static void
no_difference(void **state)
{
	bool same;

	assert_int_equal(run(state, &engine_soft, NULL, &same), MACHINE_HALTED);
	assert_true(same);
	assert_int_equal(ls.accesses, 10); /* one OUT, one IN, eight of the string */
	assert_int_equal(ls.varied, 2);
	assert_true(ls.exits >= 12);
	assert_true(ls.pages > 0);
}

/* The follower is brought to where the leader is by breakpoints, not by counting. */
static void
no_difference_without_counting(void **state)
{
	struct engine_ops uncounted = engine_soft;
	bool same;

	uncounted.timed = true;
	uncounted.written = NULL;
	assert_int_equal(run(state, &uncounted, NULL, &same), MACHINE_HALTED);
	assert_true(same);
	assert_int_equal(ls.accesses, 10);
	assert_int_equal(ls.varied, 2);
}

static void
a_register(void **state)
{
	expect(state, false, flip_register, LOCKSTEP_REGISTERS);
	assert_int_equal(ls.report.side[LOCKSTEP_LEADER].state.gpr.reg[GPR_RBX], 0x1234);
	assert_int_equal(ls.report.side[LOCKSTEP_FOLLOWER].state.gpr.reg[GPR_RBX], 0x1230);
	expect_step(0x7c05);
}

static void
a_byte_of_memory(void **state)
{
	expect(state, false, flip_memory, LOCKSTEP_MEMORY);
	assert_int_equal(ls.report.gpa, DATA + 1);
	assert_int_equal(ls.report.bytes[LOCKSTEP_LEADER][0], 0x12);
	assert_int_equal(ls.report.bytes[LOCKSTEP_FOLLOWER][0], 0x13);
	assert_int_equal(ls.report.differing, 1);
	expect_step(0x7c0a);
}

static void
an_output(void **state)
{
	expect(state, false, flip_value, LOCKSTEP_ACCESS);
	assert_true(ls.report.side[LOCKSTEP_LEADER].has_access);
	assert_int_equal(ls.report.side[LOCKSTEP_LEADER].access.address, 0x80);
	assert_int_equal(ls.report.side[LOCKSTEP_LEADER].access.value, 0x34);
	assert_int_equal(ls.report.side[LOCKSTEP_FOLLOWER].access.value, 0x35);
	expect_step(0x7c08);
}

static void
an_access_too_few(void **state)
{
	expect(state, false, skip_output, LOCKSTEP_MISSING);
	assert_true(ls.report.side[LOCKSTEP_LEADER].has_access);
	assert_false(ls.report.side[LOCKSTEP_FOLLOWER].has_access);
	expect_step(0x7c08);
}

static void
an_access_too_many(void **state)
{
	expect(state, false, output_more, LOCKSTEP_EXTRA);
	assert_false(ls.report.side[LOCKSTEP_LEADER].has_access);
	assert_true(ls.report.side[LOCKSTEP_FOLLOWER].has_access);
	expect_step(0x7c22);
}

static void
an_exit(void **state)
{
	expect(state, false, skip_halt, LOCKSTEP_EXIT);
	assert_int_equal(ls.report.side[LOCKSTEP_LEADER].exit, ENGINE_HLT);
	expect_step(0x7c23);
}

/* Of two instructions whose results vary and one more, the last is to blame. */
static void
a_register_without_counting(void **state)
{
	expect(state, true, flip_register_later, LOCKSTEP_REGISTERS);
	expect_step(0x7c0f);
	assert_int_equal(ls.report.behind[LOCKSTEP_LEADER].gpr.reg[GPR_RBP] ^
		ls.report.behind[LOCKSTEP_FOLLOWER].gpr.reg[GPR_RBP],
	    4);
}

/* Only one has written there, and it does not tell: all of memory is compared at the end. */
static void
a_byte_elsewhere(void **state)
{
	const struct engine_ops follower = meddled(true);
	bool same;

	assert_int_equal(run(state, &follower, flip_memory_elsewhere, &same), MACHINE_HALTED);
	assert_false(same);
	assert_int_equal(ls.report.what, LOCKSTEP_MEMORY);
	assert_int_equal(ls.report.gpa, 0x30003);
	assert_int_equal(ls.report.bytes[LOCKSTEP_LEADER][0], 0);
	assert_int_equal(ls.report.bytes[LOCKSTEP_FOLLOWER][0], 1);
}

/* The follower never comes: the host is asked all the while, and can end the run. */
static void
a_follower_astray(void **state)
{
	const struct engine_ops follower = meddled(true);
	bool same;

	assert_int_equal(run(state, &follower, never_output, &same), MACHINE_STOPPED);
	assert_false(same);
	assert_int_equal(ls.report.what, LOCKSTEP_SAME); /* not known yet */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(no_difference, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(
		no_difference_without_counting, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(a_register, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(a_byte_of_memory, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(an_output, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(an_access_too_few, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(an_access_too_many, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(an_exit, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(a_register_without_counting, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(a_byte_elsewhere, board_setup, vm_teardown),
	    cmocka_unit_test_setup_teardown(a_follower_astray, board_setup, vm_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
