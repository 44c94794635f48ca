/*
 * How a guest died on KVM, which tells only that it did: found again on the built-in CPU from the
 * last entry, or said not to be known.
 */
#include "unit.h"

#include "fake_kvm.h"

#define START 0x1000
#define TABLE 0x2000 /* an IDTR of limit 0 */
#define DIES 0x1007

/* Ends by an undefined instruction for which there is no vector. */
static const uint8_t program[] = {
    0xe6, 0x80,			  /* 1000 out 80h, al */
    0x0f, 0x01, 0x1e, 0x00, 0x20, /* 1002 lidt [TABLE] */
    0x0f, 0x0b,			  /* 1007 ud2 */
};
static const uint8_t asks[] = {0xe4, 0x60};    /* in al, 60h */
static const uint8_t circles[] = {0xeb, 0xfe}; /* jmp $ */

static struct fake_board board;
static struct vcpu_history history;

static void
exit_by_out(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = 1;
	run->io.port = 0x80;
	run->io.count = 1;
	run->io.data_offset = 4096;
}

/* As on VT-x: the registers of the instruction that did it. */
static int
dies(struct kvm_run *run, unsigned n)
{
	if (n == 0) {
		exit_by_out(run);
		return (0);
	}
	fake_kvm.regs.rip = DIES;
	run->exit_reason = KVM_EXIT_SHUTDOWN;
	return (0);
}

/* As on SVM: those of a reset. */
static int
dies_and_forgets(struct kvm_run *run, unsigned n)
{
	if (n == 0) {
		exit_by_out(run);
		return (0);
	}
	fake_kvm.regs = (struct kvm_regs){.rip = 0xfff0, .rflags = RFLAGS_1};
	fake_kvm.sregs.cs = (struct kvm_segment){.base = 0xffff0000,
	    .selector = 0xf000,
	    .limit = 0xffff,
	    .present = 1,
	    .type = 11,
	    .s = 1};
	run->exit_reason = KVM_EXIT_SHUTDOWN;
	return (0);
}

/* Run GUEST, with CODE (2 bytes) in place of what comes behind the OUT unless it is NULL. */
static void
die(int (*guest)(struct kvm_run *run, unsigned n), const uint8_t *code)
{
	int fd = memfd_create("death", MFD_CLOEXEC);

	memset(&board, 0, sizeof(board));
	fake_kvm_reset(false);
	fake_kvm.guest = guest;
	assert_true(fake_board_init(&board, 1 << 20, 0));
	/* On a file that stays open: the search for the death maps it a second time. */
	memory_fini(&board.mem);
	assert_int_equal(memory_init(&board.mem, fd, 1 << 20, 0, true), 0);
	memory_write(&board.mem, START, program, sizeof(program));
	if (code != NULL)
		memory_write(&board.mem, START + 2, code, 2);
	assert_int_equal(fake_board_create(&board, true), 0);
	vcpu_run(&board.vcpu, UINT64_MAX);
	assert_int_equal(board.vcpu.exit.kind, ENGINE_TRIPLE_FAULT);
	vcpu_history(&board.vcpu, &history);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
	close(fd);
}

static void
check_found(void)
{
	assert_int_equal(history.gap, HISTORY_WHOLE);
	assert_int_equal(board.state.gpr.rip, DIES);
	assert_int_equal(board.state.sregs.seg[SEG_CS].base, 0);
	assert_true(history.nfaults >= 2);
	assert_int_equal(history.faults[0].vector, VEC_UD);
	assert_int_equal(history.faults[1].vector, VEC_GP);
	assert_int_equal(history.faults[1].cause, CAUSE_IDT_LIMIT);
}

static void
with_registers(void **state)
{
	(void)state;
	die(dies, NULL);
	check_found();
}

static void
without_registers(void **state)
{
	(void)state;
	die(dies_and_forgets, NULL);
	check_found();
}

/* What is in memory now does not lead there. */
static void
gone_astray(void **state)
{
	(void)state;
	die(dies_and_forgets, asks);
	assert_int_equal(history.gap, HISTORY_NO_STATE);
	assert_int_equal(history.nfaults, 0);
	assert_int_equal(board.state.gpr.rip, START);
	die(dies_and_forgets, circles);
	assert_int_equal(history.gap, HISTORY_NO_STATE);
}

/* Neither the way nor the last instruction leads to a death. */
static void
no_faults(void **state)
{
	(void)state;
	die(dies, asks);
	/* LIDT was overwritten: the table is whole, and UD2 leads to a handler. */
	assert_int_equal(history.gap, HISTORY_NO_FAULTS);
	assert_int_equal(board.state.gpr.rip, DIES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(with_registers),
	    cmocka_unit_test(without_registers),
	    cmocka_unit_test(gone_astray),
	    cmocka_unit_test(no_faults),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
