/*
 * The state file of a VM with a board. An input changes a good file in places: records of an offset
 * (16 bits), a length (8 bits) and that many bytes. If the first byte is odd, the CRCs are made
 * right again, so that what is in the sections is believed; then the board is built on it, looked
 * at, and run for a moment.
 */
#include "vmm/statefile.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "machine/machine.h"
#include "vm.h"
#include "vmmapi.h"

#define STEPS 200
#define TABLE_ENTRY 32u
#define STATE "state" /* its name in the VM's directory */

static const struct machine_config config = {
    .clock = MACHINE_CLOCK_ICOUNT, .debug_exit_port = -1, .coms = 2, .engine = &engine_soft};

static struct machine machine;

/* The good file: a stopped VM with a board. *DIRFD is the VM's directory. */
static void
make_vm(int *dirfd)
{
	struct vmm_error err;
	struct vmctx *ctx;

	fuzz_folder();
	FUZZ_CHECK(vmm_create("fuzz", &err) == 0);
	ctx = vmm_open("fuzz", &err);
	FUZZ_CHECK(ctx != NULL && vmm_begin(ctx, VMM_WRITE, &err) == 0);
	FUZZ_CHECK(vmm_set_memory(ctx, 2u << 20, 0, &err) == 0);
	FUZZ_CHECK(vmm_end(ctx, true, &err) == 0 && vmm_run_begin(ctx, &err) == 0);
	FUZZ_CHECK(machine_init(&machine, ctx, &config, &err) == 0);
	FUZZ_CHECK(vmm_run_end(ctx, &err) == 0);
	machine_fini(&machine);
	*dirfd = dup(vmm_dirfd(ctx));
	vm_close(ctx);
}

static uint8_t *
read_state(int dirfd, size_t *size)
{
	static uint8_t bytes[256u << 10];
	int fd = openat(dirfd, STATE, O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	FUZZ_CHECK(n > STATEFILE_HEADER_SIZE);
	close(fd);
	*size = (size_t)n;
	return (bytes);
}

static void
put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static uint32_t
get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return (value);
}

/* Make the CRCs of the file of SIZE bytes right, as far as its table makes sense. */
static void
mend(uint8_t *bytes, size_t size)
{
	uint32_t count = get32(bytes + 16);
	size_t table = (size_t)count * TABLE_ENTRY, at;

	if (count > STATEFILE_SECTIONS_MAX || STATEFILE_HEADER_SIZE + table > size)
		return;
	at = STATEFILE_HEADER_SIZE + table;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *entry = bytes + STATEFILE_HEADER_SIZE + i * TABLE_ENTRY;
		uint32_t length = get32(entry + 20);

		if (length > size - at)
			return;
		put32(entry + 24, crc32_update(0, bytes + at, length));
		at += length;
	}
	put32(bytes + 20, 0);
	put32(bytes + 20, crc32_update(0, bytes, STATEFILE_HEADER_SIZE + table));
}

static void
apply(uint8_t *bytes, size_t bytes_size, const uint8_t *data, size_t size)
{
	for (size_t at = 1; at + 3 < size;) {
		size_t offset = (size_t)(data[at] | data[at + 1] << 8), n = data[at + 2] % 32u;

		at += 3;
		if (n > size - at)
			n = size - at;
		if (offset < bytes_size && n <= bytes_size - offset)
			memcpy(bytes + offset, data + at, n);
		at += n;
	}
}

/* Ports whose chips have a state worth a look. */
static void
look(struct machine *m)
{
	static const uint16_t ports[] = {0x08, 0x20, 0x21, 0x40, 0x42, 0x60, 0x61, 0x64, 0x71, 0xa0,
	    0x3c5, 0x3c9, 0x3cf, 0x3d5, 0x3da, 0x3f8, 0x3fa, 0x2fd};

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		(void)bus_in(&m->bus, ports[i], 1);
		bus_out(&m->bus, ports[i], 1, 0x55);
	}
}

/* Build the board on what the file says, and run it a little. */
static void
run_board(struct vmctx *ctx)
{
	struct vmm_error err;

	if (machine_init(&machine, ctx, &config, &err) != 0)
		return;
	look(&machine);
	for (unsigned i = 0; i < 4 && machine.end == MACHINE_RUNS; i++) {
		clock_fire(&machine.clock, clock_now(&machine.clock) + 1000000);
		vcpu_run(&machine.vcpu, STEPS);
	}
	machine_fini(&machine);
}

static void
try_state(void)
{
	struct vmm_error err;
	struct vmctx *ctx = vmm_open("fuzz", &err);

	if (ctx == NULL)
		return;
	if (vmm_run_begin(ctx, &err) == 0)
		run_board(ctx);
	vm_close(ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *good, copy[256u << 10];
	static size_t good_size;
	static int dirfd;

	if (good == NULL) {
		make_vm(&dirfd);
		good = read_state(dirfd, &good_size);
	}
	if (size < 1)
		return (0);
	memcpy(copy, good, good_size);
	apply(copy, good_size, data, size);
	if (data[0] & 1)
		mend(copy, good_size);
	FUZZ_CHECK(statefile_write(dirfd, STATE, copy, good_size) == 0);
	try_state();
	return (0);
}
