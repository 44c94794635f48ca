/* Kicks from another thread, at any time around an entry: none is lost, on the fake and on the host. */
#include "unit.h"

#include "fake_kvm.h"

#define RUNS 300
#define LATEST_NS 60000 /* after the run began */

static struct fake_board board;
static _Atomic unsigned run_number;

/* KVM_RUN goes on until a signal comes. */
static int
until_kicked(struct kvm_run *run, unsigned n)
{
	sigset_t pending;

	(void)n;
	do {
		if (__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
			break;
		sigpending(&pending);
	} while (!sigismember(&pending, KVM_KICK_SIGNAL));
	return (EINTR);
}

/* It looks once, before it goes in: only the signal ends it then, as with KVM. */
static int
until_signal(struct kvm_run *run, unsigned n)
{
	sigset_t kick;

	(void)run;
	(void)n;
	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	sigwaitinfo(&kick, NULL);
	pthread_kill(pthread_self(), KVM_KICK_SIGNAL); /* KVM_RUN leaves it pending */
	return (EINTR);
}

/* The built-in CPU runs most of the time. */
static int
unemulated(struct kvm_run *run, unsigned n)
{
	sigset_t pending;

	(void)n;
	sigpending(&pending);
	if (sigismember(&pending, KVM_KICK_SIGNAL))
		return (EINTR);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	return (0);
}

static void *
kicker(void *arg)
{
	unsigned seed = 1;

	(void)arg;
	for (unsigned i = 1; i <= RUNS; i++) {
		struct timespec pause = {.tv_nsec = rand_r(&seed) % LATEST_NS};

		while (atomic_load(&run_number) < i)
			sched_yield();
		if (i % 4 != 0)
			nanosleep(&pause, NULL);
		vcpu_kick(&board.vcpu);
	}
	return (NULL);
}

/* As many runs as kicks, each of which ends by its kick; a lost one is a test that hangs. */
static void
all_kicks(bool real, int (*guest)(struct kvm_run *run, unsigned n))
{
	pthread_t thread;

	fake_kvm_reset(real);
	fake_kvm.guest = guest;
	memset(&board, 0, sizeof(board));
	atomic_store(&run_number, 0);
	assert_true(fake_board_init(&board, 1 << 20, 0));
	memory_put16(&board.mem, 0x1000, 0xfeeb); /* jmp $ */
	if (fake_board_create(&board, true) != 0) {
		memory_fini(&board.mem);
		skip();
	}
	alarm(60);
	assert_int_equal(pthread_create(&thread, NULL, kicker, NULL), 0);
	for (unsigned i = 1; i <= RUNS; i++) {
		atomic_store(&run_number, i);
		vcpu_run(&board.vcpu, UINT64_MAX);
		assert_int_equal(board.vcpu.exit.kind, ENGINE_CANCELED);
	}
	pthread_join(thread, NULL);
	alarm(0);
	vcpu_destroy(&board.vcpu);
	memory_fini(&board.mem);
}

static void
on_the_fake(void **state)
{
	(void)state;
	all_kicks(false, until_kicked);
}

static void
by_the_signal_alone(void **state)
{
	(void)state;
	all_kicks(false, until_signal);
}

static void
on_the_built_in_cpu(void **state)
{
	(void)state;
	all_kicks(false, unemulated);
}

static void
on_the_host(void **state)
{
	(void)state;
	if (access("/dev/kvm", R_OK | W_OK) != 0)
		skip();
	all_kicks(true, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(on_the_fake),
	    cmocka_unit_test(by_the_signal_alone),
	    cmocka_unit_test(on_the_built_in_cpu),
	    cmocka_unit_test(on_the_host),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
