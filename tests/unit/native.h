/*
 * The host as the oracle: run one instruction on the host's own processor and on the built-in CPU
 * (in 64-bit mode), both from the same registers, and compare what they leave.
 */
#ifndef TESTS_UNIT_NATIVE_H
#define TESTS_UNIT_NATIVE_H

#include "unit.h"

#include <sys/mman.h>

#include <cpuid.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#include "random_program.h"

/* FXSAVE64 layout, SDM vol. 1, table 10-2. */
struct image {
	uint16_t fcw, fsw;
	uint8_t ftw, zero;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	struct {
		uint64_t mant;
		uint16_t se, pad[3];
	} st[8];
	struct {
		uint64_t q[2];
	} xmm[16];
	uint8_t rest[96];
};

/* Registers that an instruction may use; RBX points to DATA, RDI may (RELATIVE). */
enum { N_RAX, N_RCX, N_RDX, N_RBX, N_RSI, N_RDI, N_COUNT };

#define DATA_SIZE 640
#define FLAGS_COMPARED 0x8d5u

struct machine_state {
	struct image fx __attribute__((aligned(16)));
	uint64_t reg[N_COUNT];
	uint64_t flags;
	uint8_t data[DATA_SIZE] __attribute__((aligned(64)));
	int vector; /* the exception, or -1 */
};

/* Pointers into code and data compare by their offset, all others as they are. */
#define RELATIVE 0x10000000000u
static inline uint64_t
to_relative(uint64_t pointer, uint64_t base)
{
	return (pointer - base < 4096 ? pointer - base + RELATIVE : pointer);
}

static inline uint64_t
from_relative(uint64_t pointer, uint64_t base)
{
	return (pointer - RELATIVE < 4096 ? pointer - RELATIVE + base : pointer);
}

/* --- the host ------------------------------------------------------------------------------------ */

struct host {
	uint8_t *code;
	uint8_t *data;
};

static sigjmp_buf host_escape;
static struct image host_fault_image;
static struct {
	struct image fx __attribute__((aligned(16)));
	uint64_t reg[N_COUNT];
	uint64_t flags;
	void *code;
} host_io;

static inline void
host_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)info;
	memcpy(&host_fault_image, uc->uc_mcontext.fpregs, 416);
	siglongjmp(host_escape, sig);
}

/* cmocka takes the signals for each test. */
static inline void
host_signals(void)
{
	struct sigaction sa = {.sa_sigaction = host_signal, .sa_flags = SA_SIGINFO};

	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static inline void
host_init(struct host *h)
{
	h->code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	assert_ptr_not_equal(h->code, MAP_FAILED);
	h->data = h->code + 4096;
}

/* Through host_io alone: the code may change every register but RSP and R12-R15. */
static inline void
host_call(void)
{
	__asm__ volatile(
	    "leaq -128(%%rsp), %%rsp\n\t"
	    "pushq %%rbx\n\t"
	    "pushq %%rbp\n\t"
	    "movq %0, %%rbp\n\t"
	    "fxrstor64 (%%rbp)\n\t"
	    "pushq 560(%%rbp)\n\t"
	    "movq 512(%%rbp), %%rax\n\t"
	    "movq 520(%%rbp), %%rcx\n\t"
	    "movq 528(%%rbp), %%rdx\n\t"
	    "movq 536(%%rbp), %%rbx\n\t"
	    "movq 544(%%rbp), %%rsi\n\t"
	    "movq 552(%%rbp), %%rdi\n\t"
	    "popfq\n\t"
	    "call *568(%%rbp)\n\t"
	    "pushfq\n\t"
	    "movq %%rax, 512(%%rbp)\n\t"
	    "movq %%rcx, 520(%%rbp)\n\t"
	    "movq %%rdx, 528(%%rbp)\n\t"
	    "movq %%rbx, 536(%%rbp)\n\t"
	    "movq %%rsi, 544(%%rbp)\n\t"
	    "movq %%rdi, 552(%%rbp)\n\t"
	    "popq 560(%%rbp)\n\t"
	    "fxsave64 (%%rbp)\n\t"
	    "popq %%rbp\n\t"
	    "popq %%rbx\n\t"
	    "leaq 128(%%rsp), %%rsp\n\t"
	    :
	    : "r"(&host_io)
	    : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
}

static inline void
host_clean(void)
{
	const uint32_t mxcsr = 0x1f80;

	__asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

static inline int
host_vector(int sig)
{
	return (sig == SIGILL ? 6 : sig == SIGFPE ? 19 : 13);
}

/* Run INSN of LENGTH bytes from M, in place. RBX is turned into DATA's address meanwhile. */
static inline void
host_run(struct host *h, const uint8_t *insn, size_t length, struct machine_state *m)
{
	uint64_t rbx = m->reg[N_RBX];
	int sig;

	memcpy(h->code, insn, length);
	h->code[length] = 0xc3;
	memcpy(h->data, m->data, DATA_SIZE);
	host_io.fx = m->fx;
	host_io.fx.fip = from_relative(m->fx.fip, (uintptr_t)h->code);
	host_io.fx.fdp = from_relative(m->fx.fdp, (uintptr_t)h->data);
	memcpy(host_io.reg, m->reg, sizeof(host_io.reg));
	host_io.reg[N_RBX] = rbx + (uintptr_t)h->data;
	host_io.reg[N_RDI] = from_relative(host_io.reg[N_RDI], (uintptr_t)h->data);
	host_io.flags = m->flags;
	host_io.code = h->code;
	m->vector = -1;
	sig = sigsetjmp(host_escape, 1);
	if (sig == 0) {
		host_call();
		host_clean();
		m->fx = host_io.fx;
		memcpy(m->reg, host_io.reg, sizeof(m->reg));
		m->flags = host_io.flags;
	} else {
		host_clean();
		m->fx = host_fault_image;
		m->vector = host_vector(sig);
	}
	m->reg[N_RBX] = rbx;
	m->reg[N_RDI] = to_relative(m->reg[N_RDI], (uintptr_t)h->data);
	memcpy(m->data, h->data, DATA_SIZE);
	m->fx.fip = to_relative(m->fx.fip, (uintptr_t)h->code);
	m->fx.fdp = to_relative(m->fx.fdp, (uintptr_t)h->data);
}

/*
 * Whether this host keeps the x87's pointers as the built-in CPU's x86-64 model does: operand and
 * opcode of exceptions alone, no selectors (CPUID 7 EBX bits 6 and 13).
 */
static inline bool
host_has_our_pointers(void)
{
	static int known = -1; /* CPUID is slow in a virtual machine */
	unsigned a, b, c, d;

	if (known < 0)
		known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 0x2040) == 0x2040;
	return (known != 0);
}

/* --- the built-in CPU ------------------------------------------------------------------------------ */

#define GUEST_RAM (2u << 20)
#define GUEST_CODE 0x10000
#define GUEST_DATA 0x20000
#define GUEST_STACK 0x38000
#define GUEST_IDT 0x40000
#define GUEST_HANDLERS 0x50000
#define GUEST_TABLES 0x60000

struct guest {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state __attribute__((aligned(16)));
	struct cpu *cpu;
	uint8_t insn[16];
};

/* 64-bit mode with the first GB mapped one to one and a gate for each exception. */
static inline void
guest_tables(struct guest *g)
{
	struct vcpu_state *v = &g->state;

	memory_put32(&g->memory, GUEST_TABLES, (GUEST_TABLES + 0x1000) | 7);
	memory_put32(&g->memory, GUEST_TABLES + 0x1000, (GUEST_TABLES + 0x2000) | 7);
	for (uint32_t i = 0; i < 512; i++)
		memory_put32(&g->memory, GUEST_TABLES + 0x2000 + i * 8, i << 21 | 0xe7);
	memory_put32(&g->memory, GUEST_TABLES + 0x3008, 0x00000000);
	memory_put32(&g->memory, GUEST_TABLES + 0x300c, 0x00af9b00);
	for (uint32_t i = 0; i < 32; i++) {
		uint32_t to = GUEST_HANDLERS + i * 16;

		memory_put32(&g->memory, GUEST_IDT + i * 16, 8 << 16 | (to & 0xffff));
		memory_put32(&g->memory, GUEST_IDT + i * 16 + 4, (to & 0xffff0000) | 0x8e00);
	}
	v->sregs.cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP;
	v->sregs.cr3 = GUEST_TABLES;
	v->sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	v->sregs.efer = EFER_LME | EFER_LMA;
	v->sregs.gdtr = (struct x86_table){.base = GUEST_TABLES + 0x3000, .limit = 0xfff};
	v->sregs.idtr = (struct x86_table){.base = GUEST_IDT, .limit = 0xfff};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		v->sregs.seg[i] = segment_from_descriptor(
		    i == SEG_CS ? 8 : 16, i == SEG_CS ? 0x00af9b000000ffff : 0x00cf93000000ffff);
}

static inline void
guest_init_with(struct guest *g, const struct cpu_config *config)
{
	int fd = memfd_create("native", MFD_CLOEXEC);

	memset(g, 0, sizeof(*g));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&g->memory, fd, GUEST_RAM, 0, true), 0);
	close(fd);
	vcpu_state_reset(&g->state, 0);
	if (config->model == CPU_X86_64)
		guest_tables(g);
	g->cpu = cpu_create(&g->state, &g->memory, &g->bus, config);
	assert_non_null(g->cpu);
	cpu_push(g->cpu, VCPU_ALL);
}

static inline void
guest_init(struct guest *g, enum cpu_model model)
{
	guest_init_with(g, &(struct cpu_config){.model = model});
}

static inline void
guest_fini(struct guest *g)
{
	cpu_destroy(g->cpu);
	memory_fini(&g->memory);
}

static inline void
guest_run(struct guest *g, const uint8_t *insn, size_t length, struct machine_state *m)
{
	static const uint8_t order[N_COUNT] = {
	    GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSI, GPR_RDI};
	uint8_t code[16] = {0};
	struct vcpu_state *v = &g->state;

	memcpy(code, insn, length);
	code[length] = 0xf4;
	if (memcmp(code, g->insn, sizeof(code)) != 0)
		memory_write(&g->memory, GUEST_CODE, code, sizeof(code));
	memcpy(g->insn, code, sizeof(code));
	memory_write(&g->memory, GUEST_DATA, m->data, DATA_SIZE);
	for (unsigned i = 0; i < N_COUNT; i++)
		v->gpr.reg[order[i]] = m->reg[i];
	v->gpr.reg[GPR_RBX] += GUEST_DATA;
	v->gpr.reg[GPR_RDI] = from_relative(v->gpr.reg[GPR_RDI], GUEST_DATA);
	v->gpr.reg[GPR_RSP] = GUEST_STACK;
	v->gpr.rip = GUEST_CODE;
	v->gpr.rflags = m->flags;
	m->fx.fip = from_relative(m->fx.fip, GUEST_CODE);
	m->fx.fdp = from_relative(m->fx.fdp, GUEST_DATA);
	memcpy(v->fpu.fxsave, &m->fx, sizeof(v->fpu.fxsave));
	cpu_push(g->cpu, VCPU_GPR | VCPU_FPU);
	cpu_run(g->cpu, 1);
	cpu_pull(g->cpu);
	m->vector = -1;
	if (v->gpr.rip >= GUEST_HANDLERS && v->gpr.rip < GUEST_HANDLERS + 0x200)
		m->vector = (int)(v->gpr.rip - GUEST_HANDLERS) / 16;
	else
		assert_int_equal(v->gpr.rip, GUEST_CODE + length);
	memcpy(&m->fx, v->fpu.fxsave, sizeof(m->fx));
	for (unsigned i = 0; i < N_COUNT; i++)
		m->reg[i] = v->gpr.reg[order[i]];
	m->reg[N_RBX] -= GUEST_DATA;
	m->reg[N_RDI] = to_relative(m->reg[N_RDI], GUEST_DATA);
	m->flags = v->gpr.rflags;
	memory_read(&g->memory, GUEST_DATA, m->data, DATA_SIZE);
	m->fx.fip = to_relative(m->fx.fip, GUEST_CODE);
	m->fx.fdp = to_relative(m->fx.fdp, GUEST_DATA);
}

/* --- comparing -------------------------------------------------------------------------------------- */

static inline void
print_image(const char *who, const struct machine_state *m)
{
	const struct image *f = &m->fx;

	print_error("%s: vector %d fcw %04x fsw %04x ftw %02x fop %03x fip %llx fdp %llx "
		    "mxcsr %04x flags %03x\n",
	    who, m->vector, f->fcw, f->fsw, f->ftw, f->fop, (unsigned long long)f->fip,
	    (unsigned long long)f->fdp, f->mxcsr, (unsigned)m->flags & FLAGS_COMPARED);
	for (unsigned i = 0; i < 8; i++)
		print_error("  st%u %04x:%016llx%s", i, f->st[i].se,
		    (unsigned long long)f->st[i].mant, i % 4 == 3 ? "\n" : "");
	for (unsigned i = 0; i < 4; i++)
		print_error("  xmm%u %016llx:%016llx%s", i, (unsigned long long)f->xmm[i].q[1],
		    (unsigned long long)f->xmm[i].q[0], i % 2 == 1 ? "\n" : "");
	for (unsigned i = 0; i < N_COUNT; i++)
		print_error("  r%u %016llx", i, (unsigned long long)m->reg[i]);
	print_error("\n  data");
	for (unsigned i = 0; i < 32; i++)
		print_error(" %02x", m->data[i]);
	print_error("\n");
}

/* Leave the x87's pointers out of the comparison of A and B. */
static inline void
forget_pointers(struct machine_state *a, struct machine_state *b)
{
	a->fx.fop = b->fx.fop = 0;
	a->fx.fip = b->fx.fip = 0;
	a->fx.fdp = b->fx.fdp = 0;
}

static inline bool
states_equal(const struct machine_state *a, const struct machine_state *b, uint64_t flags)
{
	if (a->vector != b->vector)
		return (false);
	if (memcmp(&a->fx, &b->fx, 416) != 0 || memcmp(a->data, b->data, DATA_SIZE) != 0)
		return (false);
	return (
	    memcmp(a->reg, b->reg, sizeof(a->reg)) == 0 && ((a->flags ^ b->flags) & flags) == 0);
}

#endif
