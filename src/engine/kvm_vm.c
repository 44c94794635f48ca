/* Making and ending the VM and its vCPU: capabilities, CPUID, MSRs that come to us. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/kvm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DEVICE "/dev/kvm"
/* Where VT-x without unrestricted guest keeps what it needs for real mode: in the PCI hole. */
#define IDENTITY_MAP 0xfffbc000ul
#define TSS_ADDRESS 0xfffbd000ul
#define SUPPORTED_MAX 256

/* create() fails for errno at WHAT; ADVICE: what else to do than to do without. Returns -1. */
static int
refuse(struct vcpu *vcpu, const char *what, const char *advice)
{
	int saved = errno;

	snprintf(vcpu->exit.text, sizeof(vcpu->exit.text), "%s: %s; %s%suse --engine soft", what,
	    strerror(saved), advice != NULL ? advice : "", advice != NULL ? ", or " : "");
	errno = saved;
	return (-1);
}

static int
open_device(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	int version;

	k->system = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (k->system < 0)
		return (refuse(vcpu, DEVICE,
		    errno == EACCES || errno == EPERM ? "become a member of its group"
			: errno == ENOENT || errno == ENODEV || errno == ENXIO
			? "load the kernel's module kvm_intel or kvm_amd"
			: NULL));
	version = ioctl(k->system, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return (0);
	if (version >= 0)
		errno = ENOTSUP;
	return (refuse(vcpu, "KVM_GET_API_VERSION", NULL));
}

/* What this engine stands on; all of it is there from Linux 5.10 on. */
static int
check_capabilities(struct vcpu *vcpu)
{
	static const struct {
		long number;
		int bits;
		const char *name;
	} needed[] = {
	    {KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY"},
	    {KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM"},
	    {KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT"},
	    {KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS, "KVM_CAP_SYNC_REGS"},
	    {KVM_CAP_VCPU_EVENTS, 1, "KVM_CAP_VCPU_EVENTS"},
	    {KVM_CAP_XSAVE, 1, "KVM_CAP_XSAVE"},
	    {KVM_CAP_DEBUGREGS, 1, "KVM_CAP_DEBUGREGS"},
	    {KVM_CAP_X86_USER_SPACE_MSR, 1, "KVM_CAP_X86_USER_SPACE_MSR"},
	    {KVM_CAP_X86_MSR_FILTER, 1, "KVM_CAP_X86_MSR_FILTER"},
	};
	struct kvm_engine *k = vcpu->engine;

	for (size_t i = 0; i < COUNT(needed); i++) {
		int have = ioctl(k->system, KVM_CHECK_EXTENSION, needed[i].number);

		if (have >= 0 && (have & needed[i].bits) == needed[i].bits)
			continue;
		errno = ENOTSUP;
		return (refuse(vcpu, needed[i].name, NULL));
	}
	return (0);
}

/* MSRs of the local APIC, which is ours: KVM asks us for them. */
static int
take_msrs(struct vcpu *vcpu)
{
	static const uint32_t numbers[] = {MSR_APIC_BASE, MSR_TSC_DEADLINE};
	struct kvm_engine *k = vcpu->engine;
	struct kvm_enable_cap cap = {
	    .cap = KVM_CAP_X86_USER_SPACE_MSR,
	    .args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
		KVM_MSR_EXIT_REASON_FILTER},
	};
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	uint8_t none[COUNT(numbers)][8] = {{0}};

	for (size_t i = 0; i < COUNT(numbers); i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
		    .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
		    .base = numbers[i],
		    .nmsrs = 1,
		    .bitmap = none[i],
		};
	if (ioctl(k->vm, KVM_ENABLE_CAP, &cap) != 0)
		return (refuse(vcpu, "KVM_ENABLE_CAP KVM_CAP_X86_USER_SPACE_MSR", NULL));
	if (ioctl(k->vm, KVM_X86_SET_MSR_FILTER, &filter) != 0)
		return (refuse(vcpu, "KVM_X86_SET_MSR_FILTER", NULL));
	return (0);
}

/*
 * What KVM cannot emulate comes to us always. Without that it is #UD at privilege 3, and at privilege 0
 * both an exit and a #UD that waits.
 */
static int
take_failures(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {1}};

	if (ioctl(k->system, KVM_CHECK_EXTENSION, cap.cap) <= 0)
		return (0);
	if (ioctl(k->vm, KVM_ENABLE_CAP, &cap) != 0)
		return (refuse(vcpu, "KVM_ENABLE_CAP KVM_CAP_EXIT_ON_EMULATION_FAILURE", NULL));
	return (0);
}

static int
make_vm(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	uint64_t map = IDENTITY_MAP;

	do
		k->vm = ioctl(k->system, KVM_CREATE_VM, 0);
	while (k->vm < 0 && errno == EINTR);
	if (k->vm < 0)
		return (refuse(vcpu, "KVM_CREATE_VM",
		    errno == EBUSY ? "end the other hypervisor that has the processor" : NULL));
	if (ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &map) != 0)
		return (refuse(vcpu, "KVM_SET_IDENTITY_MAP_ADDR", NULL));
	if (ioctl(k->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS) != 0)
		return (refuse(vcpu, "KVM_SET_TSS_ADDR", NULL));
	return (take_msrs(vcpu) == 0 ? take_failures(vcpu) : -1);
}

/* --- CPUID ------------------------------------------------------------------------------------------- */

/* struct kvm_cpuid2 with room for entries. */
union cpuid_list {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + sizeof(struct kvm_cpuid_entry2[SUPPORTED_MAX])];
};

static const struct kvm_cpuid_entry2 *
find_leaf(const union cpuid_list *list, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < list->head.nent; i++)
		if (list->head.entries[i].function == leaf &&
		    list->head.entries[i].index == subleaf)
			return (&list->head.entries[i]);
	return (NULL);
}

/* Where leaves list features: what KVM cannot do, the guest must not see. EAX, EBX, ECX, EDX. */
static const struct {
	uint32_t leaf;
	bool is_features[4];
	uint32_t ours[4]; /* the board's, whatever KVM says: x2APIC, TSC deadline */
} feature_leaves[] = {
    {1, {false, false, true, true}, {0, 0, CPU_LEAF1_ECX_APIC, 0}},
    {7, {false, true, true, true}, {0}},
    {0x0d, {true, false, false, false}, {0}},
    {0x80000001, {false, false, true, true}, {0}},
};

/* Take out of the registers of LEAF what SUPPORTED lacks. */
static void
limit_features(uint32_t leaf, uint32_t reg[4], const union cpuid_list *supported)
{
	const struct kvm_cpuid_entry2 *can = find_leaf(supported, leaf, 0);
	const uint32_t have[4] = {can != NULL ? can->eax : 0, can != NULL ? can->ebx : 0,
	    can != NULL ? can->ecx : 0, can != NULL ? can->edx : 0};

	for (size_t i = 0; i < COUNT(feature_leaves); i++) {
		if (feature_leaves[i].leaf != leaf)
			continue;
		for (unsigned r = 0; r < 4; r++)
			if (feature_leaves[i].is_features[r])
				reg[r] &= have[r] | feature_leaves[i].ours[r];
	}
}

/* Add the leaves from FIRST to the one that FIRST's EAX names. */
static void
add_leaves(const struct vcpu *vcpu, union cpuid_list *list, uint32_t first,
    const union cpuid_list *supported)
{
	uint32_t last = first, reg[4];

	for (uint32_t leaf = first; leaf <= last && list->head.nent < SUPPORTED_MAX; leaf++) {
		cpu_identify(CPU_X86_64, vcpu->world.apic.read_msr != NULL, leaf, 0, reg);
		if (leaf == first && reg[0] >= first && reg[0] - first < SUPPORTED_MAX / 2)
			last = reg[0];
		limit_features(leaf, reg, supported);
		list->head.entries[list->head.nent++] = (struct kvm_cpuid_entry2){
		    .function = leaf,
		    .flags = leaf == 0x0d || leaf == 7 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		    .eax = reg[0],
		    .ebx = reg[1],
		    .ecx = reg[2],
		    .edx = reg[3],
		};
	}
}

/* The guest sees the same processor as on the built-in CPU, less what KVM cannot do. */
static int
set_cpuid(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	union cpuid_list *supported = calloc(1, sizeof(*supported));
	union cpuid_list *list = calloc(1, sizeof(*list));
	int result = -1;

	if (supported == NULL || list == NULL) {
		refuse(vcpu, "CPUID", NULL);
		goto out;
	}
	supported->head.nent = SUPPORTED_MAX;
	if (ioctl(k->system, KVM_GET_SUPPORTED_CPUID, supported) != 0) {
		refuse(vcpu, "KVM_GET_SUPPORTED_CPUID", NULL);
		goto out;
	}
	add_leaves(vcpu, list, 0, supported);
	add_leaves(vcpu, list, 0x80000000, supported);
	result = ioctl(k->cpu, KVM_SET_CPUID2, list);
	if (result != 0)
		refuse(vcpu, "KVM_SET_CPUID2", NULL);
out:
	free(supported);
	free(list);
	return (result);
}

/* --- the vCPU ------------------------------------------------------------------------------------------ */

/*
 * The guest's counter runs at the board's 1 GHz where the processor can scale it, so that a VM may
 * move between engines; else at the host's rate.
 */
static void
set_tsc_rate(struct kvm_engine *k)
{
	int khz;

	if (ioctl(k->system, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0 &&
	    ioctl(k->cpu, KVM_SET_TSC_KHZ, KVM_BOARD_TSC_KHZ) == 0) {
		k->tsc_khz = KVM_BOARD_TSC_KHZ;
		return;
	}
	khz = ioctl(k->cpu, KVM_GET_TSC_KHZ, 0);
	k->tsc_khz = khz > 0 ? (uint64_t)khz : KVM_BOARD_TSC_KHZ;
}

static int
make_cpu(struct vcpu *vcpu)
{
	struct kvm_engine *k = vcpu->engine;
	int size = ioctl(k->system, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run)) {
		errno = size < 0 ? errno : ENOTSUP;
		return (refuse(vcpu, "KVM_GET_VCPU_MMAP_SIZE", NULL));
	}
	k->cpu = ioctl(k->vm, KVM_CREATE_VCPU, 0);
	if (k->cpu < 0)
		return (refuse(vcpu, "KVM_CREATE_VCPU", NULL));
	k->run_size = (size_t)size;
	k->run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, k->cpu, 0);
	if (k->run == MAP_FAILED) {
		k->run = NULL;
		return (refuse(vcpu, "the vCPU's run page", NULL));
	}
	k->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	k->has_xcrs = ioctl(k->system, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	set_tsc_rate(k);
	return (set_cpuid(vcpu));
}

static void
map_changed(void *opaque, uint64_t gpa, uint64_t size)
{
	struct kvm_engine *k = opaque;

	(void)gpa;
	(void)size;
	k->map_changed = true;
}

static int
listen_to_map(struct vcpu *vcpu)
{
	const struct memory_listener listener = {.changed = map_changed, .opaque = vcpu->engine};

	if (memory_listen(vcpu->world.mem, &listener) == 0)
		return (0);
	errno = ENOSPC;
	return (refuse(vcpu, "listening to the memory map", NULL));
}

/* The guest's processor is the host's: older ones only the built-in CPU can be. */
static int
check_world(struct vcpu *vcpu)
{
	if (vcpu->world.cpu_model == 0 || vcpu->world.cpu_model - 1 == CPU_X86_64)
		return (0);
	errno = ENOTSUP;
	return (refuse(vcpu, "a CPU model of before x86-64 on KVM", NULL));
}

int
kvm_make(struct vcpu *vcpu)
{
	struct kvm_engine *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return (refuse(vcpu, "KVM", NULL));
	k->system = k->vm = k->cpu = -1;
	vcpu->engine = k;
	k->map_changed = true;
	k->had = k->dirty = VCPU_ALL;
	if (check_world(vcpu) == 0 && open_device(vcpu) == 0 && check_capabilities(vcpu) == 0 &&
	    make_vm(vcpu) == 0 && make_cpu(vcpu) == 0 && listen_to_map(vcpu) == 0)
		return (0);
	kvm_end(k);
	vcpu->engine = NULL;
	return (-1);
}

void
kvm_end(struct kvm_engine *k)
{
	int saved = errno;

	if (k->has_thread)
		timer_delete(k->timer);
	if (k->has_lent)
		vcpu_destroy(&k->lent);
	if (k->run != NULL)
		munmap(k->run, k->run_size);
	if (k->cpu >= 0)
		close(k->cpu);
	if (k->vm >= 0)
		close(k->vm);
	if (k->system >= 0)
		close(k->system);
	free(k);
	errno = saved;
}
