/*
 * Runs single-instruction tests captured from hardware (the SingleStepTests' MOO format) on the
 * built-in CPU in real mode.
 *
 *	moo [--cpu MODEL] [--all-flags] [-v] [-n SHOWN] FILE...
 *
 * FILE is FORM.MOO or FORM.MOO.gz, where FORM is an opcode and perhaps the reg field behind it
 * ("F7.6"). A metadata.json beside it says which flags each form leaves undefined: those are not
 * compared, unless --all-flags is given. The failures of each form are shown, SHOWN of them in
 * detail; the last line is `N passed, N failed`. What is left out, and why, is in left_out.c.
 *
 * Captures of an 8086 and its kin are of one instruction each. Those of later parts have a HLT
 * behind the instruction, or where it jumps to: such a test runs until the HLT.
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

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

#include "file.h"
#include "left_out.h"

#define RAM_SIZE (16u << 20)
#define REASONS_MAX 32
#define BUDGET 200
#define BUDGET_REP 70000 /* REP counts each time round */

static const char *const reg_names[REG_COUNT] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds", "es",
    "sp", "bp", "si", "di", "ip", "flags", "fs", "gs", "cr0", "cr3", "dr6", "dr7"};

/* Where the registers are in the vCPU's state. */
static const struct {
	uint8_t reg, gpr;
} gprs[] = {{REG_AX, GPR_RAX}, {REG_BX, GPR_RBX}, {REG_CX, GPR_RCX}, {REG_DX, GPR_RDX},
    {REG_SP, GPR_RSP}, {REG_BP, GPR_RBP}, {REG_SI, GPR_RSI}, {REG_DI, GPR_RDI}};
static const struct {
	uint8_t reg, seg;
} segments[] = {{REG_CS, SEG_CS}, {REG_SS, SEG_SS}, {REG_DS, SEG_DS}, {REG_ES, SEG_ES},
    {REG_FS, SEG_FS}, {REG_GS, SEG_GS}};

/* What a capture of a part is like, by the CPU that its file names. */
struct part {
	char cpu[5];
	bool halts; /* a HLT follows the instruction */
	bool before_386;
	uint32_t flags;	       /* those that can be set in real mode */
	uint32_t registers;    /* their bits */
	uint32_t address_mask; /* of its address pins that were captured */
};

static const struct part parts[] = {
    {"8086", false, true, 0x0fff, 0xffff, 0xfffff}, {"8088", false, true, 0x0fff, 0xffff, 0xfffff},
    {"V20 ", false, true, 0x0fff, 0xffff, 0xfffff}, {"V30 ", false, true, 0x0fff, 0xffff, 0xfffff},
    {"386 ", true, false, 0x37fd7, UINT32_MAX, 0xffffff},
    {"", true, true, 0x0fff, 0xffff, 0xffffff}, /* all others, as a 286 */
};

struct machine {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
};

/* What is asked for on the command line. */
struct options {
	int model;
	bool all_flags, verbose;
	unsigned shown_max;
};

/* A file's tests on their way. */
struct run {
	const struct options *options;
	struct machine *machine;
	const struct part *part;
	char form[16];
	uint32_t flags; /* those that are compared */
	unsigned passed, failed;
	unsigned left_out[REASONS_MAX]; /* of all files */
};

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
static uint32_t
defined_flags(const char *path, const char *form)
{
	json_t *metadata, *opcode, *mask;
	const char *slash = strrchr(path, '/');
	uint32_t flags = UINT32_MAX;
	char name[4096], key[16];

	snprintf(name, sizeof(name), "%.*smetadata.json",
	    slash == NULL ? 0 : (int)(slash + 1 - path), path);
	metadata = json_load_file(name, 0, NULL);
	/* Operand and address size prefixes are part of a 386's forms. */
	while (strlen(form) > 3 && (strncmp(form, "66", 2) == 0 || strncmp(form, "67", 2) == 0))
		form += 2;
	snprintf(key, sizeof(key), "%.*s", (int)strcspn(form, "."), form);
	opcode = json_object_get(json_object_get(metadata, "opcodes"), key);
	if (strchr(form, '.') != NULL)
		opcode = json_object_get(json_object_get(opcode, "reg"), strchr(form, '.') + 1);
	mask = json_object_get(opcode, "flags-mask");
	if (json_is_integer(mask))
		flags = (uint32_t)json_integer_value(mask);
	json_decref(metadata);
	return (flags);
}

static const struct part *
part_of(const char *cpu)
{
	const struct part *part = parts;

	while (part->cpu[0] != '\0' && strcmp(part->cpu, cpu) != 0)
		part++;
	return (part);
}

static void
machine_init(struct machine *m, int model)
{
	const struct cpu_config config = {.model = (enum cpu_model)model};
	int fd = memfd_create("moo", MFD_CLOEXEC);

	if (fd < 0 || memory_init(&m->memory, fd, RAM_SIZE, 0, true) != 0)
		err(4, "no memory for the guest");
	memory_set_a20(&m->memory, true);
	m->cpu = cpu_create(&m->state, &m->memory, &m->bus, &config);
	if (m->cpu == NULL)
		errx(4, "no memory for the CPU");
}

static void
load_state(const struct run *r, const struct moo_state *s)
{
	struct vcpu_state *v = &r->machine->state;

	vcpu_state_reset(v, 0);
	v->sregs.cr0 = 0x10;
	v->sregs.idtr = (struct x86_table){.base = 0, .limit = 0x3ff};
	for (unsigned i = 0; i < sizeof(gprs) / sizeof(gprs[0]); i++)
		v->gpr.reg[gprs[i].gpr] = s->reg[gprs[i].reg];
	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		if (s->has[segments[i].reg])
			v->sregs.seg[segments[i].seg] =
			    segment_real((uint16_t)s->reg[segments[i].reg],
				segments[i].reg == REG_CS ? 0x9b : 0x93);
	v->gpr.rip = s->reg[REG_IP];
	v->gpr.rflags = (s->reg[REG_FLAGS] & r->part->flags) | 2;
	for (unsigned i = 0; i < s->nram; i++)
		memory_put8(&r->machine->memory, s->ram[i].address, s->ram[i].value);
	cpu_push(r->machine->cpu, VCPU_ALL);
}

static void
clear_ram(const struct run *r, const struct moo_state *s)
{
	for (unsigned i = 0; i < s->nram; i++)
		memory_put8(&r->machine->memory, s->ram[i].address, 0);
}

static void
save_regs(const struct run *r, uint32_t reg[REG_COUNT])
{
	const struct vcpu_state *v = &r->machine->state;

	cpu_pull(r->machine->cpu);
	for (unsigned i = 0; i < sizeof(gprs) / sizeof(gprs[0]); i++)
		reg[gprs[i].reg] = (uint32_t)v->gpr.reg[gprs[i].gpr];
	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		reg[segments[i].reg] = v->sregs.seg[segments[i].seg].selector;
	reg[REG_IP] = (uint32_t)v->gpr.rip;
	reg[REG_FLAGS] = (uint32_t)v->gpr.rflags;
	reg[REG_CR0] = (uint32_t)v->sregs.cr0;
	reg[REG_CR3] = (uint32_t)v->sregs.cr3;
	reg[REG_DR6] = (uint32_t)v->debug.dr6;
	reg[REG_DR7] = (uint32_t)v->debug.dr7;
}

/* A register after the test. */
static uint32_t
final_reg(const struct moo_test *t, unsigned i)
{
	return (t->after.has[i] ? t->after.reg[i] : t->before.reg[i]);
}

/* Did the instruction end in an exception? Captures of an 8086 do not say so. */
static bool
was_exception(const struct run *r, const struct moo_test *t)
{
	if (r->part->halts)
		return (t->exception);
	return (((t->before.reg[REG_SP] - final_reg(t, REG_SP)) & 0xffff) == 6);
}

/* Of a byte in memory, the bits that are compared: a pushed image of flags has undefined ones. */
static uint8_t
ram_mask(const struct run *r, const struct moo_test *t, uint32_t address)
{
	uint32_t base = final_reg(t, REG_SS) * 16, at = final_reg(t, REG_SP) + 4;

	if (!was_exception(r, t))
		return (0xff);
	/* The exception's address in the file is the bus cycle's, which may be one off. */
	if (address == ((base + (at & 0xffff)) & r->part->address_mask))
		return ((uint8_t)r->flags);
	if (address == ((base + ((at + 1) & 0xffff)) & r->part->address_mask))
		return ((uint8_t)(r->flags >> 8));
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
compare(const struct run *r, const struct moo_test *t, struct outcome *o, char *text, size_t size)
{
	uint32_t reg[REG_COUNT];
	char what[16];

	save_regs(r, reg);
	for (unsigned i = 0; i < REG_COUNT; i++) {
		uint32_t expected = final_reg(t, i);
		uint32_t mask = i == REG_FLAGS ? r->flags & r->part->flags : r->part->registers;

		if (!t->before.has[i] || ((reg[i] ^ expected) & mask) == 0)
			continue;
		differs(text, size, reg_names[i], reg[i] & mask, expected & mask);
		o->regs |= 1u << i;
		if (i == REG_FLAGS)
			o->flags = (reg[i] ^ expected) & mask;
	}
	for (unsigned i = 0; i < t->after.nram; i++) {
		const struct moo_byte *b = &t->after.ram[i];
		uint8_t value = memory_get8(&r->machine->memory, b->address);

		if (((value ^ b->value) & ram_mask(r, t, b->address)) == 0)
			continue;
		snprintf(what, sizeof(what), "[%x]", b->address);
		differs(text, size, what, value, b->value);
	}
}

/* Run one instruction, all of its repetitions, to its end. */
static enum cpu_exit
run_one(const struct run *r, bool repeats)
{
	const struct vcpu_state *v = &r->machine->state;
	uint64_t rip = v->gpr.rip;
	unsigned rounds = 0;
	enum cpu_exit end;

	do
		end = cpu_run(r->machine->cpu, 1);
	while (repeats && end == CPU_EXIT_BUDGET && v->gpr.rip == rip && ++rounds < BUDGET_REP);
	return (end);
}

/* The exception that the instruction of T raises, or -1: it is run once more, alone. */
static int
raised(const struct run *r, const struct moo_test *t)
{
	uint64_t before = cpu_instructions(r->machine->cpu);
	struct vcpu_history history;

	clear_ram(r, &t->after);
	load_state(r, &t->before);
	run_one(r, strstr(t->name, "rep") != NULL);
	cpu_history(r->machine->cpu, &history);
	for (unsigned i = 0; i < history.nfaults; i++) {
		const struct cpu_fault *f = &history.faults[i];

		if (f->count >= before && f->rip == t->before.reg[REG_IP] &&
		    f->cs == t->before.reg[REG_CS])
			return (f->vector);
	}
	return (-1);
}

/* Run test T; in O and TEXT what differs from hardware: TEXT is empty if nothing does. */
static void
run_test(const struct run *r, const struct moo_test *t, struct outcome *o, char *text, size_t size)
{
	bool repeats = strstr(t->name, "rep") != NULL;
	enum cpu_exit end, good;

	load_state(r, &t->before);
	good = r->part->halts ? CPU_EXIT_HLT : CPU_EXIT_BUDGET;
	if (r->part->halts)
		end = cpu_run(r->machine->cpu, repeats ? BUDGET_REP : BUDGET);
	else
		end = run_one(r, repeats);
	o->ended = end == good;
	if (o->ended)
		compare(r, t, o, text, size);
	else
		snprintf(text, size, " ended with %d (%s)", (int)end,
		    end == CPU_EXIT_ERROR ? cpu_error(r->machine->cpu) : "see enum cpu_exit");
	if (text[0] != '\0')
		o->raised = raised(r, t);
	clear_ram(r, &t->before);
	clear_ram(r, &t->after);
}

/* Run test T and count it. */
static void
judge(struct run *r, const struct moo_test *t)
{
	bool from_386 = r->options->model >= CPU_386 && r->part->before_386;
	struct outcome o = {.raised = -1};
	char text[1024] = "";
	int reason;

	run_test(r, t, &o, text, sizeof(text));
	if (text[0] == '\0') {
		r->passed++;
		return;
	}
	reason = left_out(t, &o, from_386);
	if (reason >= 0) {
		r->left_out[reason]++;
		return;
	}
	if (r->failed++ >= r->options->shown_max)
		return;
	printf("%s #%u %s:%s", r->form, t->index, t->name, text);
	if (o.raised >= 0)
		printf(" (exception %d)", o.raised);
	putchar('\n');
}

static void
run_file(struct run *r, const char *path)
{
	static struct moo_test test;
	struct moo_file file;

	form_of(path, r->form);
	r->flags = r->options->all_flags ? UINT32_MAX : defined_flags(path, r->form);
	r->passed = r->failed = 0;
	moo_open(&file, path);
	while (moo_next(&file, &test)) {
		r->part = part_of(file.cpu);
		judge(r, &test);
	}
	moo_close(&file);
	if (file.count == 0)
		errx(4, "%s: no tests in it", path);
	if (r->failed > 0 || r->options->verbose)
		printf("%s: %u passed, %u failed\n", r->form, r->passed, r->failed);
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {{"cpu", required_argument, NULL, 'c'},
	    {"all-flags", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "n:v", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			o->all_flags = true;
			break;
		case 'c':
			o->model = cpu_model_by_name(optarg);
			if (o->model < 0)
				errx(4, "--cpu %s: no such model", optarg);
			break;
		case 'n':
			o->shown_max = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'v':
			o->verbose = true;
			break;
		default:
			exit(4);
		}
	}
	if (optind == argc)
		errx(4, "usage: moo [--cpu MODEL] [--all-flags] [-v] [-n SHOWN] FILE...");
}

int
main(int argc, char **argv)
{
	struct options options = {.model = CPU_X86_64, .shown_max = 3};
	static struct machine machine;
	struct run run = {.options = &options, .machine = &machine};
	unsigned passed = 0, failed = 0;

	parse(&options, argc, argv);
	machine_init(&machine, options.model);
	for (int i = optind; i < argc; i++) {
		run_file(&run, argv[i]);
		passed += run.passed;
		failed += run.failed;
	}
	for (unsigned i = 0; left_out_reason(i) != NULL; i++)
		if (run.left_out[i] != 0)
			printf("%u left out: %s\n", run.left_out[i], left_out_reason(i));
	printf("%u passed, %u failed\n", passed, failed);
	return (failed != 0);
}
