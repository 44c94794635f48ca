/*
 * Runs single-instruction tests captured from hardware (the SingleStepTests' MOO format) on the
 * built-in CPU in real mode.
 *
 *	moo [--cpu MODEL] [-v] [-n SHOWN] FILE...
 *
 * FILE is FORM.MOO or FORM.MOO.gz, where FORM is an opcode and perhaps the reg field behind it
 * ("F7.6"). A metadata.json beside it says which flags each form leaves undefined. The failures of
 * each form are shown, SHOWN of them in detail; the last line is `N passed, N failed`.
 *
 * A MOO file is chunks of an id of 4 letters, a 32-bit length and the data, all little-endian:
 *	MOO	a header: u8 major, u8 minor, u16, u32 number of tests, 4 letters of CPU name
 *	TEST	u32 index, then chunks:
 *		NAME	u32 length, the instruction as text
 *		INIT	state before, as chunks REGS and RAM
 *		FINA	the same for the state afterwards: only what has changed
 *		EXCP	u8 number of the exception that was raised, u32 address of the pushed flags
 *	REGS	u16 mask of registers present, one u16 for each
 *	RAM	u32 number, then as many times u32 address, u8 value
 * A HLT follows each instruction, or stands where it jumps to, so a test runs until a HLT.
 */
#include <sys/mman.h>

#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <zlib.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#define RAM_SIZE (16u << 20)
#define RAM_MAX 4096
#define REAL_FLAGS 0x0fff /* the top four cannot be set in real mode */
#define BUDGET 200
#define BUDGET_REP 70000 /* REP counts each time round */

/* Registers in the order of a REGS chunk. */
enum { AX, BX, CX, DX, CS, SS, DS, ES, SP, BP, SI, DI, IP, FLAGS, REG_COUNT };
static const char *const reg_names[REG_COUNT] = {
    "ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags"};

/* Where the general registers are in the vCPU's state. */
static const struct {
	uint8_t reg, gpr;
} gprs[] = {{AX, GPR_RAX}, {BX, GPR_RBX}, {CX, GPR_RCX}, {DX, GPR_RDX}, {SP, GPR_RSP},
    {BP, GPR_RBP}, {SI, GPR_RSI}, {DI, GPR_RDI}};
static const struct {
	uint8_t reg, seg;
} segments[] = {{CS, SEG_CS}, {SS, SEG_SS}, {DS, SEG_DS}, {ES, SEG_ES}};

struct byte_at {
	uint32_t address;
	uint8_t value;
};

struct moo_state {
	uint16_t reg[REG_COUNT];
	bool has[REG_COUNT];
	struct byte_at ram[RAM_MAX];
	unsigned nram;
};

struct moo_test {
	unsigned index;
	char name[80];
	struct moo_state before, after;
	bool exception;
	uint32_t flags_address; /* of the image that the exception pushed */
};

/* What is left of a chunk's data. */
struct reader {
	const uint8_t *at, *end;
};

struct machine {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

static struct machine machine;
static struct moo_test test;
static bool verbose;
static unsigned shown_max = 3;

/*
 * Reading.
 */

static const uint8_t *
take(struct reader *r, size_t count)
{
	const uint8_t *start = r->at;

	if ((size_t)(r->end - r->at) < count)
		errx(4, "the file ends in the middle of a test");
	r->at += count;
	return (start);
}

static uint32_t
take_number(struct reader *r, unsigned bytes)
{
	const uint8_t *p = take(r, bytes);
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)p[i] << (8 * i);
	return (value);
}

/* The next chunk's id and data; false at the end. */
static bool
take_chunk(struct reader *r, char id[5], struct reader *data)
{
	uint32_t length;

	if (r->at == r->end)
		return (false);
	memcpy(id, take(r, 4), 4);
	id[4] = '\0';
	length = take_number(r, 4);
	data->at = take(r, length);
	data->end = data->at + length;
	return (true);
}

static void
read_state(struct reader *r, struct moo_state *s)
{
	struct reader data;
	char id[5];

	memset(s->has, 0, sizeof(s->has));
	s->nram = 0;
	while (take_chunk(r, id, &data)) {
		if (strcmp(id, "REGS") == 0) {
			uint32_t mask = take_number(&data, 2);

			for (unsigned i = 0; i < REG_COUNT; i++) {
				s->has[i] = (mask >> i & 1) != 0;
				if (s->has[i])
					s->reg[i] = (uint16_t)take_number(&data, 2);
			}
		} else if (strcmp(id, "RAM ") == 0) {
			s->nram = take_number(&data, 4);
			if (s->nram > RAM_MAX)
				errx(4, "a test with %u bytes of memory", s->nram);
			for (unsigned i = 0; i < s->nram; i++) {
				s->ram[i].address = take_number(&data, 4);
				s->ram[i].value = (uint8_t)take_number(&data, 1);
			}
		}
	}
}

static void
read_test(struct reader *r)
{
	struct reader data;
	char id[5];

	test.index = take_number(r, 4);
	test.exception = false;
	test.name[0] = '\0';
	while (take_chunk(r, id, &data)) {
		if (strcmp(id, "NAME") == 0) {
			uint32_t length = take_number(&data, 4);

			snprintf(test.name, sizeof(test.name), "%.*s", (int)length,
			    (const char *)take(&data, length));
		} else if (strcmp(id, "INIT") == 0) {
			read_state(&data, &test.before);
		} else if (strcmp(id, "FINA") == 0) {
			read_state(&data, &test.after);
		} else if (strcmp(id, "EXCP") == 0) {
			take_number(&data, 1);
			test.exception = true;
			test.flags_address = take_number(&data, 4);
		}
	}
}

/* All of a file, unpacked; the caller frees it. */
static uint8_t *
read_file(const char *path, size_t *size)
{
	gzFile file = gzopen(path, "rb");
	size_t room = 1 << 20;
	uint8_t *data = malloc(room);
	int count;

	if (file == NULL)
		err(4, "%s", path);
	*size = 0;
	while (data != NULL && (count = gzread(file, data + *size, (unsigned)(room - *size))) > 0) {
		*size += (size_t)count;
		if (*size == room)
			data = realloc(data, room *= 2);
	}
	if (data == NULL || count < 0)
		errx(4, "%s: cannot be read", path);
	gzclose(file);
	return (data);
}

/* "F7.6" of "somewhere/F7.6.MOO.gz" */
static void
form_of(const char *path, char form[16])
{
	const char *name = strrchr(path, '/');

	snprintf(form, 16, "%s", name == NULL ? path : name + 1);
	if (strstr(form, ".MOO") != NULL)
		*strstr(form, ".MOO") = '\0';
}

/* The flags that FORM defines, from the metadata.json beside the file. */
static uint16_t
defined_flags(const char *path, const char *form)
{
	json_t *metadata, *opcode, *mask;
	const char *slash = strrchr(path, '/');
	uint16_t flags = REAL_FLAGS;
	char name[4096], key[3];

	snprintf(name, sizeof(name), "%.*smetadata.json",
	    slash == NULL ? 0 : (int)(slash + 1 - path), path);
	metadata = json_load_file(name, 0, NULL);
	snprintf(key, sizeof(key), "%.2s", form);
	opcode = json_object_get(json_object_get(metadata, "opcodes"), key);
	if (form[2] == '.')
		opcode = json_object_get(json_object_get(opcode, "reg"), form + 3);
	mask = json_object_get(opcode, "flags-mask");
	if (json_is_integer(mask))
		flags &= (uint16_t)json_integer_value(mask);
	json_decref(metadata);
	return (flags);
}

/*
 * Running.
 */

static void
machine_init(int model)
{
	const struct cpu_config config = {.model = (enum cpu_model)model};
	int fd = memfd_create("moo", MFD_CLOEXEC);

	if (fd < 0 || memory_init(&machine.memory, fd, RAM_SIZE, 0, true) != 0)
		err(4, "no memory for the guest");
	memory_set_a20(&machine.memory, true);
	machine.cpu = cpu_create(&machine.state, &machine.memory, &machine.bus, &config);
	if (machine.cpu == NULL)
		errx(4, "no memory for the CPU");
}

static void
load_state(const struct moo_state *s)
{
	struct vcpu_state *v = &machine.state;

	vcpu_state_reset(v, 0);
	v->sregs.cr0 = 0x10;
	v->sregs.idtr = (struct x86_table){.base = 0, .limit = 0x3ff};
	for (unsigned i = 0; i < sizeof(gprs) / sizeof(gprs[0]); i++)
		v->gpr.reg[gprs[i].gpr] = s->reg[gprs[i].reg];
	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		v->sregs.seg[segments[i].seg] =
		    segment_real(s->reg[segments[i].reg], segments[i].reg == CS ? 0x9b : 0x93);
	v->gpr.rip = s->reg[IP];
	v->gpr.rflags = (s->reg[FLAGS] & REAL_FLAGS) | 2;
	for (unsigned i = 0; i < s->nram; i++)
		memory_put8(&machine.memory, s->ram[i].address, s->ram[i].value);
	cpu_push(machine.cpu, VCPU_ALL);
}

static void
clear_ram(const struct moo_state *s)
{
	for (unsigned i = 0; i < s->nram; i++)
		memory_put8(&machine.memory, s->ram[i].address, 0);
}

static void
save_regs(uint16_t reg[REG_COUNT])
{
	const struct vcpu_state *v = &machine.state;

	cpu_pull(machine.cpu);
	for (unsigned i = 0; i < sizeof(gprs) / sizeof(gprs[0]); i++)
		reg[gprs[i].reg] = (uint16_t)v->gpr.reg[gprs[i].gpr];
	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		reg[segments[i].reg] = v->sregs.seg[segments[i].seg].selector;
	reg[IP] = (uint16_t)v->gpr.rip;
	reg[FLAGS] = (uint16_t)v->gpr.rflags;
}

/* A register after the test. */
static uint16_t
final_reg(unsigned i)
{
	const struct moo_state *s = test.after.has[i] ? &test.after : &test.before;

	return (s->reg[i]);
}

/* Of a byte in memory, the bits that are compared: a pushed image of flags has undefined ones. */
static uint8_t
ram_mask(uint32_t address, uint16_t flags)
{
	/* The file has the bus cycle's address, which is even: the image is above SP's CS and IP. */
	uint32_t at = ((uint32_t)final_reg(SS) * 16 + (uint16_t)(final_reg(SP) + 4)) & 0xffffff;

	if (test.exception && address == at)
		return ((uint8_t)flags);
	if (test.exception && address == at + 1)
		return ((uint8_t)(flags >> 8));
	return (0xff);
}

/* Add "what is X, expected Y" to TEXT. */
static void
differs(char *text, size_t size, const char *what, unsigned is, unsigned expected)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s %s is %x, expected %x", used == 0 ? "" : ";", what,
	    is, expected);
}

/* Compare with what the hardware left; TEXT says what differs and is empty if nothing does. */
static void
compare(uint16_t flags, char *text, size_t size)
{
	uint16_t reg[REG_COUNT];
	char what[16];

	save_regs(reg);
	for (unsigned i = 0; i < REG_COUNT; i++) {
		const struct moo_state *s = test.after.has[i] ? &test.after : &test.before;
		uint16_t mask = i == FLAGS ? flags : 0xffff;

		if ((reg[i] & mask) != (s->reg[i] & mask))
			differs(text, size, reg_names[i], reg[i] & mask, s->reg[i] & mask);
	}
	for (unsigned i = 0; i < test.after.nram; i++) {
		const struct byte_at *b = &test.after.ram[i];
		uint8_t value = memory_get8(&machine.memory, b->address);

		if (((value ^ b->value) & ram_mask(b->address, flags)) == 0)
			continue;
		snprintf(what, sizeof(what), "[%x]", b->address);
		differs(text, size, what, value, b->value);
	}
}

/* Run the test that was read; true if all is as on hardware. */
static bool
run_test(const char *form, uint16_t flags, bool show)
{
	char text[1024] = "";
	enum cpu_exit end;

	load_state(&test.before);
	end = cpu_run(machine.cpu, strstr(test.name, "rep") != NULL ? BUDGET_REP : BUDGET);
	if (end != CPU_EXIT_HLT)
		snprintf(text, sizeof(text), " ended with %d (%s), not with its HLT", (int)end,
		    end == CPU_EXIT_ERROR ? cpu_error(machine.cpu) : "see enum cpu_exit");
	else
		compare(flags, text, sizeof(text));
	clear_ram(&test.before);
	clear_ram(&test.after);
	if (text[0] != '\0' && show)
		printf("%s #%u %s:%s\n", form, test.index, test.name, text);
	return (text[0] == '\0');
}

static void
run_file(const char *path, unsigned *passed, unsigned *failed)
{
	struct reader r, data;
	unsigned good = 0, bad = 0;
	char form[16], id[5];
	uint16_t flags;
	uint8_t *file;
	size_t size;

	form_of(path, form);
	flags = defined_flags(path, form);
	file = read_file(path, &size);
	r = (struct reader){file, file + size};
	while (take_chunk(&r, id, &data)) {
		if (strcmp(id, "TEST") != 0)
			continue;
		read_test(&data);
		if (run_test(form, flags, bad < shown_max))
			good++;
		else
			bad++;
	}
	free(file);
	if (good + bad == 0)
		errx(4, "%s: no tests in it", path);
	if (bad > 0 || verbose)
		printf("%s: %u passed, %u failed\n", form, good, bad);
	*passed += good;
	*failed += bad;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"cpu", required_argument, NULL, 'c'}, {0}};
	unsigned passed = 0, failed = 0;
	int option, model = CPU_286;

	while ((option = getopt_long(argc, argv, "n:v", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			model = cpu_model_by_name(optarg);
			if (model < 0)
				errx(4, "--cpu %s: no such model", optarg);
			break;
		case 'n':
			shown_max = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return (4);
		}
	}
	if (optind == argc)
		errx(4, "usage: moo [--cpu MODEL] [-v] [-n SHOWN] FILE...");
	machine_init(model);
	for (int i = optind; i < argc; i++)
		run_file(argv[i], &passed, &failed);
	printf("%u passed, %u failed\n", passed, failed);
	return (failed != 0);
}
