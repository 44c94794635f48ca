/*
 * A KVM for tests: what linux/kvm.h's ioctls do, without a guest that executes. The linker's --wrap
 * leads the system calls of the engine here (meson.build), so that each can fail when it is told
 * to; with fake_kvm.real they go on to the host's KVM otherwise. Included once by a test program.
 */
#ifndef FAKE_KVM_H
#define FAKE_KVM_H

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm.h"

#define FAKE_SLOTS 256
#define FAKE_MSRS 32
#define FAKE_RUN_SIZE 12288u
#define FAKE_ANY (~0ul)

/* Calls that are no ioctl. */
enum { FAKE_OPEN = 1, FAKE_MMAP, FAKE_TIMER };

/* Which call fails, and how. */
struct fake_failure {
	unsigned long call;	/* an ioctl's number or FAKE_*; 0: none */
	unsigned long argument; /* only with this one; FAKE_ANY */
	unsigned skip;		/* so many go well before */
	unsigned times;		/* so many fail; 0: all from then on */
	int error;		/* errno; 0: it returns VALUE */
	int value;
};

static struct fake_kvm {
	bool real; /* the host's KVM does what does not fail */
	struct fake_failure failure;
	unsigned failed; /* calls that did */
	/* What the guest does: entry N, from 0; fills the run page. 0, or an errno. */
	int (*guest)(struct kvm_run *run, unsigned n);
	/* Called as the instruction of the last exit is completed: 0, or 1 for another exit. */
	int (*complete)(struct kvm_run *run);

	int system, vm, cpu; /* descriptors; -1 */
	struct kvm_run *run;
	unsigned maps; /* of the run page */
	unsigned entries, runs;
	bool waits; /* the last exit's instruction is not complete */

	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	uint32_t xsave[sizeof(struct kvm_xsave) / sizeof(uint32_t)];
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_guest_debug debug;
	struct kvm_msr_entry msrs[FAKE_MSRS];
	unsigned nmsrs;
	struct kvm_userspace_memory_region slots[FAKE_SLOTS];
	unsigned slot_calls;
	bool touched[FAKE_SLOTS]; /* slots that were set */
	bool overlap;		  /* slots overlapped at some time */
	unsigned nmis, interrupts, last_interrupt;
} fake_kvm;

int __real_ioctl(int fd, unsigned long request, ...);
int __real_open64(const char *path, int flags, ...);
void *__real_mmap64(void *address, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __real_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_open64(const char *path, int flags, ...);
void *__wrap_mmap64(void *address, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);
int __wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);

/* A new fake, or with REAL the host's KVM, that nothing has happened to. */
static inline void
fake_kvm_reset(bool real)
{
	fake_kvm = (struct fake_kvm){.real = real, .system = -1, .vm = -1, .cpu = -1};
}

/* Whether CALL fails now; *RESULT is what it returns then. */
static inline bool
fake_fails(unsigned long call, unsigned long argument, int *result)
{
	struct fake_failure *f = &fake_kvm.failure;

	if (f->call != call || (f->argument != FAKE_ANY && f->argument != argument))
		return (false);
	if (f->skip > 0) {
		f->skip--;
		return (false);
	}
	if (f->times != 0 && fake_kvm.failed >= f->times)
		return (false);
	fake_kvm.failed++;
	*result = f->error != 0 ? -1 : f->value;
	if (f->error != 0)
		errno = f->error;
	return (true);
}

/* --- memory slots ------------------------------------------------------------------------------------ */

static inline int
fake_set_slot(const struct kvm_userspace_memory_region *r)
{
	fake_kvm.slot_calls++;
	if (r->slot >= FAKE_SLOTS || r->guest_phys_addr % 4096 != 0 || r->memory_size % 4096 != 0 ||
	    r->userspace_addr % 4096 != 0) {
		errno = EINVAL;
		return (-1);
	}
	for (unsigned i = 0; i < FAKE_SLOTS && r->memory_size != 0; i++) {
		const struct kvm_userspace_memory_region *o = &fake_kvm.slots[i];

		if (i == r->slot || o->memory_size == 0 ||
		    o->guest_phys_addr >= r->guest_phys_addr + r->memory_size ||
		    r->guest_phys_addr >= o->guest_phys_addr + o->memory_size)
			continue;
		fake_kvm.overlap = true;
		errno = EEXIST;
		return (-1);
	}
	fake_kvm.slots[r->slot] = *r;
	fake_kvm.touched[r->slot] = true;
	return (0);
}

/* The slot that guest-physical GPA is in, NULL when it is in none. */
static inline const struct kvm_userspace_memory_region *
fake_slot_at(uint64_t gpa)
{
	for (unsigned i = 0; i < FAKE_SLOTS; i++)
		if (gpa >= fake_kvm.slots[i].guest_phys_addr &&
		    gpa - fake_kvm.slots[i].guest_phys_addr < fake_kvm.slots[i].memory_size)
			return (&fake_kvm.slots[i]);
	return (NULL);
}

/* --- running ----------------------------------------------------------------------------------------- */

static inline int
fake_entry(struct kvm_run *run)
{
	int result = 0;

	if (fake_kvm.waits) {
		fake_kvm.waits = false;
		if (fake_kvm.complete != NULL && fake_kvm.complete(run) != 0) {
			fake_kvm.waits = true;
			return (0);
		}
	}
	if (__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
		return (EINTR);
	result = fake_kvm.guest != NULL ? fake_kvm.guest(run, fake_kvm.entries++) : EINTR;
	fake_kvm.waits = result == 0 &&
	    (run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO ||
		run->exit_reason == KVM_EXIT_X86_RDMSR || run->exit_reason == KVM_EXIT_X86_WRMSR);
	return (result);
}

static inline int
fake_run(void)
{
	struct kvm_run *run = fake_kvm.run;
	int error;

	fake_kvm.runs++;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		fake_kvm.regs = run->s.regs.regs;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
		fake_kvm.sregs = run->s.regs.sregs;
	error = fake_entry(run);
	run->s.regs.regs = fake_kvm.regs;
	run->s.regs.sregs = fake_kvm.sregs;
	run->if_flag = (fake_kvm.regs.rflags & RFLAGS_IF) != 0;
	run->ready_for_interrupt_injection = run->if_flag;
	if (error == 0)
		return (0);
	if (error == EINTR)
		run->exit_reason = KVM_EXIT_INTR;
	errno = error;
	return (-1);
}

/* --- the other calls --------------------------------------------------------------------------------- */

static inline int
fake_get_msrs(struct kvm_msrs *list)
{
	for (unsigned i = 0; i < list->nmsrs; i++)
		for (unsigned j = 0; j < fake_kvm.nmsrs; j++)
			if (fake_kvm.msrs[j].index == list->entries[i].index)
				list->entries[i].data = fake_kvm.msrs[j].data;
	return ((int)list->nmsrs);
}

static inline int
fake_set_msrs(const struct kvm_msrs *list)
{
	for (unsigned i = 0, j; i < list->nmsrs; i++) {
		for (j = 0; j < fake_kvm.nmsrs; j++)
			if (fake_kvm.msrs[j].index == list->entries[i].index)
				break;
		if (j == FAKE_MSRS)
			return ((int)i);
		fake_kvm.msrs[j] = list->entries[i];
		if (j == fake_kvm.nmsrs)
			fake_kvm.nmsrs++;
	}
	return ((int)list->nmsrs);
}

/* KVM can all that is asked for. */
static inline int
fake_supported_cpuid(struct kvm_cpuid2 *list)
{
	static const uint32_t leaves[] = {0, 1, 7, 0xd, 0x80000000, 0x80000001};

	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		list->entries[i] = (struct kvm_cpuid_entry2){
		    .function = leaves[i], .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u};
	list->nent = sizeof(leaves) / sizeof(leaves[0]);
	return (0);
}

/* Copies of structures from and to the fake's own. */
#define FAKE_GET(from) (memcpy(arg, &fake_kvm.from, sizeof(fake_kvm.from)), 0)
#define FAKE_SET(to) (memcpy(&fake_kvm.to, arg, sizeof(fake_kvm.to)), 0)

static inline int
fake_state_call(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_VCPU_EVENTS:
		return (FAKE_GET(events));
	case KVM_SET_VCPU_EVENTS:
		return (FAKE_SET(events));
	case KVM_GET_XSAVE:
		return (FAKE_GET(xsave));
	case KVM_SET_XSAVE:
		return (FAKE_SET(xsave));
	case KVM_GET_XCRS:
		return (FAKE_GET(xcrs));
	case KVM_SET_XCRS:
		return (FAKE_SET(xcrs));
	case KVM_GET_DEBUGREGS:
		return (FAKE_GET(debugregs));
	case KVM_SET_DEBUGREGS:
		return (FAKE_SET(debugregs));
	case KVM_SET_GUEST_DEBUG:
		return (FAKE_SET(debug));
	case KVM_SET_SREGS:
		return (FAKE_SET(sregs));
	case KVM_GET_MSRS:
		return (fake_get_msrs(arg));
	case KVM_SET_MSRS:
		return (fake_set_msrs(arg));
	default:
		errno = ENOTTY;
		return (-1);
	}
}

static inline int
fake_call(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return (KVM_API_VERSION);
	case KVM_CHECK_EXTENSION:
		return ((uintptr_t)arg == KVM_CAP_SYNC_REGS ? KVM_SYNC_X86_VALID_FIELDS : 1);
	case KVM_CREATE_VM:
		return (__real_open64("/dev/null", O_RDWR | O_CLOEXEC));
	case KVM_CREATE_VCPU:
		return (memfd_create("fake-vcpu", MFD_CLOEXEC));
	case KVM_GET_VCPU_MMAP_SIZE:
		return ((int)FAKE_RUN_SIZE);
	case KVM_GET_TSC_KHZ:
		return (2000000);
	case KVM_GET_SUPPORTED_CPUID:
		return (fake_supported_cpuid(arg));
	case KVM_SET_TSC_KHZ:
	case KVM_SET_IDENTITY_MAP_ADDR:
	case KVM_SET_TSS_ADDR:
	case KVM_ENABLE_CAP:
	case KVM_X86_SET_MSR_FILTER:
	case KVM_SET_CPUID2:
	case KVM_SET_SIGNAL_MASK:
		return (0);
	case KVM_SET_USER_MEMORY_REGION:
		return (fake_set_slot(arg));
	case KVM_NMI:
		fake_kvm.nmis++;
		return (0);
	case KVM_INTERRUPT:
		fake_kvm.interrupts++;
		fake_kvm.last_interrupt = ((struct kvm_interrupt *)arg)->irq;
		return (0);
	case KVM_RUN:
		return (fake_run());
	default:
		return (fake_state_call(request, arg));
	}
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int result;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd < 0 || (fd != fake_kvm.system && fd != fake_kvm.vm && fd != fake_kvm.cpu))
		return (__real_ioctl(fd, request, arg));
	if (fake_fails(request, (uintptr_t)arg, &result))
		return (result);
	result = fake_kvm.real ? __real_ioctl(fd, request, arg) : fake_call(request, arg);
	if (request == KVM_CREATE_VM)
		fake_kvm.vm = result;
	if (request == KVM_CREATE_VCPU) {
		fake_kvm.cpu = result;
		if (!fake_kvm.real && result >= 0 && ftruncate(result, FAKE_RUN_SIZE) != 0)
			abort();
	}
	return (result);
}

int
__wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	int mode, result;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	if (strcmp(path, "/dev/kvm") != 0)
		return (__real_open64(path, flags, mode));
	if (fake_fails(FAKE_OPEN, 0, &result))
		return (result);
	fake_kvm.system = __real_open64(fake_kvm.real ? path : "/dev/null", flags, mode);
	return (fake_kvm.system);
}

void *
__wrap_mmap64(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *page;
	int result;

	if (fd < 0 || fd != fake_kvm.cpu)
		return (__real_mmap64(address, size, prot, flags, fd, offset));
	if (fake_fails(FAKE_MMAP, 0, &result))
		return (MAP_FAILED);
	page = __real_mmap64(address, size, prot, flags, fd, offset);
	if (page != MAP_FAILED) {
		fake_kvm.run = page;
		fake_kvm.maps++;
	}
	return (page);
}

int
__wrap_munmap(void *address, size_t size)
{
	if (address != NULL && address == fake_kvm.run) {
		fake_kvm.maps--;
		fake_kvm.run = NULL;
	}
	return (__real_munmap(address, size));
}

int
__wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	int result;

	if (fake_fails(FAKE_TIMER, 0, &result))
		return (result);
	return (__real_timer_create(clock, event, timer));
}

/* Descriptors that this process has open. */
static inline unsigned
open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	if (dir == NULL)
		return (0);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return (n);
}

/* --- a vCPU with a little memory ---------------------------------------------------------------------- */

struct fake_board {
	struct vcpu vcpu;
	struct vcpu_state state;
	struct vmx vmx;
	struct memory mem;
	struct bus bus;
};

/* LOW and HIGH bytes of memory; real mode at 0:1000. */
static inline bool
fake_board_init(struct fake_board *b, uint64_t low, uint64_t high)
{
	int fd = memfd_create("fake-board", MFD_CLOEXEC);
	bool ok = fd >= 0 && memory_init(&b->mem, fd, low, high, true) == 0;

	if (fd >= 0)
		close(fd);
	if (!ok)
		return (false);
	vcpu_state_reset(&b->state, 0);
	b->state.sregs.seg[SEG_CS] = segment_real(0, 0x9b);
	b->state.gpr.rip = 0x1000;
	vmx_init(&b->vmx);
	b->vmx.caps |= 1u << VMX_CAP_UNRESTRICTED_GUEST;
	return (true);
}

/* A vCPU of the KVM engine on it. */
static inline int
fake_board_create(struct fake_board *b, bool with_bus)
{
	const struct engine_world world = {.mem = &b->mem, .bus = with_bus ? &b->bus : NULL};

	return (vcpu_create(&b->vcpu, &engine_kvm, &b->state, &b->vmx, &world, 0));
}

#endif
