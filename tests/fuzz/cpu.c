/*
 * Decode and execute, in the mode that FUZZ_MODE names at compile time. An input is a header that
 * chooses the start (registers, control registers, privilege, breakpoints, pages, processor) and
 * code. It runs twice: in one go, and instruction by instruction; what both leave must be the same,
 * since traces, links between them, lazy flags and the TLB may not be seen from inside.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"

enum mode { REAL, VM86, PROTECTED_16, PROTECTED_32, COMPATIBILITY, LONG };

#define RAM_SIZE (256u << 10)
#define PAGES (RAM_SIZE / 4096)
#define CODE 0x7c00u
#define CODE_MAX 256u
#define GDT 0x500u
#define TSS 0x800u
#define IDT 0x1000u
#define TABLES \
	0x30000u /* page tables: four pages, not mapped themselves (stale TLBs are no finding) */
#define FIRST_TABLE (TABLES / 4096)
#define STACK 0x9000u
#define BUDGET 100

enum {
	SEL_CODE32 = 0x08,
	SEL_DATA32 = 0x10,
	SEL_CODE16 = 0x18,
	SEL_DATA16 = 0x20,
	SEL_CODE64 = 0x28,
	SEL_USER_CODE32 = 0x33,
	SEL_USER_DATA = 0x3b,
	SEL_USER_CODE64 = 0x43,
	SEL_TSS = 0x48, /* 16 bytes */
	SEL_GATE = 0x58,
	SEL_LDT = 0x68,
	SEL_CONFORMING = 0x70,
	SEL_DOWN = 0x78,
	SEL_TSS2 = 0x80,
	SEL_TASK_GATE = 0x88,
	SEL_ABSENT = 0x90,
	GDT_ENTRIES = 19
};

struct header {
	uint8_t model, flags, flags2, cr0, cr4, cr4_high, privilege, registers, pages, dr7, vector,
	    options;
	uint8_t dr[4];
};

struct rig {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
	uint8_t vector;
};

/* What a run leaves. */
struct outcome {
	enum cpu_exit exit;
	uint64_t instructions;
	struct vcpu_state state;
	uint8_t ram[RAM_SIZE];
};

static int
int_ack(void *opaque)
{
	return (((struct rig *)opaque)->vector);
}

static uint64_t
descriptor(uint32_t base, uint32_t limit, uint32_t access)
{
	struct x86_segment seg = {.base = base, .limit = limit, .access = access};

	return (segment_to_descriptor(&seg));
}

static void
make_gdt(struct rig *rig, bool wide)
{
	const uint64_t flat = AR_G | AR_DB, gate = wide ? 0xec00 : 0xec01;
	uint64_t gdt[GDT_ENTRIES] = {
	    [SEL_CODE32 / 8] = descriptor(0, UINT32_MAX, 0x9b | (uint32_t)flat),
	    [SEL_DATA32 / 8] = descriptor(0, UINT32_MAX, 0x93 | (uint32_t)flat),
	    [SEL_CODE16 / 8] = descriptor(0, 0xffff, 0x9b),
	    [SEL_DATA16 / 8] = descriptor(0, 0xffff, 0x93),
	    [SEL_CODE64 / 8] = descriptor(0, UINT32_MAX, 0x9b | AR_G | AR_L),
	    [SEL_USER_CODE32 / 8] = descriptor(0, UINT32_MAX, 0xfb | (uint32_t)flat),
	    [SEL_USER_DATA / 8] = descriptor(0, UINT32_MAX, 0xf3 | (uint32_t)flat),
	    [SEL_USER_CODE64 / 8] = descriptor(0, UINT32_MAX, 0xfb | AR_G | AR_L),
	    [SEL_TSS / 8] = descriptor(TSS, 0x1ff, 0x89),
	    [SEL_GATE / 8] =
		(CODE + 0x40) | (uint64_t)(wide ? SEL_CODE64 : SEL_CODE32) << 16 | gate << 32,
	    [SEL_LDT / 8] = descriptor(GDT, 0x7f, 0x82),
	    [SEL_CONFORMING / 8] = descriptor(0, UINT32_MAX, 0x9f | (uint32_t)flat),
	    [SEL_DOWN / 8] = descriptor(0, 0xfff, 0x97 | AR_DB),
	    [SEL_TSS2 / 8] = descriptor(TSS + 0x200, 0x67, 0xe9),
	    [SEL_TASK_GATE / 8] = (uint64_t)SEL_TSS2 << 16 | 0xe500ull << 32,
	    [SEL_ABSENT / 8] = descriptor(0, UINT32_MAX, 0x13 | (uint32_t)flat),
	};

	memory_write(&rig->memory, GDT, gdt, sizeof(gdt));
}

/* Two 32-bit task states; the second one runs the code from its middle. */
static void
make_tss(struct rig *rig, bool wide)
{
	if (wide) {
		memory_put32(&rig->memory, TSS + 4, STACK); /* RSP0, IST1 */
		memory_put32(&rig->memory, TSS + 0x24, STACK + 0x800);
	} else {
		memory_put32(&rig->memory, TSS + 4, STACK);
		memory_put32(&rig->memory, TSS + 8, SEL_DATA32);
	}
	memory_put32(&rig->memory, TSS + 0x64, 0x88u << 16); /* I/O map behind a redirection map */
	memory_put32(&rig->memory, TSS + 0x21c, TABLES);
	memory_put32(&rig->memory, TSS + 0x220, CODE + 0x80);
	memory_put32(&rig->memory, TSS + 0x224, 2);
	memory_put32(&rig->memory, TSS + 0x238, STACK);
	for (unsigned i = 0; i < 6; i++)
		memory_put32(&rig->memory, TSS + 0x248 + 4 * i, i == 1 ? SEL_CODE32 : SEL_DATA32);
}

/* Handlers all over the code; a few gates of other kinds. */
static void
make_idt(struct rig *rig, enum mode mode)
{
	for (uint32_t n = 0; n < 256; n++) {
		uint32_t to = CODE + n * 37 % CODE_MAX,
			 at = IDT + n * (mode >= COMPATIBILITY ? 16 : 8);
		uint32_t type = n % 16 == 9 ? 0xef00 : n % 4 == 3 ? 0xee00 : 0x8e00;

		if (mode == REAL || mode == VM86)
			memory_put32(&rig->memory, 4 * n, to);
		if (mode == REAL)
			continue;
		memory_put32(&rig->memory, at,
		    to | (uint32_t)(mode >= COMPATIBILITY ? SEL_CODE64 : SEL_CODE32) << 16);
		memory_put32(&rig->memory, at + 4, type | (mode >= COMPATIBILITY && n % 8 == 6));
		if (mode < COMPATIBILITY && n % 32 == 31)
			memory_put32(&rig->memory, at + 4, 0xe500);
	}
}

/* An identity map, in which SEED takes rights away from some pages that hold neither code nor tables. */
static void
make_pages(struct rig *rig, unsigned seed, bool pae, bool wide)
{
	uint32_t page = 0x3000, step = pae ? 8 : 4;

	if (wide)
		memory_put32(&rig->memory, TABLES, TABLES + 0x1000 + 7);
	memory_put32(&rig->memory, TABLES + (wide ? 0x1000 : 0),
	    TABLES + (wide ? 0x2000 : 0x1000) + (pae && !wide ? 1 : 7));
	if (pae)
		memory_put32(&rig->memory, TABLES + (wide ? 0x2000 : 0x1000), TABLES + page + 7);
	else
		page = 0x1000;
	for (unsigned i = 0; i < PAGES; i++) {
		uint32_t rights = 7, at = TABLES + page + i * step;

		if (seed != 0 && i > 7) {
			seed = seed * 1103515245 + 12345;
			rights = seed >> 16 & 3 ? 7 : seed >> 18 & 7;
		}
		if (i >= FIRST_TABLE && i < FIRST_TABLE + 4)
			rights = 0;
		memory_put32(&rig->memory, at, i << 12 | rights);
		if (pae && seed != 0 && (seed >> 22 & 7) == 7)
			memory_put32(&rig->memory, at + 4, 0x80000000);
	}
}

static void
set_segment(struct rig *rig, unsigned seg, uint16_t selector)
{
	uint64_t raw;

	memory_read(&rig->memory, GDT + (selector & 0xfff8u), &raw, sizeof(raw));
	rig->state.sregs.seg[seg] = segment_from_descriptor(selector, raw);
	rig->state.sregs.seg[seg].access |= 1;
}

static void
set_segments(struct rig *rig, enum mode mode, bool user)
{
	static const uint16_t code[][2] = {
	    [PROTECTED_16] = {SEL_CODE16, SEL_CODE16},
	    [PROTECTED_32] = {SEL_CODE32, SEL_USER_CODE32},
	    [COMPATIBILITY] = {SEL_CODE32, SEL_USER_CODE32},
	    [LONG] = {SEL_CODE64, SEL_USER_CODE64},
	};
	struct vcpu_sregs *sr = &rig->state.sregs;

	if (mode == REAL || mode == VM86) {
		for (unsigned i = 0; i < SEG_COUNT; i++)
			sr->seg[i] = segment_real(0,
			    mode == VM86      ? 0xf3
				: i == SEG_CS ? 0x9b
					      : 0x93);
		return;
	}
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(rig, i, user && mode != PROTECTED_16 ? SEL_USER_DATA : SEL_DATA32);
	set_segment(rig, SEG_CS, code[mode][user]);
}

static void
set_control(struct rig *rig, const struct header *h, enum mode mode)
{
	struct vcpu_sregs *sr = &rig->state.sregs;
	bool paging = mode != REAL && (mode >= COMPATIBILITY || (h->options & 1));
	bool pae = mode >= COMPATIBILITY || (h->options & 2);

	sr->cr0 = CR0_ET | (h->cr0 & (CR0_MP | CR0_EM | CR0_TS | CR0_NE)) |
	    (h->cr0 & 1 ? CR0_WP : 0) | (h->cr0 & 0x40 ? CR0_AM : 0) | (mode != REAL ? CR0_PE : 0);
	sr->cr4 = (h->cr4 & (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE)) |
	    (h->cr4_high & 1 ? CR4_OSFXSR : 0) | (h->cr4_high & 2 ? CR4_OSXMMEXCPT : 0) |
	    (h->cr4_high & 4 ? CR4_OSXSAVE : 0) | (h->cr4_high & 8 ? CR4_UMIP : 0) |
	    (h->cr4_high & 16 ? CR4_SMEP : 0) | (h->cr4_high & 32 ? CR4_SMAP : 0) |
	    (paging && pae ? CR4_PAE : 0);
	sr->efer = mode >= COMPATIBILITY ? EFER_LME | EFER_LMA : 0;
	sr->efer |= h->options & 4 ? EFER_SCE | EFER_NXE : 0;
	if (!paging)
		return;
	make_pages(rig, h->pages, pae, mode >= COMPATIBILITY);
	sr->cr0 |= CR0_PG;
	sr->cr3 = TABLES;
}

/* Addresses that lead somewhere, small numbers, extremes. */
static uint64_t
value_of(unsigned seed)
{
	static const uint64_t values[] = {0, 1, 2, 0x20, 0x80, 0xff, CODE, CODE + 0x80, STACK,
	    STACK + 0xffe, 0xffff, 0x8000, 0x3f000, RAM_SIZE - 1, 0x7fffffff, 0x80000000,
	    UINT32_MAX, 0x100000000, 0x7fffffffffff, 0x800000000000, 0xffff800000000000, UINT64_MAX,
	    0x123456789abcdef0, 10, 0xb000, 0xafff};

	return (values[seed % (sizeof(values) / sizeof(values[0]))]);
}

static void
set_registers(struct rig *rig, const struct header *h, enum mode mode)
{
	struct vcpu_state *v = &rig->state;
	bool user = h->privilege & 1;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		v->gpr.reg[i] = value_of(h->registers + i * (1 + h->registers % 5u));
	v->gpr.reg[GPR_RSP] = STACK + 0x800;
	v->gpr.rip = CODE;
	v->gpr.rflags = 2 | (h->flags & 0xd5) | (uint64_t)(h->flags2 & 0x7f) << 8;
	if (h->options & 8)
		v->gpr.rflags |= RFLAGS_AC;
	if (mode == VM86)
		v->gpr.rflags |= RFLAGS_VM | (h->options & 0x10 ? RFLAGS_VIF : 0) |
		    (h->options & 0x20 ? RFLAGS_VIP : 0);
	for (unsigned i = 0; i < 4; i++)
		v->debug.dr[i] = value_of(h->dr[i]);
	v->debug.dr7 = h->dr7 != 0 ? 0x400 | (h->dr7 & 15) | (uint64_t)h->dr7 << 16 : 0x400;
	v->msr.star = (uint64_t)SEL_CODE32 << 32 | (uint64_t)(SEL_USER_CODE32 - 3) << 48;
	v->msr.lstar = v->msr.cstar = v->msr.sysenter_eip = CODE + 0x20;
	v->msr.sysenter_cs = SEL_CODE32;
	v->msr.sysenter_esp = STACK;
	v->sregs.gdtr = (struct x86_table){.base = GDT, .limit = GDT_ENTRIES * 8 - 1};
	v->sregs.idtr = (struct x86_table){.base = mode == REAL ? 0 : IDT,
	    .limit = mode == REAL	? 0x3ff
		: mode >= COMPATIBILITY ? 0xfff
					: 0x7ff};
	v->sregs.tr =
	    (struct x86_segment){.selector = SEL_TSS, .base = TSS, .limit = 0x1ff, .access = 0x8b};
	set_segments(rig, mode, user);
}

static bool
rig_init(struct rig *rig, const struct header *h, const uint8_t *code, size_t size)
{
	const enum mode mode = FUZZ_MODE;
	const struct cpu_config config = {
	    .model = mode >= COMPATIBILITY ? CPU_X86_64
		: mode == REAL		   ? (enum cpu_model)(h->model % (CPU_X86_64 + 1))
					   : (enum cpu_model)(CPU_386 + h->model % 5),
	    .int_ack = int_ack,
	    .int_ack_opaque = rig,
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	memset(rig, 0, sizeof(*rig));
	rig->vector = h->vector;
	if (fd < 0 || memory_init(&rig->memory, fd, RAM_SIZE, 0, true) != 0)
		return (false);
	close(fd);
	vcpu_state_reset(&rig->state, 0);
	make_gdt(rig, mode >= COMPATIBILITY);
	make_tss(rig, mode >= COMPATIBILITY);
	make_idt(rig, mode);
	memory_write(&rig->memory, CODE, code, size < CODE_MAX ? size : CODE_MAX);
	set_registers(rig, h, mode);
	set_control(rig, h, mode);
	rig->cpu = cpu_create(&rig->state, &rig->memory, &rig->bus, &config);
	if (rig->cpu == NULL)
		return (false);
	cpu_set_intr(rig->cpu, h->options & 0x80);
	return (true);
}

/* Run the input for BUDGET instructions and events, STEP at a time. */
static void
run(struct outcome *out, const uint8_t *data, size_t size, uint64_t budget, uint64_t step)
{
	struct header h;
	struct rig rig;

	memcpy(&h, data, sizeof(h));
	FUZZ_CHECK(rig_init(&rig, &h, data + sizeof(h), size - sizeof(h)));
	for (uint64_t done = 0; done < budget; done += step) {
		out->exit = cpu_run(rig.cpu, step);
		if (out->exit != CPU_EXIT_BUDGET)
			break;
	}
	cpu_pull(rig.cpu);
	FUZZ_CHECK(out->exit != CPU_EXIT_NONE && out->exit != CPU_EXIT_ERROR);
	FUZZ_CHECK(rig.state.gpr.zero == 0 && (rig.state.gpr.rflags & 2));
	out->instructions = cpu_instructions(rig.cpu);
	FUZZ_CHECK(out->instructions <= budget);
	out->state = rig.state;
	memory_read(&rig.memory, 0, out->ram, sizeof(out->ram));
	cpu_destroy(rig.cpu);
	memory_fini(&rig.memory);
}

/* What the two runs have left, part by part. */
static const struct part {
	const char *name;
	size_t offset, size;
} parts[] = {
#define PART(field) \
	{ \
#field, offsetof(struct outcome, field), sizeof(((struct outcome *)0)->field) \
	}
    PART(exit),
    PART(instructions),
    PART(state.gpr),
    PART(state.sregs),
    PART(state.fpu),
    PART(state.events),
    PART(state.debug),
    PART(ram),
#undef PART
};

/* The part in which A and B differ, NULL if in none. */
static const struct part *
difference(const struct outcome *a, const struct outcome *b)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (memcmp((const char *)a + parts[i].offset, (const char *)b + parts[i].offset,
			parts[i].size) != 0)
			return (&parts[i]);
	return (NULL);
}

/* Say from where on the runs differ, and stop. */
static void
report(const uint8_t *data, size_t size)
{
	static struct outcome whole, steps;
	uint64_t rip = 0;

	for (uint64_t budget = 1; budget <= BUDGET; budget++) {
		const struct part *part;

		run(&whole, data, size, budget, budget);
		run(&steps, data, size, budget, 1);
		part = difference(&whole, &steps);
		if (part != NULL) {
			fprintf(stderr,
			    "event %llu, RIP %#llx: %s differs, exits %d and %d, RIP then %#llx "
			    "and %#llx\n",
			    (unsigned long long)budget, (unsigned long long)rip, part->name,
			    (int)whole.exit, (int)steps.exit,
			    (unsigned long long)whole.state.gpr.rip,
			    (unsigned long long)steps.state.gpr.rip);
			abort();
		}
		rip = steps.state.gpr.rip;
	}
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, steps;

	if (size <= sizeof(struct header))
		return (0);
	run(&whole, data, size, BUDGET, BUDGET);
	run(&steps, data, size, BUDGET, 1);
	if (difference(&whole, &steps) != NULL)
		report(data, size);
	return (0);
}
