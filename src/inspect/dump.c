/*
 * vmmctl's items as one table: option name, kind, label, source. Labels carry the tabs that put the
 * values into columns. One of 2012's slips is not kept: RSP of the host has its own label.
 */
#include "inspect/dump.h"

#include "inspect/dump_items.h"
#include "inspect/dump_today.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define REG(name, reg) \
	{ \
		name, ITEM_REGISTER, name, "\t\t", VM_REG_GUEST_##reg \
	}
#define SEL(name, reg) \
	{ \
		name, ITEM_SELECTOR, name, "\t\t", VM_REG_GUEST_##reg \
	}
#define DESC(name, reg) \
	{ \
		"desc-" name, ITEM_DESC, name " desc", "\t", VM_REG_GUEST_##reg \
	}
#define TABLE(name, reg) \
	{ \
		"desc-" name, ITEM_TABLE, name, "\t\t", VM_REG_GUEST_##reg \
	}
#define FIELD(field) offsetof(struct vmx_view, field)
#define V64(name, label, tabs, field) \
	{ \
		name, ITEM_VIEW64, label, tabs, FIELD(field) \
	}
#define V32(name, label, tabs, field) \
	{ \
		name, ITEM_VIEW32, label, tabs, FIELD(field) \
	}

static const struct dump_item items[] = {
    {"lowmem", ITEM_MEMORY, "lowmem", "\t\t", 0},
    {"highmem", ITEM_MEMORY, "highmem", "\t\t", MEMORY_HIGH_BASE},
    REG("efer", EFER),
    REG("cr0", CR0),
    REG("cr3", CR3),
    REG("cr4", CR4),
    REG("dr7", DR7),
    REG("rsp", RSP),
    REG("rip", RIP),
    REG("rax", RAX),
    REG("rbx", RBX),
    REG("rcx", RCX),
    REG("rdx", RDX),
    REG("rsi", RSI),
    REG("rdi", RDI),
    REG("rbp", RBP),
    REG("r8", R8),
    REG("r9", R9),
    REG("r10", R10),
    REG("r11", R11),
    REG("r12", R12),
    REG("r13", R13),
    REG("r14", R14),
    REG("r15", R15),
    {"rflags", ITEM_REGISTER, "rflags", "\t", VM_REG_GUEST_RFLAGS},
    {"stats", ITEM_STATS, "", "", VMM_STATS_2012},
    DESC("ds", DS),
    DESC("es", ES),
    DESC("fs", FS),
    DESC("gs", GS),
    DESC("ss", SS),
    DESC("cs", CS),
    DESC("tr", TR),
    DESC("ldtr", LDTR),
    TABLE("gdtr", GDTR),
    TABLE("idtr", IDTR),
    SEL("cs", CS),
    SEL("ds", DS),
    SEL("es", ES),
    SEL("fs", FS),
    SEL("gs", GS),
    SEL("ss", SS),
    SEL("tr", TR),
    SEL("ldtr", LDTR),
    {"pinning", ITEM_PINNING, "pincpu", "\t", 0},
    V32("vmcs-pinbased-ctls", "pinbased_ctls", "\t", pinbased_ctls),
    V32("vmcs-procbased-ctls", "procbased_ctls", "\t", procbased_ctls),
    V32("vmcs-procbased-ctls2", "procbased_ctls2", "\t", procbased_ctls2),
    V64("vmcs-guest-linear-address", "gla", "\t\t", guest_linear_address),
    V64("vmcs-guest-physical-address", "gpa", "\t\t", guest_physical_address),
    V32("vmcs-entry-interruption-info", "entry_interruption_info", "\t", entry_interruption_info),
    V64("vmcs-eptp", "eptp", "\t\t", eptp),
    V32("vmcs-exception-bitmap", "exception_bitmap", "\t", exception_bitmap),
    V32("vmcs-io-bitmap-address", "io_bitmap_a", "\t", io_bitmap_a),
    V32(NULL, "io_bitmap_b", "\t", io_bitmap_b),
    V64("vmcs-tsc-offset", "tsc_offset", "\t", tsc_offset),
    V64("vmcs-cr0-mask", "cr0_mask", "\t\t", cr0_mask),
    V64("vmcs-cr0-shadow", "cr0_shadow", "\t\t", cr0_shadow),
    V64("vmcs-cr4-mask", "cr4_mask", "\t\t", cr4_mask),
    V64("vmcs-cr4-shadow", "cr4_shadow", "\t\t", cr4_shadow),
    V32("vmcs-cr3-targets", "cr3_target_count", "\t", cr3_target_count),
    V64(NULL, "cr3_target0", "\t\t", cr3_target[0]),
    V64(NULL, "cr3_target1", "\t\t", cr3_target[1]),
    V64(NULL, "cr3_target2", "\t\t", cr3_target[2]),
    V64(NULL, "cr3_target3", "\t\t", cr3_target[3]),
    V64("vmcs-apic-access-address", "apic_access_addr", "\t", apic_access_addr),
    V64("vmcs-virtual-apic-address", "virtual_apic_addr", "\t", virtual_apic_addr),
    V32("vmcs-tpr-threshold", "tpr_threshold", "\t", tpr_threshold),
    V64("vmcs-msr-bitmap-address", "msr_bitmap", "\t\t", msr_bitmap),
    {"vmcs-msr-bitmap", ITEM_MSRS, "", "", 0},
    {"vmcs-vpid", ITEM_VIEW16, "vpid", "\t\t", FIELD(vpid)},
    V32("vmcs-ple-window", "ple_window", "\t\t", ple_window),
    V32("vmcs-ple-gap", "ple_gap", "\t\t", ple_gap),
    V32("vmcs-instruction-error", "instruction_error", "\t", instruction_error),
    V32("vmcs-exit-ctls", "exit_ctls", "\t\t", exit_ctls),
    V32("vmcs-entry-ctls", "entry_ctls", "\t\t", entry_ctls),
    V64("vmcs-host-pat", "host_pat", "\t\t", host_pat),
    V64("vmcs-guest-pat", "guest_pat", "\t\t", guest_pat),
    V64("vmcs-host-cr0", "host_cr0", "\t\t", host_cr0),
    V64("vmcs-host-cr3", "host_cr3", "\t\t", host_cr3),
    V64("vmcs-host-cr4", "host_cr4", "\t\t", host_cr4),
    V64("vmcs-host-rip", "host_rip", "\t\t", host_rip),
    V64("vmcs-host-rsp", "host_rsp", "\t\t", host_rsp),
    V32("vmcs-guest-sysenter", "guest_sysenter_cs", "\t", guest_sysenter_cs),
    V64(NULL, "guest_sysenter_sp", "\t", guest_sysenter_sp),
    V64(NULL, "guest_sysenter_ip", "\t", guest_sysenter_ip),
    V64("vmcs-link", "vmcs_pointer", "\t", vmcs_link),
    V64("vmcs-exit-reason", "vmcs_exit_reason", "\t", exit_reason),
    V64("vmcs-exit-qualification", "vmcs_exit_qualification", "\t", exit_qualification),
    V32("vmcs-exit-interruption-info", "vmcs_exit_interruption_info", "\t", exit_interruption_info),
    V32("vmcs-exit-interruption-error", "vmcs_exit_interruption_error", "\t",
	exit_interruption_error),
    V32("vmcs-interruptibility", "vmcs_guest_interruptibility", "\t", guest_interruptibility),
};

#define ITEMS (sizeof(items) / sizeof(items[0]))

/* Registers that --get-all of 2012 did not show, by the same kinds of lines. */
static const struct dump_item more_items[] = {
    REG("cr2", CR2),
    REG("dr0", DR0),
    REG("dr1", DR1),
    REG("dr2", DR2),
    REG("dr3", DR3),
    REG("dr6", DR6),
};

#define MORE_ITEMS (sizeof(more_items) / sizeof(more_items[0]))

/* What is being printed. */
struct dump {
	FILE *out;
	struct vmctx *ctx;
	int vcpu;
	struct vmx_view view;
};

static int
print_stats(const struct dump *dump, int limit)
{
	int entries;
	const uint64_t *stats = vm_get_stats(dump->ctx, dump->vcpu, NULL, &entries);

	if (stats == NULL)
		return (-1);
	fprintf(dump->out, "vcpu%d\n", dump->vcpu);
	for (int i = 0; i < entries && i < limit; i++)
		fprintf(
		    dump->out, "%-32s\t%" PRIu64 "\n", vm_get_stat_desc(dump->ctx, i), stats[i]);
	return (0);
}

static int
print_memory(const struct dump *dump, const struct dump_item *item)
{
	vm_paddr_t hpa;
	size_t len;

	if (vm_get_memory_seg(dump->ctx, item->source, &hpa, &len) != 0)
		return (-1);
	fprintf(dump->out, "%s%s0x%016" PRIx64 "/%zu\n", item->label, item->tabs, hpa, len);
	return (0);
}

static int
print_desc(const struct dump *dump, const struct dump_item *item)
{
	uint64_t base;
	uint32_t limit, access;

	if (vm_get_desc(dump->ctx, dump->vcpu, (int)item->source, &base, &limit, &access) != 0)
		return (-1);
	fprintf(dump->out, "%s[%d]%s0x%016" PRIx64 "/0x%08" PRIx32, item->label, dump->vcpu,
	    item->tabs, base, limit);
	if (item->kind == ITEM_DESC)
		fprintf(dump->out, "/0x%08" PRIx32, access);
	fputc('\n', dump->out);
	return (0);
}

static int
print_register(const struct dump *dump, const struct dump_item *item)
{
	uint64_t value;

	if (vm_get_register(dump->ctx, dump->vcpu, (int)item->source, &value) != 0)
		return (-1);
	fprintf(dump->out, "%s[%d]%s0x%0*" PRIx64 "\n", item->label, dump->vcpu, item->tabs,
	    item->kind == ITEM_SELECTOR ? 4 : 16, value);
	return (0);
}

static int
print_pinning(const struct dump *dump, const struct dump_item *item)
{
	int hostcpu;

	if (vm_get_pinning(dump->ctx, dump->vcpu, &hostcpu) != 0)
		return (-1);
	fprintf(dump->out, "%s[%d]%s", item->label, dump->vcpu, item->tabs);
	if (hostcpu < 0)
		fprintf(dump->out, "unpinned\n");
	else
		fprintf(dump->out, "%d\n", hostcpu);
	return (0);
}

static int
print_view(const struct dump *dump, const struct dump_item *item)
{
	int digits = item->kind == ITEM_VIEW64 ? 16 : item->kind == ITEM_VIEW32 ? 8 : 4;
	uint64_t value;

	memcpy(&value, (const char *)&dump->view + item->source, sizeof(value));
	fprintf(dump->out, "%s[%d]%s0x%0*" PRIx64 "\n", item->label, dump->vcpu, item->tabs, digits,
	    value);
	return (0);
}

static int
print_msrs(const struct dump *dump)
{
	size_t count;
	const struct vmx_msr_access *msrs = vmx_msr_bitmap(&count);

	for (size_t i = 0; i < count; i++)
		fprintf(dump->out, "msr 0x%08" PRIx32 "[%d]\t\t%s\n", msrs[i].msr, dump->vcpu,
		    msrs[i].access);
	return (0);
}

static int
print_item(const struct dump *dump, const struct dump_item *item)
{
	switch (item->kind) {
	case ITEM_MEMORY:
		return (print_memory(dump, item));
	case ITEM_REGISTER:
	case ITEM_SELECTOR:
		return (print_register(dump, item));
	case ITEM_DESC:
	case ITEM_TABLE:
		return (print_desc(dump, item));
	case ITEM_PINNING:
		return (print_pinning(dump, item));
	case ITEM_STATS:
		return (print_stats(dump, (int)item->source));
	case ITEM_MSRS:
		return (print_msrs(dump));
	default:
		return (print_view(dump, item));
	}
}

/* Print the items from FIRST to before END with the VM locked once for all. */
static int
print_items(FILE *out, struct vmctx *ctx, int vcpu, const struct dump_item *first,
    const struct dump_item *end, struct vmm_error *err)
{
	struct dump dump = {.out = out, .ctx = ctx, .vcpu = vcpu};
	int error = 0;

	if (vmm_begin(ctx, VMM_READ, err) != 0)
		return (-1);
	dump.view = vmm_view(ctx, vcpu);
	for (const struct dump_item *item = first; item < end && error == 0; item++)
		error = print_item(&dump, item);
	vmm_end(ctx, false, NULL);
	if (error != 0)
		return (vmm_fail(err, EINVAL, "%s: cannot be read", vmm_name(ctx)));
	return (0);
}

int
dump_all(FILE *out, struct vmctx *ctx, int vcpu, struct vmm_error *err)
{
	return (print_items(out, ctx, vcpu, items, items + ITEMS, err));
}

/* Whether an item's option name is NAME: as 2012 called it or, without "vmcs-", as it is today. */
static bool
is_called(const struct dump_item *item, const char *name)
{
	static const char prefix[] = "vmcs-";
	const size_t len = sizeof(prefix) - 1;

	if (item->name == NULL)
		return (false);
	return (strcmp(item->name, name) == 0 ||
	    (strncmp(item->name, prefix, len) == 0 && strcmp(item->name + len, name) == 0));
}

const struct dump_item *
dump_items(size_t *count, const struct dump_item **more, size_t *nmore)
{
	*count = ITEMS;
	*more = more_items;
	*nmore = MORE_ITEMS;
	return (items);
}

const struct dump_item *
dump_find_item(const char *name, size_t *count)
{
	*count = 1;
	for (size_t i = 0; i < ITEMS; i++) {
		if (!is_called(&items[i], name))
			continue;
		while (i + *count < ITEMS && items[i + *count].name == NULL)
			++*count;
		return (&items[i]);
	}
	for (size_t i = 0; i < MORE_ITEMS; i++)
		if (is_called(&more_items[i], name))
			return (&more_items[i]);
	return (NULL);
}

static int
print_today(
    FILE *out, struct vmctx *ctx, int vcpu, const struct dump_today *item, struct vmm_error *err)
{
	if (vmm_begin(ctx, VMM_READ, err) != 0)
		return (-1);
	item->print(out, ctx, vcpu);
	vmm_end(ctx, false, NULL);
	return (0);
}

int
dump_one(FILE *out, struct vmctx *ctx, int vcpu, const char *what, struct vmm_error *err)
{
	size_t count;
	const struct dump_item *first = dump_find_item(what, &count);
	const struct dump_today *today = dump_today_find(what);

	if (today != NULL)
		return (print_today(out, ctx, vcpu, today, err));
	if (first == NULL)
		return (1);
	return (print_items(out, ctx, vcpu, first, first + count, err));
}

static void
print_count(void *opaque, const char *name, uint64_t value)
{
	const struct dump *dump = opaque;

	fprintf(dump->out, "%-32s\t%" PRIu64 "\n", name, value);
}

int
dump_stats(FILE *out, struct vmctx *ctx, int vcpu, struct vmm_error *err)
{
	struct dump dump = {.out = out, .ctx = ctx, .vcpu = vcpu};

	fprintf(out, "vcpu%d\n", vcpu);
	return (dump_each_stat(ctx, vcpu, NULL, print_count, &dump, err));
}

const char *
dump_item_name(unsigned index)
{
	size_t count;
	const struct dump_today *today = dump_today_items(&count);
	unsigned n = 0;

	for (size_t i = 0; i < ITEMS; i++)
		if (items[i].name != NULL && n++ == index)
			return (items[i].name);
	index -= n;
	if (index < MORE_ITEMS)
		return (more_items[index].name);
	return (index - MORE_ITEMS < count ? today[index - MORE_ITEMS].name : NULL);
}

static bool
settable(const struct dump_item *item)
{
	return (item->kind == ITEM_REGISTER || item->kind == ITEM_SELECTOR ||
	    item->kind == ITEM_DESC || item->kind == ITEM_TABLE);
}

int
dump_register_by_name(const char *what)
{
	for (size_t i = 0; i < ITEMS; i++)
		if (settable(&items[i]) && strcmp(items[i].name, what) == 0)
			return ((int)items[i].source);
	for (size_t i = 0; i < MORE_ITEMS; i++)
		if (strcmp(more_items[i].name, what) == 0)
			return ((int)more_items[i].source);
	return (-1);
}

void
dump_vmx_exit(FILE *out, int vcpu, const struct vm_exit *vmexit)
{
	fprintf(out, "vm exit[%d]\n", vcpu);
	fprintf(out, "\treason\t\tVMX\n");
	fprintf(out, "\trip\t\t0x%016" PRIx64 "\n", vmexit->rip);
	fprintf(out, "\tinst_length\t%d\n", vmexit->inst_length);
	fprintf(out, "\terror\t\t%d\n", vmexit->u.vmx.error);
	fprintf(out, "\texit_reason\t%" PRIu32 "\n", vmexit->u.vmx.exit_reason);
	fprintf(out, "\tqualification\t0x%016" PRIx64 "\n", vmexit->u.vmx.exit_qualification);
}

/* Names of the exit codes that have no more to tell. */
static const char *const exit_names[VM_EXITCODE_MAX] = {
    [VM_EXITCODE_BOGUS] = "BOGUS",
    [VM_EXITCODE_RDMSR] = "RDMSR",
    [VM_EXITCODE_WRMSR] = "WRMSR",
    [VM_EXITCODE_HLT] = "HLT",
    [VM_EXITCODE_MTRAP] = "MTRAP",
    [VM_EXITCODE_PAUSE] = "PAUSE",
    [VM_EXITCODE_PAGING] = "PAGING",
    [VM_EXITCODE_DEBUG] = "DEBUG",
};

void
dump_exit(FILE *out, int vcpu, const struct vm_exit *vmexit)
{
	if (vmexit->exitcode == VM_EXITCODE_VMX || vmexit->exitcode == VM_EXITCODE_HYPERCALL) {
		dump_vmx_exit(out, vcpu, vmexit);
		return;
	}
	fprintf(out, "vm exit[%d]\n", vcpu);
	fprintf(out, "\trip\t\t0x%016" PRIx64 "\n", vmexit->rip);
	fprintf(out, "\tinst_length\t%d\n", vmexit->inst_length);
	if (vmexit->exitcode == VM_EXITCODE_INOUT) {
		fprintf(out, "\treason\t\tINOUT\n");
		fprintf(out, "\tdirection\t%s\n", vmexit->u.inout.in ? "IN" : "OUT");
		fprintf(out, "\tbytes\t\t%d\n", vmexit->u.inout.bytes);
		fprintf(out, "\tport\t\t0x%04x\n", vmexit->u.inout.port);
		fprintf(out, "\teax\t\t0x%08" PRIx32 "\n", vmexit->u.inout.eax);
	} else {
		fprintf(out, "\treason\t\t%s\n", exit_names[vmexit->exitcode]);
	}
}
