/*
 * Running code on this machine's processor, in any mode that a 64-bit Linux process can enter: a
 * breakpoint brings the kernel to our signal handler, which puts the guest's registers and
 * selectors in place of ours; the kernel then goes there. The fault that ends the code brings
 * the registers back the same way.
 */
#include <asm/ldt.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <err.h>
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
#define HANG_SECONDS 2

const struct selectors selectors[WIDTH_COUNT] = {
    [WIDTH_64] = {0x33, 0x2b},
    [WIDTH_32] = {0x23, 0x2b},
    [WIDTH_16] = {0x07, 0x0f}, /* LDT, entries 0 and 1 */
};

static const int reg_index[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
    REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct {
	uint8_t *code; /* writable view of the code's pages */
	bool has_ldt;
	enum width width; /* that DS and ES are set for */
	const struct sequence *now;
	struct outcome *out;
	volatile sig_atomic_t running;
	volatile uint64_t runs, runs_seen;
	gregset_t ours;
} native;

static void
enter(ucontext_t *uc)
{
	const struct registers *r = &native.now->start;
	greg_t *g = uc->uc_mcontext.gregs;
	const struct selectors *sel = &selectors[native.now->width];

	memcpy(native.ours, g, sizeof(native.ours));
	for (unsigned i = 0; i < 16; i++)
		g[reg_index[i]] = (greg_t)r->reg[i];
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->flags;
	g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & 0x0000ffffffff0000u) | sel->code |
	    (uint64_t)sel->data << SS_SHIFT);
	uc->uc_flags |= RESTORE_SS;
	native.running = 1;
}

static void
leave(ucontext_t *uc, unsigned vector)
{
	greg_t *g = uc->uc_mcontext.gregs;
	struct outcome *out = native.out;

	for (unsigned i = 0; i < 16; i++)
		out->regs.reg[i] = (uint64_t)g[reg_index[i]];
	out->regs.rip = (uint64_t)g[REG_RIP];
	out->regs.flags = (uint64_t)g[REG_EFL];
	out->vector = vector;
	out->error = (uint32_t)g[REG_ERR];
	out->cr2 = (uint64_t)g[REG_CR2];
	memcpy(g, native.ours, sizeof(native.ours));
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

static void
handlers_init(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM};
	static uint8_t stack[STACK_SIZE];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct itimerval every = {{HANG_SECONDS, 0}, {HANG_SECONDS, 0}};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	if (sigaltstack(&alternate, NULL) != 0)
		err(4, "sigaltstack");
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
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

static bool
ldt_init(void)
{
	struct user_desc d = {.entry_number = 0,
	    .base_addr = BASE,
	    .limit = 0xffff,
	    .contents = 2 /* code */,
	    .useable = 1};

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) != 0)
		return (false);
	d.entry_number = 1;
	d.contents = 0; /* data */
	return (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0);
}

void
native_init(void)
{
	int fd = memfd_create("oracle", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 5 * PAGE) != 0)
		err(4, "no memory");
	native.code = map(0, CODE_SIZE, PROT_READ | PROT_WRITE, fd, 0);
	memset(native.code, FILLER, CODE_SIZE);
	map(BASE + CODE, CODE_SIZE, PROT_READ | PROT_EXEC, fd, 0);
	map(BASE + DATA, DATA_SIZE, PROT_READ | PROT_WRITE, fd, CODE_SIZE);
	map(BASE + READ_ONLY, PAGE, PROT_READ, fd, CODE_SIZE + DATA_SIZE);
	close(fd);
	native.has_ldt = ldt_init();
	if (!native.has_ldt)
		printf("no 16-bit mode: this host refuses segments in the LDT\n");
	handlers_init();
	native.width = WIDTH_COUNT;
}

bool
native_has(enum width width)
{
	return (width != WIDTH_16 || native.has_ldt);
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
	uint16_t data = selectors[q->width].data;

	if (native.width != q->width)
		__asm__ volatile("movw %0, %%ds; movw %0, %%es" : : "r"(data));
	native.width = q->width;
	memcpy(native.code + offset, q->code, q->size);
	memcpy((uint8_t *)(uintptr_t)native_data(), q->data, DATA_SIZE);
	native.now = q;
	native.out = out;
	native.runs++;
	__asm__ volatile("int3" : : : "memory", "cc");
	/* The kernel leaves NT, AC and ID as the guest had them. */
	__asm__ volatile("leaq -128(%%rsp), %%rsp; pushq $0x202; popfq; leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
	native.now = NULL;
	memset(native.code + offset, FILLER, q->size);
}
