/*
 * Instructions that CPUID lists one by one: RDRAND, MONITOR and MWAIT, CLFLUSH, RDPMC, UMIP. What they
 * do, and in the SDM's order what they raise (vol. 2, each instruction's exceptions).
 */
#include "unit.h"

#include <sys/mman.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#define CODE 0x1000
#define DATA 0x8000
#define ARITHMETIC 0x8d5u

struct rig {
	uint64_t
	    code; /* where the instruction is: not twice in the same place, to tell faults apart */
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

static void
rig_init(struct rig *r, enum cpu_model model, uint64_t seed)
{
	const struct cpu_config config = {.model = model, .random_seed = seed};
	int fd = memfd_create("rig", MFD_CLOEXEC);

	memset(r, 0, sizeof(*r));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&r->memory, fd, 1u << 20, 0, true), 0);
	memory_set_a20(&r->memory, true);
	r->cpu = cpu_create(&r->state, &r->memory, &r->bus, &config);
	assert_non_null(r->cpu);
}

static void
rig_fini(struct rig *r)
{
	cpu_destroy(r->cpu);
	memory_fini(&r->memory);
}

/* Flat 32-bit protected mode at privilege CPL, with CODE (a string) at its start. */
static void
rig_load(struct rig *r, unsigned cpl, const char *code, size_t n)
{
	struct vcpu_state *s = &r->state;

	r->code = r->code == 0 ? CODE : r->code + 16;
	for (size_t i = 0; i < n; i++)
		memory_put8(&r->memory, r->code + i, (uint8_t)code[i]);
	vcpu_state_reset(s, 0);
	s->sregs.cr0 = CR0_PE | CR0_ET;
	s->sregs.idtr.limit = 0; /* an exception ends the run; it is in the ring */
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->sregs.seg[i] = (struct x86_segment){.selector = (uint16_t)(8 + cpl),
		    .limit = UINT32_MAX,
		    .access = (i == SEG_CS ? 0xc09bu : 0xc093u) | cpl << 5};
	s->gpr.rip = r->code;
	s->gpr.rflags = 2;
}
#define LOAD(r, cpl, code) rig_load(r, cpl, code, sizeof(code) - 1)

/* Run one instruction; the exception that it raises, or -1. */
static int
rig_step(struct rig *r)
{
	struct vcpu_history history;

	cpu_push(r->cpu, VCPU_ALL);
	cpu_run(r->cpu, 1);
	cpu_pull(r->cpu);
	cpu_history(r->cpu, &history);
	for (unsigned i = 0; i < history.nfaults; i++)
		if (history.faults[i].rip == r->code)
			return (history.faults[i].vector);
	return (-1);
}

static void
cpuid(struct rig *r, uint32_t leaf, uint32_t out[4])
{
	LOAD(r, 0, "\x0f\xa2");
	r->state.gpr.reg[GPR_RAX] = leaf;
	assert_int_equal(rig_step(r), -1);
	out[0] = (uint32_t)r->state.gpr.reg[GPR_RAX];
	out[1] = (uint32_t)r->state.gpr.reg[GPR_RBX];
	out[2] = (uint32_t)r->state.gpr.reg[GPR_RCX];
	out[3] = (uint32_t)r->state.gpr.reg[GPR_RDX];
}

static uint32_t
random_number(struct rig *r)
{
	LOAD(r, 3, "\x0f\xc7\xf0"); /* RDRAND EAX */
	r->state.gpr.rflags = ARITHMETIC & ~RFLAGS_CF;
	assert_int_equal(rig_step(r), -1);
	/* CF says that there was a number; the other flags are cleared. */
	assert_int_equal(r->state.gpr.rflags & ARITHMETIC, RFLAGS_CF);
	return ((uint32_t)r->state.gpr.reg[GPR_RAX]);
}

static void
rdrand(void **state)
{
	struct rig a, b, c;
	uint32_t id[4];

	(void)state;
	rig_init(&a, CPU_X86_64, 1);
	rig_init(&b, CPU_X86_64, 1);
	rig_init(&c, CPU_X86_64, 2);
	for (int i = 0; i < 4; i++) {
		uint32_t n = random_number(&a);

		assert_int_equal(n, random_number(&b));
		assert_int_not_equal(n, random_number(&c));
	}
	assert_int_not_equal(random_number(&a), random_number(&a));
	/* 16 bits leave the rest of the register. */
	LOAD(&a, 3, "\x66\x0f\xc7\xf0");
	a.state.gpr.reg[GPR_RAX] = 0x12340000;
	assert_int_equal(rig_step(&a), -1);
	assert_int_equal(a.state.gpr.reg[GPR_RAX] >> 16, 0x1234);
	LOAD(&a, 3, "\xf0\x0f\xc7\xf0"); /* with LOCK */
	assert_int_equal(rig_step(&a), 6);
	cpuid(&a, 1, id);
	assert_true(id[2] & 1u << 30);
	rig_fini(&c);
	rig_fini(&b);
	rig_fini(&a);

	rig_init(&a, CPU_P6, 1);
	LOAD(&a, 0, "\x0f\xc7\xf0");
	assert_int_equal(rig_step(&a), 6);
	cpuid(&a, 1, id);
	assert_false(id[2] & 1u << 30);
	rig_fini(&a);
}

/* MONITOR of DATA, with ECX as given. */
static int
monitor(struct rig *r, unsigned cpl, uint32_t ecx)
{
	LOAD(r, cpl, "\x0f\x01\xc8\x0f\x01\xc9");
	r->state.gpr.reg[GPR_RAX] = DATA;
	r->state.gpr.reg[GPR_RCX] = ecx;
	r->state.gpr.rflags |= RFLAGS_IF;
	return (rig_step(r));
}

static void
monitor_raises(void **state)
{
	struct rig r;
	uint32_t id[4];

	(void)state;
	rig_init(&r, CPU_X86_64, 0);
	assert_int_equal(monitor(&r, 3, 0), 6);
	assert_int_equal(monitor(&r, 0, 1), 13); /* no extensions are known */
	LOAD(&r, 0, "\x0f\x01\xc8");		 /* beyond the segment */
	r.state.sregs.seg[SEG_DS].limit = DATA - 1;
	r.state.gpr.reg[GPR_RAX] = DATA;
	assert_int_equal(rig_step(&r), 13);
	LOAD(&r, 0, "\x36\x0f\x01\xc8"); /* the same of SS */
	r.state.sregs.seg[SEG_SS].limit = DATA - 1;
	r.state.gpr.reg[GPR_RAX] = DATA;
	assert_int_equal(rig_step(&r), 12);
	LOAD(&r, 3, "\x0f\x01\xc9");
	assert_int_equal(rig_step(&r), 6);
	LOAD(&r, 0, "\x0f\x01\xc9");
	r.state.gpr.reg[GPR_RCX] = 2;
	assert_int_equal(rig_step(&r), 13);

	/* IA32_MISC_ENABLE takes them away, from CPUID too. */
	cpuid(&r, 1, id);
	assert_true(id[2] & 8);
	LOAD(&r, 0, "\x0f\x01\xc8");
	r.state.msr.misc_enable = 0;
	assert_int_equal(rig_step(&r), 6);
	LOAD(&r, 0, "\x0f\xa2");
	r.state.msr.misc_enable = 0;
	r.state.gpr.reg[GPR_RAX] = 1;
	assert_int_equal(rig_step(&r), -1);
	assert_false(r.state.gpr.reg[GPR_RCX] & 8);
	cpuid(&r, 5, id);
	assert_int_equal(id[0], 64);
	assert_int_equal(id[2], 3);
	rig_fini(&r);
}

static enum cpu_exit
go_on(struct rig *r, uint64_t budget)
{
	enum cpu_exit exit;

	cpu_push(r->cpu, VCPU_ALL);
	exit = cpu_run(r->cpu, budget);
	cpu_pull(r->cpu);
	return (exit);
}

static void
mwait_waits(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, CPU_X86_64, 0);
	/* As HLT; a store to another line does not end it, one to this line does. */
	assert_int_equal(monitor(&r, 0, 0), -1);
	assert_int_equal(go_on(&r, 10), CPU_EXIT_HLT);
	assert_int_equal(r.state.gpr.rip, r.code + 6);
	memory_put8(&r.memory, DATA + 64, 1);
	assert_int_equal(go_on(&r, 10), CPU_EXIT_HLT);
	memory_put8(&r.memory, DATA + 63, 1);
	assert_int_equal(go_on(&r, 1), CPU_EXIT_BUDGET);

	/* A store that came first is not missed. */
	assert_int_equal(monitor(&r, 0, 0), -1);
	memory_put8(&r.memory, DATA, 2);
	assert_int_equal(go_on(&r, 1), CPU_EXIT_BUDGET);
	assert_int_equal(r.state.gpr.rip, r.code + 6);

	/* With interrupts off nothing could end it. */
	assert_int_equal(monitor(&r, 0, 0), -1);
	r.state.gpr.rflags &= ~(uint64_t)RFLAGS_IF;
	assert_int_equal(go_on(&r, 1), CPU_EXIT_BUDGET);
	assert_int_equal(r.state.gpr.rip, r.code + 6);
	rig_fini(&r);
}

static void
clflush(void **state)
{
	struct rig r;
	uint32_t id[4];

	(void)state;
	rig_init(&r, CPU_X86_64, 0);
	LOAD(&r, 3, "\x0f\xae\x38"); /* CLFLUSH [EAX] */
	r.state.gpr.reg[GPR_RAX] = DATA;
	assert_int_equal(rig_step(&r), -1);
	assert_int_equal(r.state.gpr.rip, r.code + 3);
	LOAD(&r, 3, "\x0f\xae\x38");
	r.state.gpr.reg[GPR_RAX] = DATA;
	r.state.sregs.seg[SEG_DS].limit = DATA - 1;
	assert_int_equal(rig_step(&r), 13);
	LOAD(&r, 3, "\xf0\x0f\xae\x38");
	assert_int_equal(rig_step(&r), 6);
	cpuid(&r, 1, id);
	assert_true(id[3] & 1u << 19);
	assert_int_equal(id[1] >> 8 & 0xff, 8);
	rig_fini(&r);
}

static void
rdpmc(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, CPU_X86_64, 0);
	LOAD(&r, 0, "\x0f\x33");
	assert_int_equal(rig_step(&r), 13);
	rig_fini(&r);
}

static void
umip(void **state)
{
	static const struct {
		const char *code;
		size_t n;
	} stores[] = {{"\x0f\x01\x00", 3}, {"\x0f\x01\x08", 3}, {"\x0f\x00\x00", 3},
	    {"\x0f\x00\x08", 3}, {"\x0f\x01\x20", 3}, {"\x0f\x01\xe0", 3}};
	struct rig r;
	uint32_t id[4];

	(void)state;
	rig_init(&r, CPU_X86_64, 0);
	for (size_t i = 0; i < COUNT(stores); i++)
		for (unsigned cpl = 0; cpl < 4; cpl += 3)
			for (unsigned on = 0; on < 2; on++) {
				rig_load(&r, cpl, stores[i].code, stores[i].n);
				r.state.gpr.reg[GPR_RAX] = DATA;
				r.state.sregs.cr4 = on ? CR4_UMIP : 0;
				assert_int_equal(rig_step(&r), cpl != 0 && on ? 13 : -1);
			}
	LOAD(&r, 0, "\x0f\xa2");
	r.state.gpr.reg[GPR_RAX] = 7;
	rig_step(&r);
	assert_true(r.state.gpr.reg[GPR_RCX] & 4);
	cpuid(&r, 0, id);
	assert_true(id[0] >= 7);
	rig_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rdrand),
	    cmocka_unit_test(monitor_raises),
	    cmocka_unit_test(mwait_waits),
	    cmocka_unit_test(clflush),
	    cmocka_unit_test(rdpmc),
	    cmocka_unit_test(umip),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
