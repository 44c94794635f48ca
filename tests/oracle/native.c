/*
 * Running code on this machine's processor, in any mode that a 64-bit Linux process can enter: a
 * breakpoint brings the kernel to our signal handler, which puts the guest's registers, x87, SSE
 * and selectors in place of ours; the kernel then goes there. The fault that ends the code brings
 * all of it back the same way. DS, ES, FS and GS the kernel leaves alone: they are loaded before
 * the breakpoint and read by the handler, which must do without thread-local storage until then.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <cpuid.h>
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "oracle.h"

#define STACK_SIZE (256u << 10)
/* Linux' UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS: SS comes from the context as well. */
#define RESTORE_SS 6ul
#define SS_SHIFT 48
#define HANG_USEC 100000
#define IMAGE_SIZE sizeof(struct image)
#define XSTATE_HEADER 512 /* in the signal frame: which components it has */
#define XSTATE_OURS 3ull
#define AT_HWCAP2_FSGSBASE 2

static const int reg_index[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
    REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct {
	uint8_t *code; /* writable view of the code's pages */
	bool has_ldt, has_fsgsbase;
	const struct sequence *now;
	struct outcome *out;
	volatile sig_atomic_t running;
	volatile uint64_t runs, runs_seen;
	gregset_t ours;
	uint8_t our_fpu[IMAGE_SIZE];
	uint64_t our_fs;
} native;

/* --- segment registers ------------------------------------------------------------------------- */

/* arch_prctl without errno, which is thread-local. */
static void
base_call(unsigned long what, uint64_t value)
{
	long result = SYS_arch_prctl;

	__asm__ volatile("syscall" : "+a"(result) : "D"(what), "S"(value) : "rcx", "r11", "memory");
}

static void
set_bases(uint64_t fs, uint64_t gs)
{
	if (native.has_fsgsbase) {
		__asm__ volatile("wrfsbase %0; wrgsbase %1" : : "r"(fs), "r"(gs));
	} else {
		base_call(ARCH_SET_FS, fs);
		base_call(ARCH_SET_GS, gs);
	}
}

static void
get_bases(uint64_t base[2])
{
	if (native.has_fsgsbase) {
		__asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(base[0]), "=r"(base[1]));
	} else {
		base_call(ARCH_GET_FS, (uintptr_t)&base[0]);
		base_call(ARCH_GET_GS, (uintptr_t)&base[1]);
	}
}

static void
load_segments(const struct registers *r)
{
	__asm__ volatile(
	    "movw %0, %%ds; movw %1, %%es; movw %2, %%fs; movw %3, %%gs"
	    :
	    : "r"(r->seg[SEG_DS]), "r"(r->seg[SEG_ES]), "r"(r->seg[SEG_FS]), "r"(r->seg[SEG_GS])
	    : "memory");
	if (r->seg[SEG_FS] == 0 && r->seg[SEG_GS] == 0)
		set_bases(r->base[0], r->base[1]);
}

/* Note what the guest has, and have our own again. */
static void
take_segments(struct registers *r)
{
	__asm__ volatile("movw %%ds, %0; movw %%es, %1; movw %%fs, %2; movw %%gs, %3"
			 : "=m"(r->seg[SEG_DS]), "=m"(r->seg[SEG_ES]), "=m"(r->seg[SEG_FS]),
			 "=m"(r->seg[SEG_GS]));
	get_bases(r->base);
	__asm__ volatile("movw %w0, %%ds; movw %w0, %%es; movw %w0, %%fs; movw %w0, %%gs"
			 :
			 : "r"(0));
	set_bases(native.our_fs, 0);
}

/* --- in and out ---------------------------------------------------------------------------------- */

static uint64_t *
components(ucontext_t *uc)
{
	return ((uint64_t *)(void *)((uint8_t *)uc->uc_mcontext.fpregs + XSTATE_HEADER));
}

static void
enter(ucontext_t *uc)
{
	const struct registers *r = &native.now->start;
	greg_t *g = uc->uc_mcontext.gregs;
	struct image *fpu = (struct image *)(void *)uc->uc_mcontext.fpregs;
	uint32_t mask = fpu->mxcsr_mask;

	memcpy(native.ours, g, sizeof(native.ours));
	memcpy(native.our_fpu, fpu, IMAGE_SIZE);
	for (unsigned i = 0; i < 16; i++)
		g[reg_index[i]] = (greg_t)r->reg[i];
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->flags;
	g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & 0x0000ffffffff0000u) | r->seg[SEG_CS] |
	    (uint64_t)r->seg[SEG_SS] << SS_SHIFT);
	memcpy(fpu, &r->fpu, IMAGE_SIZE);
	fpu->mxcsr_mask = mask;
	*components(uc) |= XSTATE_OURS;
	uc->uc_flags |= RESTORE_SS;
	native.running = 1;
}

static void
leave(ucontext_t *uc, unsigned vector)
{
	greg_t *g = uc->uc_mcontext.gregs;
	struct outcome *out = native.out;

	take_segments(&out->regs);
	for (unsigned i = 0; i < 16; i++)
		out->regs.reg[i] = (uint64_t)g[reg_index[i]];
	out->regs.rip = (uint64_t)g[REG_RIP];
	out->regs.flags = (uint64_t)g[REG_EFL];
	out->regs.seg[SEG_CS] = (uint16_t)g[REG_CSGSFS];
	out->regs.seg[SEG_SS] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> SS_SHIFT);
	memcpy(&out->regs.fpu, uc->uc_mcontext.fpregs, IMAGE_SIZE);
	out->vector = vector;
	out->error = (uint32_t)g[REG_ERR];
	out->cr2 = (uint64_t)g[REG_CR2];
	memcpy(g, native.ours, sizeof(native.ours));
	memcpy(uc->uc_mcontext.fpregs, native.our_fpu, IMAGE_SIZE);
	*components(uc) |= XSTATE_OURS;
	uc->uc_flags |= RESTORE_SS;
	native.running = 0;
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)info;
	if (sig == SIGALRM) {
		if (native.running && native.runs == native.runs_seen)
			leave(uc, VECTOR_NONE);
		native.runs_seen = native.runs;
	} else if (native.running) {
		leave(uc, (unsigned)uc->uc_mcontext.gregs[REG_TRAPNO]);
	} else if (sig == SIGTRAP && native.now != NULL) {
		enter(uc);
	} else {
		signal(sig, SIG_DFL);
	}
}

/* --- setting up ---------------------------------------------------------------------------------- */

static void
handlers_init(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM};
	static uint8_t stack[STACK_SIZE];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct itimerval every = {{0, HANG_USEC}, {0, HANG_USEC}};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	if (sigaltstack(&alternate, NULL) != 0)
		err(4, "sigaltstack");
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

/* On one CPU, whose number Linux has in a descriptor that LSL shows. */
static void
pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* SIZE bytes of FD from OFFSET on at ADDRESS (0: anywhere). */
static uint8_t *
map(uint64_t address, size_t size, int protection, int fd, off_t offset)
{
	uint8_t *p =
	    mmap((void *)(uintptr_t)address, size, protection, // NOLINT(performance-no-int-to-ptr)
		MAP_SHARED | MAP_POPULATE | (address != 0 ? MAP_FIXED_NOREPLACE : 0), fd, offset);

	if (p == MAP_FAILED)
		err(4, "no memory at %#lx", (unsigned long)address);
	return (p);
}

/* Entry NUMBER of the LDT becomes SEG, as far as Linux lets user mode have that. */
static bool
ldt_entry(unsigned number, const struct x86_segment *seg)
{
	bool code = seg->access & AR_TYPE_CODE;
	struct user_desc d = {.entry_number = number,
	    .base_addr = (unsigned)seg->base,
	    .limit = seg->access & AR_G ? seg->limit >> 12 : seg->limit,
	    .seg_32bit = (seg->access & AR_DB) != 0,
	    .contents = seg->access >> 2 & 3u,
	    .read_exec_only = !(seg->access & (code ? AR_TYPE_READ : AR_TYPE_WRITE)),
	    .limit_in_pages = (seg->access & AR_G) != 0,
	    .seg_not_present = !(seg->access & AR_P),
	    .useable = (seg->access & AR_AVL) != 0};

	return (seg->access == 0 || syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) == 0);
}

static bool
ldt_init(void)
{
	for (unsigned i = 0; i < LDT_COUNT; i++)
		if (!ldt_entry(i, &ldt[i]))
			return (false);
	return (true);
}

void
native_init(bool as_refused, bool alone)
{
	int fd;

	native.has_ldt = !as_refused;
	if (alone)
		return;
	fd = memfd_create("oracle", MFD_CLOEXEC);
	pin();
	if (fd < 0 || ftruncate(fd, 5 * PAGE) != 0)
		err(4, "no memory");
	native.code = map(0, CODE_SIZE, PROT_READ | PROT_WRITE, fd, 0);
	memset(native.code, FILLER, CODE_SIZE);
	map(BASE + CODE, CODE_SIZE, PROT_READ | PROT_EXEC, fd, 0);
	map(BASE + DATA, DATA_SIZE, PROT_READ | PROT_WRITE, fd, CODE_SIZE);
	map(BASE + READ_ONLY, PAGE, PROT_READ, fd, CODE_SIZE + DATA_SIZE);
	close(fd);
	native.has_fsgsbase = getauxval(AT_HWCAP2) & AT_HWCAP2_FSGSBASE;
	native.has_ldt = native.has_ldt && ldt_init();
	if (!native.has_ldt)
		printf("no 16-bit mode: this host refuses segments in the LDT\n");
	if (syscall(SYS_arch_prctl, ARCH_GET_FS, &native.our_fs) != 0)
		err(4, "arch_prctl");
	handlers_init();
}

bool
native_has(enum width width)
{
	return (width != WIDTH_16 || native.has_ldt);
}

bool
native_descriptor(uint16_t selector, uint32_t *access, uint32_t *limit)
{
	uint8_t seen, has_limit;

	__asm__ volatile("larl %2, %0; setz %1"
			 : "=r"(*access), "=q"(seen)
			 : "r"((uint32_t)selector)
			 : "cc");
	__asm__ volatile("lsll %2, %0; setz %1"
			 : "=r"(*limit), "=q"(has_limit)
			 : "r"((uint32_t)selector)
			 : "cc");
	return (seen && has_limit);
}

bool
native_has_new_pointers(void)
{
	unsigned a, b, c, d;

	return (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 0x2040) == 0x2040);
}

uint64_t
native_other_components(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(13, 0, &a, &b, &c, &d))
		return (0);
	return (((uint64_t)d << 32 | a) & ~XSTATE_OURS);
}

const uint8_t *
native_data(void)
{
	return ((const uint8_t *)(uintptr_t)(BASE + DATA)); // NOLINT(performance-no-int-to-ptr)
}

void
native_run(const struct sequence *q, struct outcome *out)
{
	uint64_t offset = q->at - base_of(q->width) - CODE;
	size_t size = code_size(q, offset);

	memcpy(native.code + offset, q->code, size);
	memcpy((uint8_t *)(uintptr_t)native_data(), q->data, DATA_SIZE);
	native.now = q;
	native.out = out;
	native.runs++;
	load_segments(&q->start);
	__asm__ volatile("int3" : : : "memory", "cc");
	/* The kernel leaves NT, AC and ID as the guest had them. */
	__asm__ volatile("leaq -128(%%rsp), %%rsp; pushq $0x202; popfq; leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
	native.now = NULL;
	memset(native.code + offset, FILLER, size);
}
