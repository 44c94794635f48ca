/*
 * The KVM engine's inside. Who is who:
 *
 *	kvm.c		the engine's operations and the run loop
 *	kvm_exit.c	what each exit of KVM_RUN asks for
 *	kvm_time.c	the thread, time slices, kicks
 *	kvm_debug.c	breakpoints and steps
 *	kvm_vm.c	making and ending the VM and its one vCPU, CPUID, MSR filter
 *	kvm_state.c	struct vcpu_state to and from KVM's structures, by groups
 *	kvm_slots.c	the memory map as KVM's memory slots
 *	kvm_death.c	what led to a shutdown, found again on the built-in CPU
 *
 * Source: the kernel's Documentation/virt/kvm/api.rst, named by its ioctls and capabilities.
 *
 * Registers: KVM_CAP_SYNC_REGS puts GPR and SREGS into the run page at every exit; the other groups
 * are asked for by ioctl, and only when somebody pulls them. A group is "had" while vcpu_state holds
 * what the vCPU has, and "dirty" when vcpu_state has what the vCPU must take over before it runs on.
 *
 * Ending a KVM_RUN from outside: a kick stores kicked and the run page's immediate_exit, then sends
 * KVM_KICK_SIGNAL if the thread is inside. That signal is blocked in the thread but while the guest
 * runs (KVM_SET_SIGNAL_MASK), so that none is lost between a test and the entry; the timer that ends
 * a time slice uses the same signal.
 */
#ifndef ENGINE_KVM_H
#define ENGINE_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "cpu/cpu.h"
#include "engine/engine.h"

#define KVM_BOARD_TSC_KHZ 1000000u /* the counter that world.tsc has */
#define KVM_KICK_SIGNAL (SIGRTMIN + 5)
/* Slots: RAM below and above 4 GB, cut where ROM, windows and devices lie over it. */
#define KVM_SLOTS_MAX (2 * MEMORY_REGIONS_MAX + 4)

/* Bytes of the stack to remember at each entry: what a BIOS call and a tick in it have there. */
#define KVM_STACK_KEPT 64

/* Guest-physical memory that is host memory in one piece. */
struct kvm_slot {
	uint64_t gpa;
	uint64_t size; /* 0: not in use */
	uint8_t *host;
	bool readonly;
};

struct kvm_engine {
	int system; /* /dev/kvm */
	int vm;
	int cpu;
	struct kvm_run *run;
	size_t run_size;

	unsigned had;	/* enum vcpu_group */
	unsigned dirty; /* enum vcpu_group */
	uint64_t exit_rip, exit_cs_base;
	uint64_t cr8;	 /* as the local APIC was told */
	bool unfinished; /* the last exit's instruction is completed by the next KVM_RUN */

	bool intr; /* level of INTR */
	bool nmi;  /* an edge not yet handed over */
	_Atomic bool kicked;
	_Atomic bool inside; /* KVM_RUN is being called */
	bool stopped;	     /* vcpu_stop() */

	bool has_thread; /* the next two are those of the thread that ran last */
	pthread_t thread;
	timer_t timer;

	uint64_t tsc_khz;
	bool has_xcrs;
	uint64_t steps; /* instructions that ran alone */
	struct kvm_slot slots[KVM_SLOTS_MAX];
	bool map_changed;

	struct cpu_watch watch[CPU_WATCH_MAX];
	unsigned nwatches;
	unsigned debug; /* the control bits that KVM_SET_GUEST_DEBUG was given last */
	bool stepping;	/* one instruction is to be done, and no more */
	bool stepped;	/* the last exit was the end of a step, and nothing else */

	/* The built-in CPU on the same state, for what KVM cannot execute. */
	struct vcpu lent;
	bool has_lent;
	unsigned lent_watches;
	_Atomic bool lending; /* it runs now */
	uint64_t lend;	      /* instructions to give it next time */

	/* What the vCPU entered with last, to find a shutdown's cause. */
	struct kvm_regs entry_regs;
	struct kvm_sregs entry_sregs;
	bool entry_unfinished;
	uint64_t entry_stack_at; /* guest-physical */
	uint8_t entry_stack[KVM_STACK_KEPT];
	bool has_entry_stack;
	uint64_t answer;  /* that the last IN got */
	int entry_vector; /* of the interrupt that was injected; -1: none */
	struct vcpu_history history;
};

/* kvm_vm.c */
int kvm_make(struct vcpu *vcpu);
void kvm_end(struct kvm_engine *k);

/*
 * kvm_state.c. Bring GROUPS of vcpu->state up to date; hand those that are dirty to the vCPU. 0, or
 * -1: vcpu->exit tells the error.
 */
int kvm_pull_groups(struct vcpu *vcpu, unsigned groups);
int kvm_push_groups(struct vcpu *vcpu);
/* KVM's form of the two groups in the run page. */
void kvm_regs_of(struct kvm_regs *out, const struct vcpu_gprs *in);
void kvm_regs_to(const struct kvm_regs *in, struct vcpu_gprs *out);
void kvm_sregs_of(struct kvm_sregs *out, const struct vcpu_sregs *in);
void kvm_sregs_to(const struct kvm_sregs *in, struct vcpu_sregs *out);

/* kvm_slots.c. Have KVM see the memory map as it is. 0, or -1 as above. */
int kvm_update_slots(struct vcpu *vcpu);

/* kvm_exit.c. Deal with the exit in the run page. False: the run is over, vcpu->exit says why. */
bool kvm_handle_exit(struct vcpu *vcpu);
/* False: somebody on the bus asked for the end of the run, which vcpu->exit says then. */
bool kvm_go_on(struct vcpu *vcpu);
/* Let the built-in CPU execute where the guest is. */
bool kvm_lend(struct vcpu *vcpu);

/* kvm_death.c. KVM reported a shutdown: bring the state of the death, and its history. */
void kvm_find_death(struct vcpu *vcpu);

/* kvm_time.c. Make this thread the one that runs the vCPU. 0, or -1 as above. */
int kvm_take_thread(struct vcpu *vcpu);
/* After BUDGET instructions' worth of host time a signal ends KVM_RUN; UINT64_MAX: never. */
void kvm_start_slice(struct kvm_engine *k, uint64_t budget);
/* Signals that came are no longer of use: the next KVM_RUN must not end by them. */
void kvm_drain_signals(void);

/* kvm_debug.c. The engine's watch(): four, of 1, 2, 4 or 8 bytes, beside those of ports. */
int kvm_watch(struct vcpu *vcpu, const struct cpu_watch *list, unsigned n);
/* Have the processor step, and stop at breakpoints, but those at EXCEPT; or neither. */
bool kvm_set_debug(struct vcpu *vcpu, bool step, uint64_t except);
/* Whether WATCH stops before the instruction at the linear address AT. */
bool kvm_stops_at(const struct cpu_watch *watch, uint64_t at);

/* kvm.c. ENGINE_ERROR: the system call WHAT failed with errno. Returns -1. */
int kvm_failed(struct vcpu *vcpu, const char *what);
/* KVM_RUN. 0: an exit is in the run page; 1: interrupted; -1: error. */
int kvm_enter_guest(struct vcpu *vcpu, bool complete_only);

#endif
