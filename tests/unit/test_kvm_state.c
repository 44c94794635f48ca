/* struct vcpu_state to KVM's structures and back: what goes in comes out. */
#include "unit.h"

#include "fake_kvm.h"

#define TURNS 200
#define ACCESS 0x1f0ffu /* the bits of an access-rights field: SDM vol. 3C, table 25-2 */
#define FXSAVE_END 416
#define MXCSR_MASK_AT 28

static struct fake_board board;
static struct vcpu_state wanted;

static int
setup(void **state)
{
	(void)state;
	memset(&board, 0, sizeof(board));
	fake_kvm_reset(false);
	if (!fake_board_init(&board, 1 << 20, 0))
		return (-1);
	srand(1);
	return (fake_board_create(&board, true));
}

static int
teardown(void **state)
{
	(void)state;
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
	return (0);
}

static void
fill(void *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = (uint8_t)rand();
}

/* --- random states ------------------------------------------------------------------------------------- */

static void
random_segment(struct x86_segment *s)
{
	fill(s, sizeof(*s));
	s->access &= ACCESS;
}

static void
random_event(struct vcpu_events *e)
{
	static const struct {
		uint8_t type, vector;
	} kinds[] = {{EVENT_NONE, 0}, {EVENT_HW_INTR, 0x20}, {EVENT_NMI, VEC_NMI},
	    {EVENT_HW_EXCEPTION, VEC_GP}, {EVENT_SW_INTR, 0x80}, {EVENT_SW_EXCEPTION, VEC_BP}};
	unsigned i = (unsigned)rand() % COUNT(kinds);

	e->inject_type = kinds[i].type;
	e->inject_vector = kinds[i].vector;
	e->inject_has_error = e->inject_type == EVENT_HW_EXCEPTION;
	e->inject_error = e->inject_has_error ? (uint32_t)rand() & 0xffff : 0;
	e->nmi_pending = rand() & 1;
	e->interruptibility = (uint32_t)rand() & (SHADOW_STI | SHADOW_MOVSS | SHADOW_NMI);
}

/* Any state, but for what KVM's structures have no place for. */
static void
random_state(struct vcpu_state *s)
{
	memset(s, 0, sizeof(*s));
	fill(&s->gpr, offsetof(struct vcpu_gprs, zero));
	fill(&s->sregs, sizeof(s->sregs));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		random_segment(&s->sregs.seg[i]);
	random_segment(&s->sregs.ldtr);
	random_segment(&s->sregs.tr);
	s->sregs.gdtr.limit &= 0xffff;
	s->sregs.idtr.limit &= 0xffff;
	random_event(&s->events);
	fill(s->fpu.fxsave, FXSAVE_END);
	memset(s->fpu.fxsave + MXCSR_MASK_AT, 0, 4);
	s->fpu.xcr0 = 3;
	fill(&s->msr, sizeof(s->msr));
	fill(&s->debug, sizeof(s->debug));
}

/* What the two have in each register, padding left out. */
static void
check_segment(const struct x86_segment *a, const struct x86_segment *b)
{
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->limit, b->limit);
	assert_int_equal(a->selector, b->selector);
	assert_int_equal(a->access, b->access);
}

static void
check_sregs(const struct vcpu_sregs *a, const struct vcpu_sregs *b)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		check_segment(&a->seg[i], &b->seg[i]);
	check_segment(&a->ldtr, &b->ldtr);
	check_segment(&a->tr, &b->tr);
	assert_int_equal(a->gdtr.base, b->gdtr.base);
	assert_int_equal(a->gdtr.limit, b->gdtr.limit);
	assert_int_equal(a->idtr.base, b->idtr.base);
	assert_int_equal(a->idtr.limit, b->idtr.limit);
	assert_int_equal(a->cr0, b->cr0);
	assert_int_equal(a->cr2, b->cr2);
	assert_int_equal(a->cr3, b->cr3);
	assert_int_equal(a->cr4, b->cr4);
	assert_int_equal(a->cr8, b->cr8);
	assert_int_equal(a->efer, b->efer);
	assert_int_equal(a->apic_base, b->apic_base);
}

static void
check_events(const struct vcpu_events *a, const struct vcpu_events *b)
{
	assert_int_equal(a->inject_type, b->inject_type);
	if (a->inject_type != EVENT_NONE)
		assert_int_equal(a->inject_vector, b->inject_vector);
	assert_int_equal(a->inject_has_error, b->inject_has_error);
	assert_int_equal(a->inject_error, b->inject_error);
	assert_int_equal(a->nmi_pending, b->nmi_pending);
	assert_int_equal(a->interruptibility, b->interruptibility);
}

static void
check_state(const struct vcpu_state *a, const struct vcpu_state *b)
{
	assert_memory_equal(&a->gpr, &b->gpr, sizeof(a->gpr));
	check_sregs(&a->sregs, &b->sregs);
	check_events(&a->events, &b->events);
	assert_memory_equal(a->fpu.fxsave, b->fpu.fxsave, FXSAVE_END);
	assert_int_equal(a->fpu.xcr0, b->fpu.xcr0);
	assert_memory_equal(&a->msr, &b->msr, sizeof(a->msr));
	assert_memory_equal(&a->debug, &b->debug, sizeof(a->debug));
}

/* --- the tests --------------------------------------------------------------------------------------- */

/* Hand the state over and ask for it again. */
static void
there_and_back(void)
{
	struct kvm_engine *k = board.vcpu.engine;

	k->dirty = k->had = VCPU_ALL;
	assert_int_equal(kvm_push_groups(&board.vcpu), 0);
	memset(&board.state, 0xa5, sizeof(board.state));
	board.state.gpr.zero = 0;
	k->had = 0;
	assert_int_equal(kvm_pull_groups(&board.vcpu, VCPU_ALL), 0);
}

static void
whole_states(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TURNS; i++) {
		random_state(&wanted);
		board.state = wanted;
		there_and_back();
		check_state(&wanted, &board.state);
	}
}

/* A group that is neither asked for nor changed costs no call, and stays as it is. */
static void
only_what_is_asked(void **state)
{
	struct kvm_engine *k = board.vcpu.engine;
	uint64_t calls;

	(void)state;
	random_state(&wanted);
	board.state = wanted;
	there_and_back();
	calls = board.vcpu.counts.state_calls;
	k->had = 0;
	board.state.debug.dr[0] = 1;
	kvm_pull_groups(&board.vcpu, VCPU_GPR | VCPU_SREGS);
	assert_int_equal(board.vcpu.counts.state_calls, calls);
	assert_int_equal(board.state.debug.dr[0], 1);
	kvm_pull_groups(&board.vcpu, VCPU_DEBUG);
	assert_int_equal(board.vcpu.counts.state_calls, calls + 1);
	assert_int_equal(board.state.debug.dr[0], wanted.debug.dr[0]);
	k->dirty = VCPU_GPR | VCPU_SREGS;
	kvm_push_groups(&board.vcpu);
	assert_int_equal(board.vcpu.counts.state_calls, calls + 1);
}

static struct vcpu_events
events_of(struct kvm_vcpu_events in)
{
	struct kvm_engine *k = board.vcpu.engine;

	fake_kvm.events = in;
	k->had = 0;
	assert_int_equal(kvm_pull_groups(&board.vcpu, VCPU_EVENTS), 0);
	return (board.state.events);
}

/* What waits in KVM waits in the state. */
static void
events_that_wait(void **state)
{
	struct vcpu_events e;

	(void)state;
	e = events_of((struct kvm_vcpu_events){.exception = {
						   .pending = 1,
						   .nr = VEC_PF,
						   .has_error_code = 1,
						   .error_code = 7,
					       }});
	assert_int_equal(e.inject_type, EVENT_HW_EXCEPTION);
	assert_int_equal(e.inject_vector, VEC_PF);
	assert_int_equal(e.inject_has_error, 1);
	assert_int_equal(e.inject_error, 7);
	e = events_of((struct kvm_vcpu_events){.interrupt = {.injected = 1, .nr = 0x55}});
	assert_int_equal(e.inject_type, EVENT_HW_INTR);
	assert_int_equal(e.inject_vector, 0x55);
	assert_int_equal(e.inject_has_error, 0);
	e = events_of((struct kvm_vcpu_events){.nmi = {.injected = 1, .pending = 1, .masked = 1}});
	assert_int_equal(e.inject_type, EVENT_NMI);
	assert_int_equal(e.nmi_pending, 1);
	assert_int_equal(e.interruptibility, SHADOW_NMI);
	e = events_of((struct kvm_vcpu_events){.interrupt.shadow = KVM_X86_SHADOW_INT_STI});
	assert_int_equal(e.inject_type, EVENT_NONE);
	assert_int_equal(e.interruptibility, SHADOW_STI);
}

/* Registers by name: KVM has an order of its own. */
static void
registers_by_name(void **state)
{
	struct vcpu_gprs gpr = {.rip = 0x1234, .rflags = 2};
	struct kvm_regs regs;

	(void)state;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		gpr.reg[i] = 100 + i;
	kvm_regs_of(&regs, &gpr);
	assert_int_equal(regs.rax, 100 + GPR_RAX);
	assert_int_equal(regs.rbx, 100 + GPR_RBX);
	assert_int_equal(regs.rcx, 100 + GPR_RCX);
	assert_int_equal(regs.rdx, 100 + GPR_RDX);
	assert_int_equal(regs.rsi, 100 + GPR_RSI);
	assert_int_equal(regs.rdi, 100 + GPR_RDI);
	assert_int_equal(regs.rsp, 100 + GPR_RSP);
	assert_int_equal(regs.rbp, 100 + GPR_RBP);
	assert_int_equal(regs.r8, 100 + GPR_R8);
	assert_int_equal(regs.r15, 100 + GPR_R15);
	assert_int_equal(regs.rip, 0x1234);
	assert_int_equal(regs.rflags, 2);
}

/* The host's KVM keeps what it is given: the x87 and SSE registers, MXCSR and the MSRs. */
static void
on_the_host(void **state)
{
	static const uint32_t mxcsr = 0x1f25;

	(void)state;
	fake_kvm_reset(true);
	if (access("/dev/kvm", R_OK | W_OK) != 0)
		skip();
	vcpu_destroy(&board.vcpu);
	if (fake_board_create(&board, true) != 0) {
		/* teardown() wants one */
		fake_kvm_reset(false);
		assert_int_equal(fake_board_create(&board, true), 0);
		skip();
	}
	fill(board.state.fpu.fxsave + 160, 256);
	memcpy(board.state.fpu.fxsave + 24, &mxcsr, sizeof(mxcsr));
	board.state.msr.sysenter_eip = 0x12345678;
	board.state.msr.star = 0x123456789abcdef0;
	board.state.debug.dr[1] = 0x4321;
	wanted = board.state;
	there_and_back();
	assert_memory_equal(wanted.fpu.fxsave + 24, board.state.fpu.fxsave + 24, 4);
	assert_memory_equal(wanted.fpu.fxsave + 160, board.state.fpu.fxsave + 160, 256);
	assert_int_equal(wanted.msr.sysenter_eip, board.state.msr.sysenter_eip);
	assert_int_equal(wanted.msr.star, board.state.msr.star);
	assert_int_equal(wanted.debug.dr[1], board.state.debug.dr[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(whole_states, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_what_is_asked, setup, teardown),
	    cmocka_unit_test_setup_teardown(events_that_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(registers_by_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(on_the_host, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
