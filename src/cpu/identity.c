/* What the processor says of itself: CPUID, the time stamp counter, MSRs; and VMCALL. */
#include "cpu/insn.h"

/* CPUID 1 EDX (SDM vol. 2A, table 3-11): what this CPU has. */
#define CPUID_VME (1u << 1)
#define CPUID_PSE (1u << 3)
#define CPUID_TSC (1u << 4)
#define CPUID_MSR (1u << 5)
#define CPUID_CX8 (1u << 8)
#define CPUID_CMOV (1u << 15)

struct model_identity {
	uint32_t max_leaf;
	uint32_t signature; /* family, model, stepping */
	uint32_t features;
	uint32_t max_extended;
};

static const struct model_identity identities[] = {
    [CPU_486] = {1, 0x0433, 0, 0},
    [CPU_PENTIUM] = {1, 0x0543, CPUID_TSC | CPUID_MSR | CPUID_CX8, 0},
    [CPU_P6] = {2, 0x0633, CPUID_TSC | CPUID_MSR | CPUID_CX8 | CPUID_CMOV, 0x80000004},
    [CPU_X86_64] = {2, 0x0633, CPUID_TSC | CPUID_MSR | CPUID_CX8 | CPUID_CMOV, 0x80000004},
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

/* EAX, EBX, ECX, EDX of LEAF. */
static void
cpuid_leaf(const struct model_identity *id, uint32_t leaf, uint32_t out[4])
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
		out[3] = id->features;
	} else if (leaf == 2)
		out[0] = 1; /* no cache descriptors */
}

enum op_result
do_cpuid(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint32_t out[4];

	(void)op;
	cpuid_leaf(&identities[c->config.model], (uint32_t)RAX(s), out);
	RAX(s) = out[0];
	RBX(s) = out[1];
	RCX(s) = out[2];
	RDX(s) = out[3];
	return (OP_NEXT);
}

static uint64_t
tsc_now(const struct cpu *c)
{
	uint64_t now = c->config.tsc != NULL ? c->config.tsc(c->config.tsc_opaque) :
					       cpu_instructions(c);

	return (now + c->s->msr.tsc_offset);
}

enum op_result
do_rdtsc(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint64_t now;

	(void)op;
	if ((s->sregs.cr4 & CR4_TSD) && c->cpl != 0)
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	now = tsc_now(c);
	RAX(s) = (uint32_t)now;
	RDX(s) = now >> 32;
	return (OP_END);
}

/* MSRs that are plain storage. */
static uint64_t *
msr_storage(struct vcpu_state *s, uint32_t number)
{
	switch (number) {
	case MSR_APIC_BASE:
		return (&s->sregs.apic_base);
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
	default:
		return (NULL);
	}
}

enum op_result
do_rdmsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint32_t number = (uint32_t)RCX(s);
	const uint64_t *msr = msr_storage(s, number);
	uint64_t value;

	(void)op;
	if (c->cpl != 0 || (msr == NULL && number != MSR_TSC))
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	value = msr != NULL ? *msr : tsc_now(c);
	RAX(s) = (uint32_t)value;
	RDX(s) = value >> 32;
	return (OP_NEXT);
}

enum op_result
do_wrmsr(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	uint32_t number = (uint32_t)RCX(s);
	uint64_t value = RDX(s) << 32 | (uint32_t)RAX(s), *msr = msr_storage(s, number);

	(void)op;
	if (c->cpl != 0 || (msr == NULL && number != MSR_TSC))
		return (fault(c, VEC_GP, CAUSE_PRIVILEGE));
	if (msr != NULL)
		*msr = value;
	else
		s->msr.tsc_offset += value - tsc_now(c);
	return (OP_END);
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
