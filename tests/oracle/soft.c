/* Running code on src/cpu: a memory whose page tables show at BASE what the host has there. */
#include <sys/mman.h>

#include <err.h>
#include <string.h>

#include "arch/vcpu_state.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "cpu/cpu.h"
#include "oracle.h"

#define RAM_SIZE (1u << 20)
#define TABLES 0x1000u /* the four levels, a page each */
#define CODE_PA 0x10000u
#define DATA_PA 0x20000u
#define READ_ONLY_PA 0x30000u
#define BUDGET 100000

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

static struct {
	struct memory memory;
	struct bus bus;
	struct vcpu_state state;
	struct cpu *cpu;
	enum width width; /* that the state is set up for */
} soft;

static void
put_entry(unsigned level, unsigned index, uint64_t entry)
{
	memory_write(&soft.memory, TABLES + level * PAGE + index * 8, &entry, sizeof(entry));
}

static void
map_pages(unsigned offset, uint64_t pa, unsigned count, uint64_t rights)
{
	for (unsigned i = 0; i < count; i++)
		put_entry(3, offset / PAGE + i, (pa + i * PAGE) | PTE_P | PTE_U | rights);
}

static void
tables_init(void)
{
	const unsigned index[3] = {0, BASE >> 30, BASE >> 21 & 511};

	for (unsigned level = 0; level < 3; level++)
		put_entry(
		    level, index[level], (TABLES + (level + 1) * PAGE) | PTE_P | PTE_W | PTE_U);
	map_pages(CODE, CODE_PA, 2, 0);
	map_pages(DATA, DATA_PA, 2, PTE_W | PTE_NX);
	map_pages(READ_ONLY, READ_ONLY_PA, 1, PTE_NX);
}

/* The state that all sequences of WIDTH begin with. */
static void
width_init(enum width width)
{
	struct vcpu_state *v = &soft.state;
	const struct selectors *sel = &selectors[width];
	struct x86_segment code = {
	    .selector = sel->code, .limit = UINT32_MAX, .access = 0xfb | AR_G};
	struct x86_segment data = {
	    .selector = sel->data, .limit = UINT32_MAX, .access = 0xf3 | AR_G | AR_DB};

	if (width == WIDTH_16) {
		code.base = data.base = BASE;
		code.limit = data.limit = 0xffff;
		code.access = 0xfb;
		data.access = 0xf3;
	} else
		code.access |= width == WIDTH_64 ? AR_L : AR_DB;
	vcpu_state_reset(v, 0);
	v->sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	v->sregs.cr3 = TABLES;
	v->sregs.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	v->sregs.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	v->sregs.idtr = (struct x86_table){0}; /* any exception ends the run */
	v->sregs.gdtr = (struct x86_table){0};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		v->sregs.seg[i] = data;
	v->sregs.seg[SEG_CS] = code;
	v->sregs.seg[SEG_FS] = (struct x86_segment){.access = AR_UNUSABLE};
	v->sregs.seg[SEG_GS] = (struct x86_segment){.access = AR_UNUSABLE};
	soft.width = width;
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
	memset(filler, FILLER, sizeof(filler));
	memory_write(&soft.memory, CODE_PA, filler, sizeof(filler));
	soft.width = WIDTH_COUNT;
	soft.cpu = cpu_create(&soft.state, &soft.memory, &soft.bus, &config);
	if (soft.cpu == NULL)
		errx(4, "no memory for the CPU");
}

const uint8_t *
soft_data(void)
{
	return (soft.memory.base + DATA_PA);
}

/* The fault that ended the run: behind it come those of its own delivery. */
static void
find_fault(struct outcome *out)
{
	struct cpu_fault faults[CPU_FAULT_RING];
	unsigned n = cpu_faults(soft.cpu, faults);

	while (n > 0 &&
	    (faults[n - 1].cause == CAUSE_IDT_LIMIT || faults[n - 1].cause == CAUSE_DOUBLE))
		n--;
	if (n == 0)
		return;
	out->vector = faults[n - 1].vector;
	out->error = faults[n - 1].has_error ? faults[n - 1].error : 0;
	out->cr2 = soft.state.sregs.cr2;
}

void
soft_run(const struct sequence *q, struct outcome *out)
{
	uint64_t at = CODE_PA + q->at - base_of(q->width) - CODE;
	static const uint8_t filler[SEQUENCE_MAX * 15] = {[0 ... SEQUENCE_MAX * 15 - 1] = FILLER};
	struct vcpu_state *v = &soft.state;
	enum cpu_exit end;

	if (soft.width != q->width) {
		width_init(q->width);
		cpu_push(soft.cpu, VCPU_ALL);
	}
	memory_write(&soft.memory, at, q->code, q->size);
	memory_write(&soft.memory, DATA_PA, q->data, DATA_SIZE);
	memcpy(v->gpr.reg, q->start.reg, sizeof(v->gpr.reg));
	v->gpr.rip = q->start.rip;
	v->gpr.rflags = q->start.flags;
	v->events = (struct vcpu_events){0};
	cpu_push(soft.cpu, VCPU_GPR | VCPU_EVENTS);
	end = cpu_run(soft.cpu, BUDGET);
	cpu_pull(soft.cpu);
	memcpy(out->regs.reg, v->gpr.reg, sizeof(out->regs.reg));
	out->regs.rip = v->gpr.rip;
	out->regs.flags = v->gpr.rflags;
	out->vector = VECTOR_NONE;
	out->error = 0;
	out->cr2 = 0;
	if (end == CPU_EXIT_TRIPLE_FAULT)
		find_fault(out);
	memory_write(&soft.memory, at, filler, q->size);
}
