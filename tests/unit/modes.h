/*
 * A CPU in each of its modes, on flat memory of which the first 64 KB serve all of them: what runs
 * there has no handlers, so that an exception ends the run and is found in the CPU's ring of faults.
 */
#ifndef TESTS_UNIT_MODES_H
#define TESTS_UNIT_MODES_H

#include "unit.h"

#include <sys/mman.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#define TABLES 0x20000u

enum mode { REAL, V86, PM16, PM32, COMPAT, LONG64, MODES };
static const char *const mode_names[MODES] = {
    "real", "V86", "16-bit", "32-bit", "compat", "64-bit"};

struct rig {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

static inline void
rig_init(struct rig *r)
{
	const struct cpu_config config = {.model = CPU_X86_64};
	int fd = memfd_create("modes", MFD_CLOEXEC);

	memset(r, 0, sizeof(*r));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&r->memory, fd, 1u << 20, 0, true), 0);
	memory_set_a20(&r->memory, true);
	/* One page of 2 MB, mapped to itself. */
	memory_put32(&r->memory, TABLES, (TABLES + 0x1000) | 7);
	memory_put32(&r->memory, TABLES + 0x1000, (TABLES + 0x2000) | 7);
	memory_put32(&r->memory, TABLES + 0x2000, 0xe7);
	r->cpu = cpu_create(&r->state, &r->memory, &r->bus, &config);
	assert_non_null(r->cpu);
}

static inline void
rig_fini(struct rig *r)
{
	cpu_destroy(r->cpu);
	memory_fini(&r->memory);
}

static inline void
rig_enter(struct rig *r, enum mode mode, unsigned cpl, unsigned iopl)
{
	struct vcpu_state *s = &r->state;
	uint32_t rights = cpl << 5 | (mode >= PM32 ? AR_DB : 0);

	vcpu_state_reset(s, 0);
	s->sregs.cr0 = CR0_ET | CR0_NE | CR0_MP | (mode == REAL ? 0 : CR0_PE);
	s->sregs.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	s->sregs.idtr.limit = 0; /* an exception ends the run */
	if (mode >= COMPAT) {
		s->sregs.cr0 |= CR0_PG;
		s->sregs.cr3 = TABLES;
		s->sregs.cr4 |= CR4_PAE;
		s->sregs.efer = EFER_LME | EFER_LMA;
	}
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->sregs.seg[i] = (struct x86_segment){
		    .limit = 0xffff, .access = (i == SEG_CS ? 0x9bu : 0x93u) | rights};
	if (mode == V86)
		for (unsigned i = 0; i < SEG_COUNT; i++)
			s->sregs.seg[i] = segment_real(0, 0xf3);
	if (mode == LONG64)
		s->sregs.seg[SEG_CS].access = 0x9b | cpl << 5 | AR_L;
	s->gpr.rflags = RFLAGS_1 | (mode == V86 ? RFLAGS_VM : 0) | iopl << RFLAGS_IOPL_SHIFT;
}

/* The exception of the instruction; behind it in the ring is what came of its delivery. */
static inline int
rig_vector(struct rig *r)
{
	struct vcpu_history history;
	const struct cpu_fault *faults = history.faults;
	unsigned n;

	cpu_history(r->cpu, &history);
	n = history.nfaults;
	while (n > 0 &&
	    (faults[n - 1].cause == CAUSE_IDT_LIMIT || faults[n - 1].cause == CAUSE_DOUBLE))
		n--;
	return (n > 0 ? faults[n - 1].vector : -1);
}

#endif
