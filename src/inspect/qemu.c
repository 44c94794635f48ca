/* QEMU's "info registers", as its version 7.2 prints it for x86. */
#include "inspect/qemu.h"

#include <inttypes.h>
#include <string.h>

/* The image of FXSAVE, SDM vol. 1, 10.5.1. */
#define FX_FCW 0
#define FX_FSW 2
#define FX_FTW 4
#define FX_MXCSR 24
#define FX_ST 32
#define FX_XMM 160
#define FX_SLOT 16

/* System descriptors by type, in 32-bit and in long mode. */
static const char *const system_types[2][16] = {
    {"Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
	"TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
	"IntGate32", "TrapGate32"},
    {"<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
	"Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
	"TrapGate64"},
};

/* What is printed, and how wide. */
struct page {
	FILE *out;
	const struct vcpu_state *s;
	bool is_64bit;
	bool long_mode;
};

static void
print_general(const struct page *p)
{
	static const struct {
		const char *name, *name64;
		enum x86_gpr reg;
	} general[] = {
	    {"EAX", "RAX", GPR_RAX},
	    {"EBX", "RBX", GPR_RBX},
	    {"ECX", "RCX", GPR_RCX},
	    {"EDX", "RDX", GPR_RDX},
	    {"ESI", "RSI", GPR_RSI},
	    {"EDI", "RDI", GPR_RDI},
	    {"EBP", "RBP", GPR_RBP},
	    {"ESP", "RSP", GPR_RSP},
	    {NULL, "R8 ", GPR_R8},
	    {NULL, "R9 ", GPR_R9},
	    {NULL, "R10", GPR_R10},
	    {NULL, "R11", GPR_R11},
	    {NULL, "R12", GPR_R12},
	    {NULL, "R13", GPR_R13},
	    {NULL, "R14", GPR_R14},
	    {NULL, "R15", GPR_R15},
	};

	for (unsigned i = 0; i < (p->is_64bit ? 16 : 8); i++) {
		uint64_t value = p->s->gpr.reg[general[i].reg];

		if (p->is_64bit)
			fprintf(p->out, "%s=%016" PRIx64, general[i].name64, value);
		else
			fprintf(p->out, "%s=%08" PRIx32, general[i].name, (uint32_t)value);
		fputc(i % 4 == 3 ? '\n' : ' ', p->out);
	}
}

static void
print_flags(const struct page *p, bool a20)
{
	static const struct {
		uint64_t bit;
		char letter;
	} letters[] = {{RFLAGS_DF, 'D'}, {RFLAGS_OF, 'O'}, {RFLAGS_SF, 'S'}, {RFLAGS_ZF, 'Z'},
	    {RFLAGS_AF, 'A'}, {RFLAGS_PF, 'P'}, {RFLAGS_CF, 'C'}};
	const struct vcpu_gprs *gpr = &p->s->gpr;
	char flags[8] = "-------";

	for (unsigned i = 0; i < 7; i++)
		if (gpr->rflags & letters[i].bit)
			flags[i] = letters[i].letter;
	if (p->is_64bit)
		fprintf(p->out, "RIP=%016" PRIx64 " RFL", gpr->rip);
	else
		fprintf(p->out, "EIP=%08" PRIx32 " EFL", (uint32_t)gpr->rip);
	fprintf(p->out, "=%08" PRIx32 " [%s] CPL=%u II=%u A20=%u SMM=0 HLT=%u\n",
	    (uint32_t)gpr->rflags, flags, p->s->sregs.seg[SEG_SS].access >> 5 & 3,
	    p->s->events.interruptibility & (SHADOW_STI | SHADOW_MOVSS) ? 1u : 0u, a20 ? 1u : 0u,
	    p->s->events.activity == VCPU_HLT ? 1u : 0u);
}

static void
print_address(const struct page *p, uint64_t value)
{
	if (p->is_64bit)
		fprintf(p->out, "%016" PRIx64, value);
	else
		fprintf(p->out, "%08" PRIx32, (uint32_t)value);
}

/* The second word of the descriptor that SEG would come from, without its base. */
static uint32_t
descriptor_flags(const struct x86_segment *seg)
{
	uint32_t limit = seg->access & AR_G ? seg->limit >> 12 : seg->limit;

	if (seg->access & AR_UNUSABLE)
		return (0);
	return ((seg->access & 0xff) << 8 | (limit & 0xf0000) | (seg->access & 0xf000) << 8);
}

/* What the access rights mean, in words. */
static void
print_rights(const struct page *p, uint32_t ar)
{
	fprintf(p->out, " DPL=%u ", ar >> 5 & 3);
	if (!(ar & AR_S)) {
		fprintf(p->out, "%s", system_types[p->long_mode][ar & 15]);
		return;
	}
	if (ar & 8)
		fprintf(p->out, "CS%s [%c%c",
		    ar & AR_L	     ? "64"
			: ar & AR_DB ? "32"
				     : "16",
		    ar & 4 ? 'C' : '-', ar & 2 ? 'R' : '-');
	else
		fprintf(p->out, "DS%s [%c%c", ar & AR_DB || p->long_mode ? "  " : "16",
		    ar & 4 ? 'E' : '-', ar & 2 ? 'W' : '-');
	fprintf(p->out, "%c]", ar & 1 ? 'A' : '-');
}

static void
print_segment(const struct page *p, const char *name, const struct x86_segment *seg)
{
	fprintf(p->out, "%-3s=%04x ", name, seg->selector);
	print_address(p, seg->base);
	fprintf(p->out, " %08" PRIx32 " %08" PRIx32, seg->limit, descriptor_flags(seg));
	if ((p->s->sregs.cr0 & CR0_PE) && (descriptor_flags(seg) & AR_P << 8))
		print_rights(p, seg->access);
	fputc('\n', p->out);
}

static void
print_table(const struct page *p, const char *name, const struct x86_table *table)
{
	fprintf(p->out, "%s=     ", name);
	print_address(p, table->base);
	fprintf(p->out, " %08" PRIx32 "\n", (uint32_t)table->limit);
}

static void
print_system(const struct page *p)
{
	const struct vcpu_sregs *sregs = &p->s->sregs;
	const struct vcpu_debug *debug = &p->s->debug;

	fprintf(p->out, "CR0=%08" PRIx32 " CR2=", (uint32_t)sregs->cr0);
	print_address(p, sregs->cr2);
	fprintf(p->out, " CR3=");
	print_address(p, sregs->cr3);
	fprintf(p->out, " CR4=%08" PRIx32 "\n", (uint32_t)sregs->cr4);
	for (unsigned i = 0; i < 4; i++)
		fprintf(p->out, "DR%u=%016" PRIx64 " ", i, debug->dr[i]);
	fprintf(p->out, "\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\n", debug->dr6, debug->dr7);
	fprintf(p->out, "EFER=%016" PRIx64 "\n", sregs->efer);
}

static uint64_t
get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return (value);
}

static unsigned
get16(const uint8_t *at)
{
	return (at[0] | (unsigned)at[1] << 8);
}

/* x87 registers by their numbers, not from the top of the stack. */
static void
print_fpu(const struct page *p)
{
	const uint8_t *fx = p->s->fpu.fxsave;
	unsigned fsw = get16(fx + FX_FSW), top = fsw >> 11 & 7;

	fprintf(p->out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08" PRIx32 "\n",
	    get16(fx + FX_FCW), fsw, top, fx[FX_FTW], (uint32_t)get64(fx + FX_MXCSR));
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *st = fx + FX_ST + ((i - top) & 7) * FX_SLOT;

		fprintf(p->out, "FPR%u=%016" PRIx64 " %04x%c", i, get64(st), get16(st + 8),
		    i % 2 == 1 ? '\n' : ' ');
	}
	for (unsigned i = 0; i < (p->is_64bit ? 16 : 8); i++) {
		const uint8_t *xmm = fx + FX_XMM + i * FX_SLOT;

		fprintf(p->out, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i, get64(xmm + 8),
		    get64(xmm), i % 2 == 1 ? '\n' : ' ');
	}
}

void
qemu_info_registers(FILE *out, const struct vcpu_state *s, bool a20)
{
	static const char *const names[SEG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};
	const bool long_mode = s->sregs.efer & EFER_LMA;
	const struct page p = {
	    .out = out,
	    .s = s,
	    .long_mode = long_mode,
	    .is_64bit = long_mode && (s->sregs.seg[SEG_CS].access & AR_L),
	};

	print_general(&p);
	print_flags(&p, a20);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		print_segment(&p, names[i], &s->sregs.seg[i]);
	print_segment(&p, "LDT", &s->sregs.ldtr);
	print_segment(&p, "TR", &s->sregs.tr);
	print_table(&p, "GDT", &s->sregs.gdtr);
	print_table(&p, "IDT", &s->sregs.idtr);
	print_system(&p);
	print_fpu(&p);
}
