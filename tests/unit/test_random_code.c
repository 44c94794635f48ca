/*
 * Random code on the CPU alone: whatever the guest does, the CPU comes back within its budget,
 * and does the same again from the same start. The sanitizers see the rest.
 *
 * HYVE86_TEST_SECTORS says how many programs; each is known by its number alone, so that one that
 * fails can be run by itself (HYVE86_TEST_FIRST).
 */
#include "unit.h"

#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#include "random_program.h"

#define RAM_SIZE (2u << 20)
#define CODE 0x7c00
#define CODE_SIZE 512
#define GDT 0x500
#define GDT_ENTRIES 16
#define BUDGET 3000

enum start { REAL_MODE, PROTECTED_16, PROTECTED_32, START_COUNT };

struct rig {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

/* What a run leaves. */
struct outcome {
	enum cpu_exit exit;
	uint64_t instructions;
	uint64_t hash;
};

/* A GDT in which the first entries are of use and the rest is chance. */
static void
random_gdt(uint64_t *seed, struct rig *rig, bool wide)
{
	uint64_t gdt[GDT_ENTRIES] = {0, wide ? 0x00cf9b000000ffff : 0x00009b000000ffff,
	    wide ? 0x00cf93000000ffff : 0x000093000000ffff};

	for (unsigned i = 3; i < GDT_ENTRIES; i++)
		gdt[i] = random64(seed);
	memory_write(&rig->memory, GDT, gdt, sizeof(gdt));
}

static void
start_state(uint64_t *seed, struct rig *rig, enum start start)
{
	struct vcpu_state *v = &rig->state;

	vcpu_state_reset(v, 0);
	for (unsigned i = 0; i < 8; i++)
		v->gpr.reg[i] = random64(seed) & (i % 2 ? 0xffffffff : 0xffff);
	v->gpr.reg[GPR_RSP] = CODE;
	v->gpr.rip = CODE;
	v->gpr.rflags = 2 | (random64(seed) & 0x0ed5);
	v->sregs.cr0 = 0x10;
	v->sregs.gdtr = (struct x86_table){.base = GDT, .limit = GDT_ENTRIES * 8 - 1};
	v->sregs.idtr = (struct x86_table){.base = 0, .limit = 0x3ff};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		v->sregs.seg[i] = segment_real(0, i == SEG_CS ? 0x9b : 0x93);
	if (start == REAL_MODE)
		return;
	random_gdt(seed, rig, start == PROTECTED_32);
	v->sregs.cr0 |= 1;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		v->sregs.seg[i] = segment_from_descriptor(i == SEG_CS ? 8 : 16,
		    memory_get32(&rig->memory, i == SEG_CS ? GDT + 8 : GDT + 16) |
			(uint64_t)memory_get32(&rig->memory, i == SEG_CS ? GDT + 12 : GDT + 20)
			    << 32);
}

static void
rig_init(struct rig *rig)
{
	static const struct cpu_config config = {.model = CPU_486};
	int fd = memfd_create("random", MFD_CLOEXEC);

	memset(rig, 0, sizeof(*rig));
	assert_true(fd >= 0);
	assert_int_equal(memory_init(&rig->memory, fd, RAM_SIZE, 0, true), 0);
	close(fd);
	rig->cpu = cpu_create(&rig->state, &rig->memory, &rig->bus, &config);
	assert_non_null(rig->cpu);
}

static void
rig_fini(struct rig *rig)
{
	cpu_destroy(rig->cpu);
	memory_fini(&rig->memory);
}

/* Run program NUMBER on a new CPU. */
static struct outcome
run(uint64_t number)
{
	static uint64_t image[RAM_SIZE / 8];
	uint64_t seed = random_seed(number);
	uint8_t code[CODE_SIZE];
	struct outcome out = {0};
	struct rig rig;

	rig_init(&rig);
	random_program(&seed, code, sizeof(code));
	for (unsigned i = 0; i < 256; i++)
		memory_put32(&rig.memory, 4 * i, (uint32_t)(CODE + random64(&seed) % CODE_SIZE));
	memory_write(&rig.memory, CODE, code, sizeof(code));
	start_state(&seed, &rig, (enum start)(number % START_COUNT));
	cpu_push(rig.cpu, VCPU_ALL);

	out.exit = cpu_run(rig.cpu, BUDGET);
	cpu_pull(rig.cpu);
	out.instructions = cpu_instructions(rig.cpu);
	assert_true(memory_read(&rig.memory, 0, image, sizeof(image)));
	out.hash = hash(HASH_START, image, sizeof(image));
	out.hash = hash(out.hash, &rig.state.gpr, sizeof(rig.state.gpr));
	out.hash = hash(out.hash, &rig.state.sregs, sizeof(rig.state.sregs));
	rig_fini(&rig);
	return (out);
}

static void
random_code_comes_back_and_repeats(void **state)
{
	uint64_t first = number_from("HYVE86_TEST_FIRST", 0);
	uint64_t count = number_from("HYVE86_TEST_SECTORS", 500);

	(void)state;
	for (uint64_t i = first; i < first + count; i++) {
		struct outcome once = run(i), again = run(i);

		if (once.exit == CPU_EXIT_NONE || once.instructions > BUDGET ||
		    once.exit != again.exit || once.instructions != again.instructions ||
		    once.hash != again.hash)
			fail_msg("program %llu: exits %d and %d after %llu and %llu instructions",
			    (unsigned long long)i, (int)once.exit, (int)again.exit,
			    (unsigned long long)once.instructions,
			    (unsigned long long)again.instructions);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_code_comes_back_and_repeats),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
