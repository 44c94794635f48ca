/*
 * Random boot sectors on the whole machine: BIOS, chips, disk and CPU. The guest cannot end the
 * process: each run comes back, if only by the timer that is set here, and those that are run twice
 * do the same again, to the last instruction. The sanitizers see the rest.
 *
 * HYVE86_TEST_SECTORS says how many; HYVE86_TEST_FIRST with which to begin.
 */
#include "unit.h"

#include <sys/mman.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bios/rom.h"
#include "block/block.h"
#include "engine/engine.h"
#include "machine/machine.h"

#include "random_program.h"
#include "vm_fixture.h"

#define RAM_SIZE (2u << 20)
#define IMAGE_SIZE (64u << 10)
#define TIME_NS 300000u /* 30,000 instructions */
#define REPEAT 4	/* of so many, one is run twice */
#define SECTOR_CODE 510

/* What a run leaves. */
struct outcome {
	enum machine_end end;
	uint64_t instructions;
	uint64_t hash;
};

static struct machine machine;

static void
time_is_over(void *opaque, uint64_t deadline)
{
	(void)deadline;
	machine_event(opaque, (struct machine_event){.kind = MACHINE_EVENT_STOP});
}

/* A disk image in memory whose boot sector is the program. */
static struct block *
open_image(uint64_t *seed, int *fd, int flags)
{
	uint8_t sector[512];
	struct block_error err;
	struct block *block;
	char path[32];

	*fd = memfd_create("image", MFD_CLOEXEC);
	assert_int_equal(ftruncate(*fd, IMAGE_SIZE), 0);
	random_program(seed, sector, SECTOR_CODE);
	memset(
	    sector + 446, 0, 64); /* no partitions: what is beyond the end is refused elsewhere */
	sector[510] = 0x55;
	sector[511] = 0xaa;
	assert_int_equal(pwrite(*fd, sector, sizeof(sector), 0), sizeof(sector));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	block = block_open(path, flags, &err);
	assert_non_null(block);
	return (block);
}

static struct outcome
result(enum machine_end end)
{
	static uint64_t memory[RAM_SIZE / 8];
	struct outcome out = {.end = end};

	vcpu_pull(&machine.vcpu, VCPU_ALL);
	memory_set_a20(
	    machine.mem, true); /* the guest may have turned it off: all memory is read */
	out.instructions = vcpu_instructions(&machine.vcpu);
	assert_true(memory_read(machine.mem, 0, memory, 0xa0000));
	assert_true(memory_read(machine.mem, 0x100000, memory + 0xa0000 / 8, RAM_SIZE - 0x100000));
	out.hash = hash(HASH_START, memory, RAM_SIZE - 0x60000);
	out.hash = hash(out.hash, &machine.state->gpr, sizeof(machine.state->gpr));
	out.hash = hash(out.hash, &machine.state->sregs, sizeof(machine.state->sregs));
	return (out);
}

/* Boot sector NUMBER from a floppy or a hard disk, with some keys pressed. */
static struct outcome
run(uint64_t number)
{
	const struct machine_config config = {
	    .clock = MACHINE_CLOCK_ICOUNT,
	    .no_reboot = true,
	    .debug_exit_port = 0xf4,
	    .coms = 1,
	    .engine = &engine_soft,
	};
	uint8_t drive = number % 2 == 0 ? 0x00 : 0x80;
	uint64_t seed = random_seed(number);
	struct vmm_error err;
	struct vmctx *ctx = vmm_create_volatile("random", RAM_SIZE, 0, &err);
	struct block *block;
	struct outcome out;
	struct timer limit;
	int fd;

	assert_non_null(ctx);
	assert_int_equal(vm_set_capability(ctx, 0, VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	assert_int_equal(machine_init(&machine, ctx, &config, &err), 0);
	assert_true(memory_load(machine.mem, ROM_BASE, bios_rom, ROM_SIZE));
	block = open_image(&seed, &fd,
	    number % 3 == 0	  ? BLOCK_EPHEMERAL
		: number % 3 == 1 ? BLOCK_RO
				  : 0);
	machine_add_drive(&machine, drive, block);
	machine.bios.boot_order[0] = drive;
	timer_init(&limit, time_is_over, &machine);
	timer_arm(&machine.clock, &limit, clock_now(&machine.clock) + TIME_NS);
	vcpu_state_reset(machine.state, 0);
	machine.state->sregs.seg[SEG_CS].base = ROM_BASE;
	vcpu_push(&machine.vcpu, VCPU_ALL);
	for (unsigned i = 0; i < number % 5; i++)
		machine_event(&machine,
		    (struct machine_event){
			.kind = MACHINE_EVENT_KEY, .value = (uint8_t)random64(&seed)});

	out = result(machine_run(&machine));
	machine_fini(&machine);
	block_close(block);
	close(fd);
	vmm_discard(ctx);
	return (out);
}

static void
random_sectors_come_back_and_repeat(void **state)
{
	uint64_t first = number_from("HYVE86_TEST_FIRST", 0);
	uint64_t count = number_from("HYVE86_TEST_SECTORS", 500);

	(void)state;
	for (uint64_t i = first; i < first + count; i++) {
		struct outcome once = run(i), again = i % REPEAT == 0 ? run(i) : once;

		if (once.end == MACHINE_RUNS || once.end != again.end ||
		    once.instructions != again.instructions || once.hash != again.hash)
			fail_msg("sector %llu: ends %d and %d after %llu and %llu instructions",
			    (unsigned long long)i, (int)once.end, (int)again.end,
			    (unsigned long long)once.instructions,
			    (unsigned long long)again.instructions);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_sectors_come_back_and_repeat),
	};

	return (cmocka_run_group_tests(tests, folder_setup, folder_teardown));
}
