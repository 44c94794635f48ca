/* Changes of a virtual CPU, made and told. Numbers of 64 bits go as text: JSON's may lose bits. */
#include "control/change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/dump.h"

#define NUMBER_SIZE 24

static int
apply_register(struct vmctx *ctx, int vcpu, const struct change *change)
{
	int reg = dump_register_by_name(change->what);

	if (reg >= 0)
		return (vm_set_register(ctx, vcpu, reg, change->value));
	errno = EINVAL;
	return (-1);
}

/* Parts of the descriptor that are not given stay. */
static int
apply_descriptor(struct vmctx *ctx, int vcpu, const struct change *change)
{
	int reg = dump_register_by_name(change->what);
	uint32_t limit, access;
	uint64_t base;

	if (vm_get_desc(ctx, vcpu, reg, &base, &limit, &access) != 0)
		return (-1);
	return (vm_set_desc(ctx, vcpu, reg, change->has_base ? change->base : base,
	    change->has_limit ? change->limit : limit,
	    change->has_access ? change->access : access));
}

static int
apply_capability(struct vmctx *ctx, int vcpu, const struct change *change)
{
	int cap = vm_capability_name2type(change->what);

	if (cap >= 0)
		return (vm_set_capability(ctx, vcpu, (enum vm_cap_type)cap, change->value != 0));
	errno = EINVAL;
	return (-1);
}

static int
apply_pinning(struct vmctx *ctx, int vcpu, const struct change *change)
{
	return (vm_set_pinning(ctx, vcpu, (int)(int64_t)change->value));
}

static int
apply_exception_bitmap(struct vmctx *ctx, int vcpu, const struct change *change)
{
	vmm_vmx(ctx, vcpu)->exception_bitmap = (uint32_t)change->value;
	return (0);
}

static int
apply_entry_info(struct vmctx *ctx, int vcpu, const struct change *change)
{
	vmm_vmx(ctx, vcpu)->entry_interruption_info = (uint32_t)change->value;
	return (0);
}

static int
apply_nmi(struct vmctx *ctx, int vcpu, const struct change *change)
{
	(void)change;
	return (vm_inject_nmi(ctx, vcpu));
}

/* Each kind: its member in JSON, and what the option of vmmctl is called. */
static const struct {
	const char *member;
	const char *option;
	bool named; /* the member is a name, and the value stands beside it */
	int (*apply)(struct vmctx *ctx, int vcpu, const struct change *change);
} kinds[] = {
    [CHANGE_REGISTER] = {"register", "set-", true, apply_register},
    [CHANGE_DESCRIPTOR] = {"descriptor", "set-", true, apply_descriptor},
    [CHANGE_CAPABILITY] = {"capability", "setcap for ", true, apply_capability},
    [CHANGE_PINNING] = {"pinning", "set-pinning", false, apply_pinning},
    [CHANGE_EXCEPTION_BITMAP] = {"exception-bitmap", "set-vmcs-exception-bitmap", false,
	apply_exception_bitmap},
    [CHANGE_ENTRY_INFO] = {"entry-interruption-info", "set-vmcs-entry-interruption-info", false,
	apply_entry_info},
    [CHANGE_NMI] = {"nmi", "inject-nmi", false, apply_nmi},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

int
change_apply(struct vmctx *ctx, int vcpu, const struct change *change, struct vmm_error *err)
{
	if (vmm_vmx(ctx, vcpu) != NULL && kinds[change->kind].apply(ctx, vcpu, change) == 0)
		return (0);
	return (vmm_fail(err, errno, "--%s%s: %s", kinds[change->kind].option,
	    kinds[change->kind].named ? change->what : "", strerror(errno)));
}

static void
put_number(json_t *json, const char *name, uint64_t value)
{
	char text[NUMBER_SIZE];

	snprintf(text, sizeof(text), "%#" PRIx64, value);
	json_object_set_new(json, name, json_string(text));
}

json_t *
change_to_json(const struct change *change)
{
	json_t *json = json_object();

	if (!kinds[change->kind].named) {
		put_number(json, kinds[change->kind].member, change->value);
		return (json);
	}
	json_object_set_new(json, kinds[change->kind].member, json_string(change->what));
	if (change->kind != CHANGE_DESCRIPTOR)
		put_number(json, "value", change->value);
	if (change->has_base)
		put_number(json, "base", change->base);
	if (change->has_limit)
		put_number(json, "limit", change->limit);
	if (change->has_access)
		put_number(json, "access", change->access);
	return (json);
}

/* A number, or one as text; false: it is neither. */
static bool
read_number(const json_t *json, uint64_t *value)
{
	const char *text = json_string_value(json);
	char *end;

	*value = (uint64_t)json_integer_value(json);
	if (text == NULL)
		return (json_is_integer(json));
	errno = 0;
	*value = strtoull(text, &end, 0);
	return (errno == 0 && *text != '\0' && *text != '-' && *end == '\0');
}

/* The member NAME, if it is there and at most MAX: to *VALUE. False: it is no number. */
static bool
get_number(const json_t *json, const char *name, uint64_t max, uint64_t *value, bool *there)
{
	const json_t *member = json_object_get(json, name);

	*there = member != NULL;
	return (member == NULL || (read_number(member, value) && *value <= max));
}

/* A descriptor goes by the name that its option has. */
static bool
is_register(const struct change *change)
{
	int reg = dump_register_by_name(change->what);
	bool descriptor = strncmp(change->what, "desc-", 5) == 0;

	return (reg >= 0 && descriptor == (change->kind == CHANGE_DESCRIPTOR));
}

int
change_from_json(const json_t *json, struct change *out, struct vmm_error *err)
{
	uint64_t limit = 0, access = 0;
	bool has_value;
	size_t kind = 0;

	while (kind < KINDS && json_object_get(json, kinds[kind].member) == NULL)
		kind++;
	if (kind == KINDS)
		return (vmm_fail(err, EINVAL, "a change names none of what can be changed"));
	*out = (struct change){.kind = (enum change_kind)kind};
	if (!kinds[kind].named) {
		if (!get_number(json, kinds[kind].member, UINT64_MAX, &out->value, &has_value))
			return (vmm_fail(err, EINVAL, "%s: not a number", kinds[kind].member));
		return (0);
	}
	out->what = json_string_value(json_object_get(json, kinds[kind].member));
	if (out->what == NULL || (kind != CHANGE_CAPABILITY && !is_register(out)))
		return (vmm_fail(err, EINVAL, "no such %s", kinds[kind].member));
	if (!get_number(json, "value", UINT64_MAX, &out->value, &has_value) ||
	    !get_number(json, "base", UINT64_MAX, &out->base, &out->has_base) ||
	    !get_number(json, "limit", UINT32_MAX, &limit, &out->has_limit) ||
	    !get_number(json, "access", UINT32_MAX, &access, &out->has_access) ||
	    (kind != CHANGE_DESCRIPTOR && !has_value))
		return (vmm_fail(err, EINVAL, "%s: not a number", out->what));
	out->limit = (uint32_t)limit;
	out->access = (uint32_t)access;
	return (0);
}
