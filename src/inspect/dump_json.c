/* vmmctl's items and counters as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "inspect/dump.h"
#include "inspect/dump_items.h"
#include "inspect/dump_today.h"

/* What is being told. */
struct teller {
	json_t *out;
	struct vmctx *ctx;
	int vcpu;
	struct vmx_view view;
};

static json_t *
hex(uint64_t value, int digits)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%0*" PRIx64, digits, value);
	return (json_string(text));
}

static json_t *
memory_value(const struct teller *t, const struct dump_item *item)
{
	vm_paddr_t hpa;
	size_t len;

	if (vm_get_memory_seg(t->ctx, item->source, &hpa, &len) != 0)
		return (NULL);
	return (json_pack("{s:o, s:I}", "hpa", hex(hpa, 16), "length", (json_int_t)len));
}

static json_t *
descriptor_value(const struct teller *t, const struct dump_item *item)
{
	uint64_t base;
	uint32_t limit, access;
	json_t *value;

	if (vm_get_desc(t->ctx, t->vcpu, (int)item->source, &base, &limit, &access) != 0)
		return (NULL);
	value = json_pack("{s:o, s:o}", "base", hex(base, 16), "limit", hex(limit, 8));
	if (item->kind == ITEM_DESC)
		json_object_set_new(value, "access", hex(access, 8));
	return (value);
}

static json_t *
register_value(const struct teller *t, const struct dump_item *item)
{
	uint64_t value;

	if (vm_get_register(t->ctx, t->vcpu, (int)item->source, &value) != 0)
		return (NULL);
	return (hex(value, item->kind == ITEM_SELECTOR ? 4 : 16));
}

static json_t *
pinning_value(const struct teller *t)
{
	int hostcpu;

	if (vm_get_pinning(t->ctx, t->vcpu, &hostcpu) != 0)
		return (NULL);
	return (json_integer(hostcpu));
}

static json_t *
stats_value(const struct teller *t, const struct dump_item *item)
{
	int entries;
	const uint64_t *stats = vm_get_stats(t->ctx, t->vcpu, NULL, &entries);
	json_t *value = stats != NULL ? json_object() : NULL;

	for (int i = 0; value != NULL && i < entries && i < (int)item->source; i++)
		json_object_set_new(
		    value, vm_get_stat_desc(t->ctx, i), json_integer((json_int_t)stats[i]));
	return (value);
}

static json_t *
msrs_value(void)
{
	size_t count;
	const struct vmx_msr_access *msrs = vmx_msr_bitmap(&count);
	json_t *value = json_object();
	char name[16];

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "0x%08" PRIx32, msrs[i].msr);
		json_object_set_new(value, name, json_string(msrs[i].access));
	}
	return (value);
}

static json_t *
view_value(const struct teller *t, const struct dump_item *item)
{
	int digits = item->kind == ITEM_VIEW64 ? 16 : item->kind == ITEM_VIEW32 ? 8 : 4;
	uint64_t value;

	memcpy(&value, (const char *)&t->view + item->source, sizeof(value));
	return (hex(value, digits));
}

static json_t *
item_value(const struct teller *t, const struct dump_item *item)
{
	switch (item->kind) {
	case ITEM_MEMORY:
		return (memory_value(t, item));
	case ITEM_REGISTER:
	case ITEM_SELECTOR:
		return (register_value(t, item));
	case ITEM_DESC:
	case ITEM_TABLE:
		return (descriptor_value(t, item));
	case ITEM_PINNING:
		return (pinning_value(t));
	case ITEM_STATS:
		return (stats_value(t, item));
	case ITEM_MSRS:
		return (msrs_value());
	default:
		return (view_value(t, item));
	}
}

/* COUNT items from FIRST on, with the VM locked once for all. */
static int
tell_items(json_t *out, struct vmctx *ctx, int vcpu, const struct dump_item *first, size_t count,
    struct vmm_error *err)
{
	struct teller t = {.out = out, .ctx = ctx, .vcpu = vcpu};
	int error = 0;

	if (vmm_begin(ctx, VMM_READ, err) != 0)
		return (-1);
	t.view = vmm_view(ctx, vcpu);
	for (size_t i = 0; i < count && error == 0; i++) {
		const char *name = first[i].name != NULL ? first[i].name : first[i].label;

		/* A value that is not there cannot be added. */
		error = json_object_set_new(out, name, item_value(&t, &first[i]));
	}
	vmm_end(ctx, false, NULL);
	if (error != 0)
		return (vmm_fail(err, EINVAL, "%s: cannot be read", vmm_name(ctx)));
	return (0);
}

int
dump_all_json(json_t *out, struct vmctx *ctx, int vcpu, struct vmm_error *err)
{
	size_t count, nmore;
	const struct dump_item *more, *items = dump_items(&count, &more, &nmore);

	if (tell_items(out, ctx, vcpu, items, count, err) != 0)
		return (-1);
	return (tell_items(out, ctx, vcpu, more, nmore, err));
}

static int
tell_today(
    json_t *out, struct vmctx *ctx, int vcpu, const struct dump_today *item, struct vmm_error *err)
{
	if (vmm_begin(ctx, VMM_READ, err) != 0)
		return (-1);
	json_object_set_new(out, item->name, item->value(ctx, vcpu));
	vmm_end(ctx, false, NULL);
	return (0);
}

int
dump_one_json(json_t *out, struct vmctx *ctx, int vcpu, const char *what, struct vmm_error *err)
{
	size_t count;
	const struct dump_item *first = dump_find_item(what, &count);
	const struct dump_today *today = dump_today_find(what);

	if (today != NULL)
		return (tell_today(out, ctx, vcpu, today, err));
	if (first == NULL)
		return (1);
	return (tell_items(out, ctx, vcpu, first, count, err));
}

static void
set_count(void *opaque, const char *name, uint64_t value)
{
	json_object_set_new(opaque, name, json_integer((json_int_t)value));
}

int
dump_stats_json(json_t *out, struct vmctx *ctx, int vcpu, const struct machine_counts *counts,
    struct vmm_error *err)
{
	return (dump_each_stat(ctx, vcpu, counts, set_count, out, err));
}
