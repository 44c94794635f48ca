/* The thread that runs the vCPU, and the signal that ends KVM_RUN: by a kick, or when time is up. */
#include <sys/ioctl.h>

#include <string.h>
#include <unistd.h>

#include "engine/kvm.h"

/* The shortest time slice: shorter ones could end before the guest ran at all. */
#define SLICE_MIN_NS 100000ull
#define NS 1000000000ull
#define SIGNAL_SET_SIZE 8 /* the kernel's sigset_t */

static void
ignore_signal(int number)
{
	(void)number;
}

/*
 * KVM_KICK_SIGNAL ends KVM_RUN, and does nothing outside of it: not even when the caller of run()
 * puts back a signal mask of before.
 */
static int
set_signal_mask(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	union {
		struct kvm_signal_mask head;
		uint8_t room[sizeof(struct kvm_signal_mask) + SIGNAL_SET_SIZE];
	} mask = {.head.len = SIGNAL_SET_SIZE};
	const struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};
	sigset_t set;

	if (sigaction(KVM_KICK_SIGNAL, &action, NULL) != 0)
		return (kvm_failed(vcpu, "sigaction"));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	sigdelset(&set, KVM_KICK_SIGNAL);
	memcpy(mask.head.sigset, &set, SIGNAL_SET_SIZE);
	return (ioctl(k->cpu, KVM_SET_SIGNAL_MASK, &mask.head) != 0
		? kvm_failed(vcpu, "KVM_SET_SIGNAL_MASK")
		: 0);
}

int
kvm_take_thread(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	sigset_t kick;
	struct sigevent event = {
	    .sigev_notify = SIGEV_THREAD_ID,
	    .sigev_signo = KVM_KICK_SIGNAL,
	    ._sigev_un._tid = gettid(),
	};

	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, NULL);
	if (k->has_thread && pthread_equal(k->thread, pthread_self()))
		return (0);
	if (k->has_thread)
		timer_delete(k->timer);
	k->has_thread = false;
	if (set_signal_mask(vcpu) != 0)
		return (-1);
	if (timer_create(CLOCK_MONOTONIC, &event, &k->timer) != 0)
		return (kvm_failed(vcpu, "timer_create"));
	k->thread = pthread_self();
	k->has_thread = true;
	return (0);
}

void
kvm_start_slice(struct kvm_engine *k, uint64_t budget)
{
	struct itimerspec when = {0};
	uint64_t ns = budget * ENGINE_INSTRUCTION_NS;

	if (budget <= UINT64_MAX / ENGINE_INSTRUCTION_NS) {
		ns = ns < SLICE_MIN_NS ? SLICE_MIN_NS : ns;
		when.it_value.tv_sec = (time_t)(ns / NS);
		when.it_value.tv_nsec = (long)(ns % NS);
	}
	timer_settime(k->timer, 0, &when, NULL);
}

void
kvm_drain_signals(void)
{
	const struct timespec now = {0};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	while (sigtimedwait(&kick, NULL, &now) > 0)
		continue;
}
