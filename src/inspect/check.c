/* See check.h. */
#include "inspect/check.h"

#include <inttypes.h>
#include <string.h>

#define UNRESTRICTED (1u << VMX_CAP_UNRESTRICTED_GUEST)
#define REVISION "SDM vol. 3C of March 2023"

struct check_result
check(const struct subject *s, uint32_t caps)
{
	struct vmx_guest guest = subject_guest(s);
	struct check_result result = {.unrestricted = (caps & UNRESTRICTED) != 0};
	struct vmx vmx = s->vmx;
	const struct vmx_rule *rules;
	size_t count;

	vmx.caps = caps;
	guest.vmx = &vmx;
	rules = vmx_entry_rules(&count);
	for (size_t i = 0; i < count && i < CHECK_RULES_MAX; i++) {
		if (vmx_rule_unknown(&rules[i], &guest))
			result.unknown[result.nunknown++] = &rules[i];
		else if (!vmx_rule_holds(&rules[i], &guest))
			result.broken[result.nbroken++] = &rules[i];
		result.nrules++;
	}
	return (result);
}

/* Call TELL with each field that RULE names, and its value. */
static void
each_field(const struct subject *s, const struct check_result *result, const struct vmx_rule *rule,
    void (*tell)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	struct vmx_guest guest = subject_guest(s);
	struct vmx vmx = s->vmx;
	char names[128], *rest, *name;
	uint64_t value;

	vmx.caps &= ~UNRESTRICTED;
	vmx.caps |= result->unrestricted ? UNRESTRICTED : 0;
	guest.vmx = &vmx;
	snprintf(names, sizeof(names), "%s", rule->fields);
	for (name = strtok_r(names, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest))
		if (vmx_field(&guest, name, &value))
			tell(opaque, name, value);
}

static void
print_field(void *opaque, const char *name, uint64_t value)
{
	fprintf(opaque, "  %s %#" PRIx64, name, value);
}

static void
print_mend(FILE *out, const struct subject *s, const struct check_result *result)
{
	struct check_result with;

	if (result->unrestricted)
		return;
	with = check(s, s->vmx.caps | UNRESTRICTED);
	if (with.nbroken == 0)
		fprintf(out,
		    "with unrestricted guest (bit 7 of procbased_ctls2; bhyve -b sets it) nothing "
		    "fails\n");
	else if (with.nbroken < result->nbroken)
		fprintf(out, "with unrestricted guest %u of them fail%s\n", with.nbroken,
		    with.nbroken == 1 ? "s" : "");
}

void
check_print(FILE *out, const struct subject *s, const struct check_result *result)
{
	const char *with = result->unrestricted ? "with" : "without";

	if (result->nbroken == 0)
		fprintf(out,
		    "%s: VM entry succeeds: none of %u rules fails, %s unrestricted guest\n",
		    s->name, result->nrules, with);
	else
		fprintf(out, "%s: VM entry fails: %u of %u rules, %s unrestricted guest (%s)\n",
		    s->name, result->nbroken, result->nrules, with, REVISION);
	for (unsigned i = 0; i < result->nbroken; i++) {
		fprintf(out, "%-18s %s  %s\n%18s ", result->broken[i]->name,
		    result->broken[i]->section, result->broken[i]->title, "");
		each_field(s, result, result->broken[i], print_field, out);
		fprintf(out, "\n");
	}
	for (unsigned i = 0; i < result->nunknown; i++)
		fprintf(out, "not checked without memory: %s, %s\n", result->unknown[i]->name,
		    result->unknown[i]->title);
	print_mend(out, s, result);
}

static void
add_field(void *opaque, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%#" PRIx64, value);
	json_object_set_new(opaque, name, json_string(text));
}

static json_t *
rules_json(const struct subject *s, const struct check_result *result,
    const struct vmx_rule *const *rules, unsigned count)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++) {
		json_t *fields = json_object();

		each_field(s, result, rules[i], add_field, fields);
		json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:o}", "rule", rules[i]->name, "section",
			rules[i]->section, "must", rules[i]->title, "fields", fields));
	}
	return (list);
}

json_t *
check_json(const struct subject *s, const struct check_result *result)
{
	return (json_pack("{s:s, s:s, s:b, s:i, s:o, s:o}", "name", s->name, "revision", REVISION,
	    "unrestricted", (int)result->unrestricted, "rules", (int)result->nrules, "failed",
	    rules_json(s, result, result->broken, result->nbroken), "unknown",
	    rules_json(s, result, result->unknown, result->nunknown)));
}

void
check_line(char *text, size_t size, const struct check_result *result)
{
	size_t used = 0;
	bool mend = false;

	if (result->nbroken == 0)
		snprintf(text, size, "invalid guest state");
	for (unsigned i = 0; i < result->nbroken && used < size; i++) {
		const struct vmx_rule *rule = result->broken[i];

		mend |= rule->broken != NULL;
		used += (size_t)snprintf(text + used, size - used, "%s%s: %s", i > 0 ? "; " : "",
		    rule->name, vmx_rule_broken(rule));
	}
	if (result->nbroken > 0 && used < size)
		used += (size_t)snprintf(text + used, size - used, " (SDM vol. 3C, 27.3.1)");
	if (mend && used < size)
		snprintf(text + used, size - used, ": bhyve -b sets it");
}
