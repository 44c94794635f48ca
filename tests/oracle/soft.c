/*
 * Running code on src/cpu: a memory whose page tables show at BASE what the host has there, and in
 * the upper half what a kernel needs to be told of a fault: descriptor tables, a stack, and for
 * each vector a handler that halts. What the fault pushed is on that stack.
 */
#include <sys/mman.h>

#include <err.h>
#include <string.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"
#include "oracle.h"

#define RAM_SIZE (1u << 20)
#define TABLES 0x1000u /* for user and kernel the four levels, a page each; the first in common */
#define CODE_PA 0x10000u
#define DATA_PA 0x20000u
#define READ_ONLY_PA 0x30000u
#define KERNEL_PA 0x40000u
#define BUDGET 100000

/* The kernel's pages. */
#define KERNEL 0xffffffff80000000u
#define GDT 0u
#define TSS 0x100u
#define LDT 0x200u
#define IDT 0x1000u
#define HANDLERS 0x2000u
#define HANDLER_SIZE 16u
#define STACK_TOP 0x4000u
#define KERNEL_SIZE 0x4000u

#define SEL_KERNEL_CODE 0x10
#define SEL_TSS 0x40
#define SEL_LDTR 0x50
#define TSS_LIMIT 103

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

static struct {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct vcpu_sregs sregs[WIDTH_COUNT];
	struct cpu *cpu;
} soft;

/* --- memory ------------------------------------------------------------------------------------ */

static void
put64(uint64_t pa, uint64_t v)
{
	memory_write(&soft.memory, pa, &v, sizeof(v));
}

/* COUNT pages at linear address LIN, whose tables of levels 1 to 3 begin at TABLE. */
static void
map_pages(unsigned table, uint64_t lin, uint64_t pa, unsigned count, uint64_t rights)
{
	unsigned parent = TABLES;

	for (unsigned level = 0; level < 3; level++) {
		unsigned child = table + level * PAGE;

		put64(parent + (lin >> (39 - 9 * level) & 511) * 8,
		    child | PTE_P | PTE_W | (rights & PTE_U));
		parent = child;
	}
	for (unsigned i = 0; i < count; i++)
		put64(parent + ((lin >> 12 & 511) + i) * 8, (pa + i * PAGE) | PTE_P | rights);
}

static void
tables_init(void)
{
	const unsigned user = TABLES + PAGE, kernel = TABLES + 4 * PAGE;

	map_pages(user, BASE + CODE, CODE_PA, 2, PTE_U);
	map_pages(user, BASE + DATA, DATA_PA, 2, PTE_U | PTE_W | PTE_NX);
	map_pages(user, BASE + READ_ONLY, READ_ONLY_PA, 1, PTE_U | PTE_NX);
	map_pages(kernel, KERNEL, KERNEL_PA, KERNEL_SIZE / PAGE, PTE_W);
}

/* --- descriptors --------------------------------------------------------------------------------- */

/* A descriptor of 16 bytes for a system segment (SDM vol. 3A, figure 8-4). */
static void
put_system(unsigned selector, uint64_t base, uint32_t limit, uint32_t type)
{
	const struct x86_segment seg = {.base = base, .limit = limit, .access = type | AR_P};

	put64(KERNEL_PA + GDT + selector, segment_to_descriptor(&seg));
	put64(KERNEL_PA + GDT + selector + 8, base >> 32);
}

/* What user mode sees of the host's GDT, and a kernel's segment where it sees nothing. */
static void
gdt_init(void)
{
	static const struct x86_segment hidden = {
	    .limit = UINT32_MAX, .access = 0x93 | AR_G | AR_DB};

	for (unsigned i = 1; i < GDT_COUNT; i++) {
		struct x86_segment seg = hidden;
		uint32_t access, limit;

		if (native_descriptor((uint16_t)(i << 3 | 3), &access, &limit))
			seg = (struct x86_segment){.limit = limit, .access = access >> 8 & 0xf0ff};
		put64(KERNEL_PA + GDT + (uint64_t)i * 8, segment_to_descriptor(&seg));
	}
	put64(KERNEL_PA + GDT + SEL_KERNEL_CODE, 0x00af9b000000ffff);
	put_system(SEL_TSS, KERNEL + TSS, TSS_LIMIT, SYS_TSS32_BUSY);
	put_system(SEL_LDTR, KERNEL + LDT, LDT_COUNT * 8 - 1, SYS_LDT);
	for (unsigned i = 0; i < LDT_COUNT; i++)
		put64(KERNEL_PA + LDT + (uint64_t)i * 8,
		    ldt[i].access != 0 ? segment_to_descriptor(&ldt[i]) : 0);
	put64(KERNEL_PA + TSS + 4, KERNEL + STACK_TOP);
	put64(KERNEL_PA + TSS + 102, 104); /* no I/O bitmap */
}

/* A gate for each vector; INT3 and INTO may be used by user mode, as Linux has it. */
static void
idt_init(void)
{
	static const uint8_t filler[PAGE] = {[0 ... PAGE - 1] = FILLER};

	memory_write(&soft.memory, KERNEL_PA + HANDLERS, filler, PAGE);
	for (unsigned i = 0; i < 256; i++) {
		uint64_t to = KERNEL + HANDLERS + i * HANDLER_SIZE;
		uint64_t access = i == 3 || i == 4 ? 0xee : 0x8e;

		put64(KERNEL_PA + IDT + i * 16ull,
		    (to & 0xffff) | (uint64_t)SEL_KERNEL_CODE << 16 | access << 40 |
			(to >> 16 & 0xffff) << 48);
		put64(KERNEL_PA + IDT + i * 16ull + 8, to >> 32);
	}
}

/* --- state ----------------------------------------------------------------------------------------- */

static struct x86_segment
cached(uint16_t selector)
{
	uint64_t descriptor = 0;

	if (SEL_IS_NULL(selector))
		return ((struct x86_segment){.selector = selector, .access = AR_UNUSABLE});
	memory_read(&soft.memory, KERNEL_PA + (selector & SEL_TI ? LDT : GDT) + SEL_INDEX(selector),
	    &descriptor, 8);
	return (segment_from_descriptor(selector, descriptor));
}

/* The state that all sequences of WIDTH begin with. */
static void
width_init(enum width width)
{
	struct vcpu_state *v = &soft.state;
	struct vcpu_sregs *s = &v->sregs;

	vcpu_state_reset(v, 0);
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr3 = TABLES;
	s->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->idtr = (struct x86_table){.base = KERNEL + IDT, .limit = 0xfff};
	s->gdtr = (struct x86_table){.base = KERNEL + GDT, .limit = GDT_COUNT * 8 - 1};
	s->ldtr = (struct x86_segment){.selector = SEL_LDTR,
	    .base = KERNEL + LDT,
	    .limit = LDT_COUNT * 8 - 1,
	    .access = AR_P | SYS_LDT};
	if (!native_has(WIDTH_16))
		s->ldtr.access = AR_UNUSABLE;
	s->tr = (struct x86_segment){.selector = SEL_TSS,
	    .base = KERNEL + TSS,
	    .limit = TSS_LIMIT,
	    .access = AR_P | SYS_TSS32_BUSY};
	s->seg[SEG_CS] = cached(code_selectors[width]);
	soft.sregs[width] = *s;
}

void
soft_init(void)
{
	static const struct cpu_config config = {.model = CPU_X86_64};
	static uint8_t filler[CODE_SIZE];
	int fd = memfd_create("oracle-soft", MFD_CLOEXEC);

	if (fd < 0 || memory_init(&soft.memory, fd, RAM_SIZE, 0, true) != 0)
		err(4, "no memory for the guest");
	memory_set_a20(&soft.memory, true);
	tables_init();
	gdt_init();
	idt_init();
	memset(filler, FILLER, sizeof(filler));
	memory_write(&soft.memory, CODE_PA, filler, sizeof(filler));
	for (enum width w = WIDTH_64; w < WIDTH_COUNT; w++)
		width_init(w);
	soft.state.fpu.xcr0 = 3;
	soft.cpu = cpu_create(&soft.state, &soft.memory, &soft.bus, &config);
	if (soft.cpu == NULL)
		errx(4, "no memory for the CPU");
}

const uint8_t *
soft_data(void)
{
	return (soft.memory.base + DATA_PA);
}

static void
set_state(const struct sequence *q)
{
	const struct registers *r = &q->start;
	struct vcpu_state *v = &soft.state;

	v->sregs = soft.sregs[q->width];
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS)
			v->sregs.seg[i] = cached(r->seg[i]);
	if (r->seg[SEG_FS] == 0 && r->seg[SEG_GS] == 0) {
		v->sregs.seg[SEG_FS].base = r->base[0];
		v->sregs.seg[SEG_GS].base = r->base[1];
	}
	memcpy(v->gpr.reg, r->reg, sizeof(v->gpr.reg));
	v->gpr.rip = r->rip;
	v->gpr.rflags = r->flags;
	v->events = (struct vcpu_events){0};
	v->debug.dr6 = 0xffff0ff0;
	memcpy(v->fpu.fxsave, &r->fpu, sizeof(r->fpu));
	cpu_push(soft.cpu, VCPU_ALL);
}

/*
 * What the handler finds: the fault's frame (SDM vol. 3A, figure 6-9) and the rest as it was. A #DB
 * that waited through POP SS and INT3 comes before the handler's first instruction; Linux takes it
 * there and goes on.
 */
static void
take_state(struct outcome *out)
{
	const struct vcpu_state *v = &soft.state;
	struct registers *r = &out->regs;
	uint64_t frame[6], handler = v->gpr.rip, top = KERNEL + STACK_TOP - sizeof(frame);

	if (v->gpr.reg[GPR_RSP] < top)
		memory_read(&soft.memory, KERNEL_PA + v->gpr.reg[GPR_RSP] - KERNEL, &handler, 8);
	out->vector = (unsigned)((handler - KERNEL - HANDLERS) / HANDLER_SIZE);
	memory_read(&soft.memory, KERNEL_PA + top - KERNEL, frame, sizeof(frame));
	if (v->gpr.reg[GPR_RSP] == top)
		out->error = (uint32_t)frame[0];
	r->rip = frame[1];
	r->seg[SEG_CS] = (uint16_t)frame[2];
	r->flags = frame[3];
	r->reg[GPR_RSP] = frame[4];
	r->seg[SEG_SS] = (uint16_t)frame[5];
}

void
soft_run(const struct sequence *q, struct outcome *out)
{
	uint64_t offset = q->at - base_of(q->width) - CODE;
	size_t size = code_size(q, offset);
	static const uint8_t filler[CODE_MAX] = {[0 ... CODE_MAX - 1] = FILLER};
	struct vcpu_state *v = &soft.state;
	struct registers *r = &out->regs;
	enum cpu_exit end;

	memory_write(&soft.memory, CODE_PA + offset, q->code, size);
	memory_write(&soft.memory, DATA_PA, q->data, DATA_SIZE);
	set_state(q);
	end = cpu_run(soft.cpu, BUDGET);
	cpu_pull(soft.cpu);
	memcpy(r->reg, v->gpr.reg, sizeof(r->reg));
	memcpy(&r->fpu, v->fpu.fxsave, sizeof(r->fpu));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = v->sregs.seg[i].selector;
	r->base[0] = v->sregs.seg[SEG_FS].base;
	r->base[1] = v->sregs.seg[SEG_GS].base;
	r->rip = v->gpr.rip;
	r->flags = v->gpr.rflags;
	out->vector = VECTOR_NONE;
	out->error = 0;
	out->cr2 = v->sregs.cr2;
	if (end == CPU_EXIT_HLT)
		take_state(out);
	memory_write(&soft.memory, CODE_PA + offset, filler, size);
}
