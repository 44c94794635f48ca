/* What the processor says of itself: CPUID, the time stamp counter, MSRs; and VMCALL. */
#include "cpu/insn.h"

/* CPUID 1 EDX (SDM vol. 2A, table 3-11): what this CPU has. */
#define CPUID_FPU (1u << 0)
#define CPUID_VME (1u << 1)
#define CPUID_DE (1u << 2)
#define CPUID_PSE (1u << 3)
#define CPUID_TSC (1u << 4)
#define CPUID_MSR (1u << 5)
#define CPUID_CX8 (1u << 8)
#define CPUID_PAE (1u << 6)
#define CPUID_APIC (1u << 9)
#define CPUID_SEP (1u << 11)
#define CPUID_PGE (1u << 13)
#define CPUID_CMOV (1u << 15)
#define CPUID_PAT (1u << 16)
#define CPUID_CLFSH (1u << 19)
#define CPUID_MMX (1u << 23)
#define CPUID_FXSR (1u << 24)
#define CPUID_SSE (1u << 25)
#define CPUID_SSE2 (1u << 26)
/* CPUID 1 ECX. */
#define CPUID_SSE3 (1u << 0)
#define CPUID_MONITOR (1u << 3) /* shows IA32_MISC_ENABLE */
#define CPUID_SSSE3 (1u << 9)
#define CPUID_CX16 (1u << 13)
#define CPUID_SSE41 (1u << 19)
#define CPUID_SSE42 (1u << 20)
#define CPUID_X2APIC (1u << 21)
#define CPUID_POPCNT (1u << 23)
#define CPUID_TSC_DEADLINE (1u << 24)
#define CPUID_XSAVE (1u << 26)
#define CPUID_OSXSAVE (1u << 27) /* shows CR4.OSXSAVE */
#define CPUID_RDRAND (1u << 30)
/* CPUID 7 EBX, ECX. */
#define CPUID_TSC_ADJUST (1u << 1)
#define CPUID_FDP_EXCEPTIONS (1u << 6) /* the operand pointer is of exceptions alone */
#define CPUID_SMEP (1u << 7)
#define CPUID_NO_FCS (1u << 13)
#define CPUID_SMAP (1u << 20)
#define CPUID_UMIP (1u << 2)
/* CPUID 80000001 EDX, ECX. */
#define CPUID_SYSCALL (1u << 11)
#define CPUID_NX (1u << 20)
#define CPUID_1GB (1u << 26)
#define CPUID_RDTSCP (1u << 27)
#define CPUID_LM (1u << 29)
#define CPUID_LAHF64 (1u << 0)

struct model_identity {
	uint32_t max_leaf;
	uint32_t signature;	      /* family, model, stepping */
	uint32_t features, features2; /* leaf 1 EDX, ECX */
	uint32_t leaf7_ebx, leaf7_ecx;
	uint32_t max_extended;
	uint32_t extended, extended2; /* leaf 80000001 EDX, ECX */
};

#define PENTIUM_FEATURES \
	(CPUID_FPU | CPUID_VME | CPUID_DE | CPUID_PSE | CPUID_TSC | CPUID_MSR | CPUID_CX8 | \
	    CPUID_APIC)
#define P6_FEATURES (PENTIUM_FEATURES | CPUID_PAE | CPUID_SEP | CPUID_PGE | CPUID_CMOV | CPUID_PAT)

#define X86_64_FEATURES \
	(P6_FEATURES | CPUID_CLFSH | CPUID_MMX | CPUID_FXSR | CPUID_SSE | CPUID_SSE2)
#define X86_64_FEATURES2 \
	(CPUID_SSE3 | CPUID_SSSE3 | CPUID_CX16 | CPUID_SSE41 | CPUID_SSE42 | CPUID_POPCNT | \
	    CPUID_XSAVE | CPUID_X2APIC | CPUID_TSC_DEADLINE | CPUID_MONITOR | CPUID_RDRAND)
#define MWAIT_EXTENSIONS 3u    /* leaf 5 ECX: listed, interrupts end it though masked */
#define CLFLUSH_LINE (8u << 8) /* leaf 1 EBX: 8 quadwords */
/* Leaf 0Dh: XSAVE areas have the legacy region and the header alone (SDM vol. 1, 13.2). */
#define XSAVE_COMPONENTS 3u
#define XSAVE_BYTES 576

static const struct model_identity identities[] = {
    [CPU_486] = {.max_leaf = 1, .signature = 0x0433, .features = CPUID_FPU},
    [CPU_PENTIUM] = {.max_leaf = 1, .signature = 0x0543, .features = PENTIUM_FEATURES},
    [CPU_P6] = {.max_leaf = 2, .signature = 0x0633, .features = P6_FEATURES | CPUID_MMX},
    [CPU_X86_64] = {.max_leaf = 13,
	.signature = 0x000106a5, /* family 6, model 26 */
	.features = X86_64_FEATURES,
	.features2 = X86_64_FEATURES2,
	.leaf7_ebx =
	    CPUID_TSC_ADJUST | CPUID_FDP_EXCEPTIONS | CPUID_NO_FCS | CPUID_SMEP | CPUID_SMAP,
	.leaf7_ecx = CPUID_UMIP,
	.max_extended = 0x80000008,
	.extended = CPUID_SYSCALL | CPUID_NX | CPUID_1GB | CPUID_RDTSCP | CPUID_LM,
	.extended2 = CPUID_LAHF64},
};

static const char vendor[12] = "GenuineIntel";
static const char brand[48] = "hyve86 built-in CPU";

static uint32_t
word_at(const char *text, unsigned i)
{
	uint32_t word;

	memcpy(&word, text + i * 4, sizeof(word));
	return (word);
}

/* EAX, EBX, ECX, EDX of LEAF and SUBLEAF. */
static void
cpuid_leaf(const struct model_identity *id, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	memset(out, 0, 4 * sizeof(*out));
	if (leaf >= 0x80000002 && leaf <= 0x80000004 && leaf <= id->max_extended) {
		for (unsigned i = 0; i < 4; i++)
			out[i] = word_at(brand, (leaf - 0x80000002) * 4 + i);
		return;
	}
	if (leaf == 0x80000000)
		out[0] = id->max_extended;
	else if (leaf == 0) {
		out[0] = id->max_leaf;
		out[1] = word_at(vendor, 0);
		out[3] = word_at(vendor, 1);
		out[2] = word_at(vendor, 2);
	} else if (leaf == 1) {
		out[0] = id->signature;
		out[2] = id->features2;
		out[3] = id->features;
		if (id->features & CPUID_CLFSH)
			out[1] = CLFLUSH_LINE;
	} else if (leaf == 2)
		out[0] = 1; /* no cache descriptors */
	else if (leaf == 5 && (id->features2 & CPUID_MONITOR)) {
		out[0] = out[1] = MONITOR_LINE;
		out[2] = MWAIT_EXTENSIONS;
	} else if (leaf == 7 && id->max_leaf >= 7) {
		out[1] = id->leaf7_ebx;
		out[2] = id->leaf7_ecx;
	} else if (leaf == 13 && id->max_leaf >= 13) {
		if (subleaf == 0) {
			out[0] = XSAVE_COMPONENTS;
			out[1] = out[2] = XSAVE_BYTES;
		}
	} else if (leaf == 0x80000001 && id->max_extended >= leaf) {
		out[2] = id->extended2;
		out[3] = id->extended;
	} else if (leaf == 0x80000008 && id->max_extended >= leaf)
		out[0] = X86_LINEAR_BITS << 8 | X86_PHYSICAL_BITS;
}

static bool
has_apic(const struct cpu *c)
{
	return (
	    c->config.apic.read_msr != NULL && (identities[c->config.model].features & CPUID_APIC));
}

void
cpu_identify(enum cpu_model model, bool apic, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	cpuid_leaf(&identities[model], leaf, subleaf, out);
	if (leaf != 1 || apic)
		return;
	out[2] &= ~CPU_LEAF1_ECX_APIC;
	out[3] &= ~CPUID_APIC;
}

/* Leaf 1 has bits that follow the state (SDM vol. 2A, CPUID; vol. 3A, 10.4.3). */
static void
cpuid_state_bits(const struct cpu *c, uint32_t out[4])
{
	if ((out[2] & CPUID_XSAVE) && (c->s->sregs.cr4 & CR4_OSXSAVE))
		out[2] |= CPUID_OSXSAVE;
	if (!(c->s->msr.misc_enable & MISC_ENABLE_MONITOR))
		out[2] &= ~CPUID_MONITOR;
	if (!(c->s->sregs.apic_base & APIC_BASE_EN))
		out[3] &= ~CPUID_APIC;
}

void
cpu_stop_varying(struct cpu *c, bool on)
{
	c->stop_varying = on;
}

bool
varies(struct cpu *c)
{
	if (likely(!c->stop_varying))
		return (false);
	c->exit = CPU_EXIT_VARIES;
	return (true);
}

enum op_result
do_cpuid(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint32_t out[4];

	(void)op;
	if (varies(c))
		return (OP_EXIT);
	cpu_identify(c->config.model, has_apic(c), (uint32_t)RAX(s), (uint32_t)RCX(s), out);
	if ((uint32_t)RAX(s) == 1)
		cpuid_state_bits(c, out);
	RAX(s) = out[0];
	RBX(s) = out[1];
	RCX(s) = out[2];
	RDX(s) = out[3];
	return (OP_NEXT);
}

static uint64_t
tsc_now(struct cpu *c)
{
	uint64_t now =
	    c->config.tsc != NULL ? c->config.tsc(c->config.tsc_opaque) : cpu_instructions(c);

	return (now + c->s->msr.tsc_offset);
}

/* Around what asks for the time: the ops before OP in its trace are counted only at its end. */
static void
count_begin(struct cpu *c, const struct op *op)
{
	c->left -= op->idx;
}

static void
count_end(struct cpu *c, const struct op *op)
{
	c->left += op->idx;
}

enum op_result
do_rdtsc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t now;

	if (varies(c))
		return (OP_EXIT);
	if ((s->sregs.cr4 & CR4_TSD) && c->cpl != 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	count_begin(c, op);
	now = tsc_now(c);
	count_end(c, op);
	RAX(s) = (uint32_t)now;
	RDX(s) = now >> 32;
	return (OP_END);
}

/* There are no counters: no number of one is good (SDM vol. 2B, RDPMC). */
enum op_result
do_rdpmc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	if (varies(c))
		return (OP_EXIT);
	return (fault_code(c, VEC_GP, 0,
	    c->cpl != 0 && !(s->sregs.cr4 & CR4_PCE) ? CAUSE_PRIVILEGE : CAUSE_RESERVED));
}

/* MSRs that are plain storage. */
static uint64_t *
msr_storage(struct vcpu_state *s, uint32_t number)
{
	switch (number) {
	case MSR_APIC_BASE:
		return (&s->sregs.apic_base);
	case MSR_TSC_ADJUST: /* what has been added: the same sum (vol. 3B, 17.17.3) */
		return (&s->msr.tsc_offset);
	case MSR_SYSENTER_CS:
		return (&s->msr.sysenter_cs);
	case MSR_SYSENTER_ESP:
		return (&s->msr.sysenter_esp);
	case MSR_SYSENTER_EIP:
		return (&s->msr.sysenter_eip);
	case MSR_PAT:
		return (&s->msr.pat);
	case MSR_MISC_ENABLE:
		return (&s->msr.misc_enable);
	case MSR_EFER:
		return (&s->sregs.efer);
	case MSR_STAR:
		return (&s->msr.star);
	case MSR_LSTAR:
		return (&s->msr.lstar);
	case MSR_CSTAR:
		return (&s->msr.cstar);
	case MSR_FMASK:
		return (&s->msr.fmask);
	case MSR_FSBASE:
		return (&s->sregs.seg[SEG_FS].base);
	case MSR_GSBASE:
		return (&s->sregs.seg[SEG_GS].base);
	case MSR_KERNEL_GSBASE:
		return (&s->msr.kernel_gsbase);
	case MSR_TSC_AUX:
		return (&s->msr.tsc_aux);
	default:
		return (NULL);
	}
}

/* MSRs that read 0 and take any write: kernels use them on every Intel processor. MCG_CAP says
 * that there are no machine check banks. */
static bool
msr_is_empty(uint32_t number)
{
	return (number == MSR_PLATFORM_ID || number == MSR_MICROCODE || number == MSR_MCG_CAP ||
	    number == MSR_MCG_STATUS);
}

/* Whether VALUE may be written to the MSR: canonical addresses, no reserved bits. */
static bool
msr_value_ok(const struct vcpu_state *s, uint32_t number, uint64_t value)
{
	switch (number) {
	case MSR_EFER:
		if (value & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
			return (false);
		return (!((value ^ s->sregs.efer) & EFER_LME) || !(s->sregs.cr0 & CR0_PG));
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FSBASE:
	case MSR_GSBASE:
	case MSR_KERNEL_GSBASE:
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
		return (is_canonical(value));
	default:
		return (true);
	}
}

/* MSRs that the local APIC answers, as far as this model has them. */
static bool
is_apic_msr(const struct cpu *c, uint32_t number)
{
	uint32_t features2 = identities[c->config.model].features2;

	if (!has_apic(c) || c->config.model < CPU_P6)
		return (false);
	return (number == MSR_APIC_BASE ||
	    (number == MSR_TSC_DEADLINE && (features2 & CPUID_TSC_DEADLINE)) ||
	    (number - MSR_X2APIC < 256 && (features2 & CPUID_X2APIC)));
}

/* Models without x2APIC have no such mode to switch on. */
static bool
apic_write(struct cpu *c, uint32_t number, uint64_t value)
{
	const struct apic_port *apic = &c->config.apic;

	if (number == MSR_APIC_BASE && (value & APIC_BASE_EXTD) &&
	    !(identities[c->config.model].features2 & CPUID_X2APIC))
		return (false);
	if (!apic->write_msr(apic->opaque, number, value))
		return (false);
	if (number == MSR_APIC_BASE)
		c->s->sregs.apic_base = value;
	return (true);
}

/* False: there is no such MSR. */
static bool
msr_read(struct cpu *c, uint32_t number, uint64_t *value)
{
	const uint64_t *msr = msr_storage(c->s, number);

	if (is_apic_msr(c, number))
		return (c->config.apic.read_msr(c->config.apic.opaque, number, value));
	if (msr == NULL && number != MSR_TSC && !msr_is_empty(number))
		return (false);
	*value = msr != NULL ? *msr : number == MSR_TSC ? tsc_now(c) : 0;
	return (true);
}

static bool
msr_write(struct cpu *c, uint32_t number, uint64_t value)
{
	uint64_t *msr = msr_storage(c->s, number);

	if (is_apic_msr(c, number))
		return (apic_write(c, number, value));
	if (msr_is_empty(number))
		return (true);
	if ((msr == NULL && number != MSR_TSC) || !msr_value_ok(c->s, number, value))
		return (false);
	if (number == MSR_EFER) /* LMA follows CR0.PG, not the write */
		value = (value & ~(uint64_t)EFER_LMA) | (c->s->sregs.efer & EFER_LMA);
	if (msr != NULL)
		*msr = value;
	else
		c->s->msr.tsc_offset += value - tsc_now(c);
	if ((number == MSR_TSC || number == MSR_TSC_ADJUST) && c->config.apic.tsc_changed != NULL)
		c->config.apic.tsc_changed(c->config.apic.opaque);
	return (true);
}

enum op_result
do_rdmsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t value;
	bool ok;

	if (varies(c))
		return (OP_EXIT);
	count_begin(c, op);
	ok = c->cpl == 0 && msr_read(c, (uint32_t)RCX(s), &value);
	count_end(c, op);
	if (!ok)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	RAX(s) = (uint32_t)value;
	RDX(s) = value >> 32;
	return (OP_NEXT);
}

enum op_result
do_wrmsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	bool ok;

	count_begin(c, op);
	ok = c->cpl == 0 && msr_write(c, (uint32_t)RCX(s), RDX(s) << 32 | (uint32_t)RAX(s));
	count_end(c, op);
	if (!ok)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	cpu_sregs_changed(c);
	return (OP_END);
}

enum op_result
do_rdtscp(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	enum op_result result = do_rdtsc(c, op, s);

	if (result == OP_END)
		RCX(s) = (uint32_t)s->msr.tsc_aux;
	return (result);
}

/* An exit to the hypervisor where there is one that wants it, else undefined. */
enum op_result
do_vmcall(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	(void)op;
	(void)s;
	if (!c->config.vmcall_exits)
		return (fault(c, VEC_UD, CAUSE_INSTRUCTION));
	c->exit = CPU_EXIT_HYPERCALL;
	return (OP_EXIT);
}
