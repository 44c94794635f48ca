/* Subjects from text dumps: names and numbers, in two families of forms. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/subject.h"
#include "vmm/vmm.h"

#define LINE_MAX_BYTES 1024
#define VALUES_MAX 4

/* Where a plain register of a dump goes. */
static const struct {
	const char *name;
	size_t offset; /* in struct vcpu_state, 64 bits */
} registers[] = {
#define GPR(name, n) \
	{ \
		name, offsetof(struct vcpu_state, gpr.reg[n]) \
	}
#define AT(name, field) \
	{ \
		name, offsetof(struct vcpu_state, field) \
	}
    GPR("rax", GPR_RAX),
    GPR("rbx", GPR_RBX),
    GPR("rcx", GPR_RCX),
    GPR("rdx", GPR_RDX),
    GPR("rsi", GPR_RSI),
    GPR("rdi", GPR_RDI),
    GPR("rbp", GPR_RBP),
    GPR("rsp", GPR_RSP),
    GPR("r8", GPR_R8),
    GPR("r9", GPR_R9),
    GPR("r10", GPR_R10),
    GPR("r11", GPR_R11),
    GPR("r12", GPR_R12),
    GPR("r13", GPR_R13),
    GPR("r14", GPR_R14),
    GPR("r15", GPR_R15),
    AT("rip", gpr.rip),
    AT("rflags", gpr.rflags),
    AT("efer", sregs.efer),
    AT("cr0", sregs.cr0),
    AT("cr2", sregs.cr2),
    AT("cr3", sregs.cr3),
    AT("cr4", sregs.cr4),
    AT("dr0", debug.dr[0]),
    AT("dr1", debug.dr[1]),
    AT("dr2", debug.dr[2]),
    AT("dr3", debug.dr[3]),
    AT("dr6", debug.dr6),
    AT("dr7", debug.dr7),
    AT("guest_pat", msr.pat),
    AT("guest_sysenter_cs", msr.sysenter_cs),
    AT("guest_sysenter_sp", msr.sysenter_esp),
    AT("guest_sysenter_ip", msr.sysenter_eip),
#undef AT
#undef GPR
};

static struct x86_segment *
segment_of(struct subject *s, const char *name)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (strcmp(name, segment_names[i]) == 0)
			return (&s->state.sregs.seg[i]);
	if (strcmp(name, "ldtr") == 0 || strcmp(name, "ldt") == 0)
		return (&s->state.sregs.ldtr);
	return (strcmp(name, "tr") == 0 ? &s->state.sregs.tr : NULL);
}

static struct x86_table *
table_of(struct subject *s, const char *name)
{
	if (strcmp(name, "gdtr") == 0 || strcmp(name, "gdt") == 0)
		return (&s->state.sregs.gdtr);
	if (strcmp(name, "idtr") == 0 || strcmp(name, "idt") == 0)
		return (&s->state.sregs.idtr);
	return (NULL);
}

/* A register by its 64-bit name, or by its 32-bit one ("eax", "efl"). */
static uint64_t *
register_of(struct subject *s, const char *name)
{
	char wide[16];

	snprintf(wide, sizeof(wide), "%s", name);
	if (strcmp(name, "efl") == 0 || strcmp(name, "rfl") == 0 || strcmp(name, "eflags") == 0)
		snprintf(wide, sizeof(wide), "rflags");
	else if (name[0] == 'e' && strlen(name) == 3)
		wide[0] = 'r';
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (strcmp(wide, registers[i].name) == 0)
			return ((uint64_t *)(void *)((char *)&s->state + registers[i].offset));
	return (NULL);
}

/* --- vmmctl, bhyvectl: name[0] 0xvalue, cs desc[0] 0xbase/0xlimit/0xaccess ---------------------------- */

struct dump_line {
	char name[64];
	uint64_t value[VALUES_MAX];
	unsigned count;
};

/* Take "NAME[N] VALUE/VALUE..." apart. */
static bool
parse_line(const char *text, struct dump_line *line)
{
	const char *bracket = strchr(text, '[');
	char *end;

	if (bracket == NULL || bracket == text || (size_t)(bracket - text) >= sizeof(line->name) ||
	    !isdigit((unsigned char)bracket[1]))
		return (false);
	snprintf(line->name, sizeof(line->name), "%.*s", (int)(bracket - text), text);
	text = strchr(bracket, ']');
	if (text == NULL)
		return (false);
	line->count = 0;
	for (text++; line->count < VALUES_MAX; text = end + 1) {
		line->value[line->count] = strtoull(text, &end, 0);
		if (end == text)
			break;
		line->count++;
		if (*end != '/')
			break;
	}
	return (line->count > 0);
}

static void
take_descriptor(struct subject *s, const struct dump_line *line)
{
	char name[sizeof(line->name)];
	struct x86_segment *seg;

	snprintf(name, sizeof(name), "%s", line->name);
	name[strcspn(name, " ")] = '\0';
	seg = segment_of(s, name);
	if (seg == NULL || line->count < 3)
		return;
	seg->base = line->value[0];
	seg->limit = (uint32_t)line->value[1];
	seg->access = (uint32_t)line->value[2];
}

/* Whether LINE says something about the CPU that is understood. */
static bool
take_bhyve_line(struct subject *s, const struct dump_line *line)
{
	uint64_t *reg = register_of(s, line->name);
	struct x86_segment *seg = segment_of(s, line->name);
	struct x86_table *table = table_of(s, line->name);

	if (strstr(line->name, " desc") != NULL) {
		take_descriptor(s, line);
	} else if (reg != NULL) {
		*reg = line->value[0];
	} else if (seg != NULL) {
		seg->selector = (uint16_t)line->value[0];
	} else if (table != NULL && line->count >= 2) {
		table->base = line->value[0];
		table->limit = (uint32_t)line->value[1];
	} else if (strcmp(line->name, "procbased_ctls2") == 0) {
		s->has_vmx = true;
		s->vmx.caps = line->value[0] & VMX_PROC2_UNRESTRICTED_GUEST
		    ? 1u << VMX_CAP_UNRESTRICTED_GUEST
		    : 0;
	} else if (strcmp(line->name, "vmcs_exit_reason") == 0) {
		s->has_exit = line->value[0] != 0;
		s->vmx.exit_reason = (uint32_t)line->value[0];
	} else if (strcmp(line->name, "entry_ctls") == 0) {
		s->entry_ctls = (uint32_t)line->value[0];
	} else if (strcmp(line->name, "vmcs_pointer") == 0) {
		s->vmcs_link = line->value[0];
	} else if (strcmp(line->name, "vmcs_guest_interruptibility") == 0) {
		s->state.events.interruptibility = (uint32_t)line->value[0];
	} else if (strcmp(line->name, "entry_interruption_info") == 0) {
		s->vmx.entry_interruption_info = (uint32_t)line->value[0];
	} else {
		return (false);
	}
	return (true);
}

/* --- QEMU, KVM: RAX=value ..., CS =selector base limit flags ------------------------------------------ */

/* "NAME =WORD WORD ..." with up to VALUES_MAX hexadecimal words; what is behind them is at *REST. */
static bool
parse_words(const char *text, struct dump_line *line, const char **rest)
{
	size_t length = strcspn(text, " =");
	char *end;

	if (length == 0 || length >= sizeof(line->name))
		return (false);
	for (size_t i = 0; i < length; i++)
		line->name[i] = (char)tolower((unsigned char)text[i]);
	line->name[length] = '\0';
	text += length;
	text += strspn(text, " ");
	if (*text++ != '=')
		return (false);
	for (line->count = 0; line->count < VALUES_MAX; line->count++, text = end) {
		text += strspn(text, " ");
		line->value[line->count] = strtoull(text, &end, 16);
		if (end == text || (*end != ' ' && *end != '\0'))
			break;
	}
	*rest = text;
	return (line->count > 0);
}

/* QEMU's flags of a segment are the descriptor's upper half. */
static bool
take_qemu_words(struct subject *s, const struct dump_line *line)
{
	struct x86_segment *seg = segment_of(s, line->name);
	struct x86_table *table = table_of(s, line->name);

	if (seg != NULL && line->count == VALUES_MAX) {
		seg->selector = (uint16_t)line->value[0];
		seg->base = line->value[1];
		seg->limit = (uint32_t)line->value[2];
		seg->access = (uint32_t)(line->value[3] >> 8) & 0xf0ff;
		if (!(seg->access & AR_P))
			seg->access |= AR_UNUSABLE;
	} else if (table != NULL && line->count >= 2) {
		table->base = line->value[0];
		table->limit = (uint32_t)line->value[1];
	} else {
		return (false);
	}
	return (true);
}

/* A line of QEMU's: one segment, or several NAME=VALUE. How many things were understood. */
static unsigned
take_qemu_line(struct subject *s, const char *text)
{
	unsigned understood = 0;
	const char *rest;
	struct dump_line line;

	if (parse_words(text, &line, &rest) && take_qemu_words(s, &line))
		return (1);
	while (*text != '\0') {
		uint64_t *reg;

		text += strspn(text, " \t");
		if (parse_words(text, &line, &rest) && (reg = register_of(s, line.name)) != NULL) {
			*reg = line.value[0];
			understood++;
		}
		text += strcspn(text, " \t=");
		text += strspn(text, " =");
		text += strcspn(text, " \t");
	}
	return (understood);
}

int
subject_from_dump(struct subject *s, FILE *in, const char *name, struct vmm_error *err)
{
	char text[LINE_MAX_BYTES];
	unsigned understood = 0;
	struct dump_line line;

	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->state.debug.dr6 = 0xffff0ff0;
	s->vmcs_link = UINT64_MAX;
	while (fgets(text, sizeof(text), in) != NULL) {
		text[strcspn(text, "\r\n")] = '\0';
		if (parse_line(text, &line))
			understood += take_bhyve_line(s, &line);
		else
			understood += take_qemu_line(s, text);
	}
	if (ferror(in))
		return (vmm_fail(err, errno, "%s: cannot be read: %s", name, strerror(errno)));
	if (understood < 8)
		return (vmm_fail(err, EINVAL,
		    "%s: no register dump (of vmmctl, bhyvectl, or QEMU's info registers)", name));
	return (0);
}
