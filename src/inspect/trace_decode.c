/*
 * BIOS calls in words. A service's arguments and results are a text with what to put in between
 * braces, {SOURCE} or {SOURCE:FORM}.
 *
 * SOURCE: a register (al, bx, ecx, es); b[ds:si+2], w[..], d[..], q[..], memory; @NAME, a function
 * of the table below. FORM: none, hexadecimal with an h; d, decimal; x, hexadecimal digits alone;
 * c, a character; f, a far pointer; t, two decimal digits from BCD.
 *
 * Registers of the services: IBM PC/AT Technical Reference; Phoenix EDD 3.0; Ralf Brown's list.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/trace_parts.h"

/* Whether AH and CF say that a call failed. */
enum outcome {
	PLAIN, /* no: it always returns the same */
	CARRY, /* CF: it failed, and AH says why */
};

struct decode {
	uint8_t vector;
	const char *name; /* as in the table of services */
	const char *args;
	const char *result;
	enum outcome outcome;
};

#define CHS "drive {dl}, cylinder {@cylinder:d}, head {dh:d}, sector {@sector:d}, count {al:d}"
#define PACKET "drive {dl}, lba {q[ds:si+8]:d}, count {w[ds:si+2]:d}, {@direction} {d[ds:si+4]:f}"
#define FONT "{cx:d} glyphs of {bh:d} lines from {es:x}:{bp:x}, character {dx}, block {bl:d}"
#define WINDOW "by {al:d}, rows {ch:d}-{dh:d}, columns {cl:d}-{dl:d}, attribute {bh}"

static const struct decode decodes[] = {
    {0x10, "set_mode", "mode {al}", "", PLAIN},
    {0x10, "cursor_shape", "lines {ch}-{cl}", "", PLAIN},
    {0x10, "set_cursor", "page {bh:d}, row {dh:d}, column {dl:d}", "", PLAIN},
    {0x10, "get_cursor", "page {bh:d}", "row {dh:d}, column {dl:d}, lines {ch}-{cl}", PLAIN},
    {0x10, "select_page", "page {al:d}", "", PLAIN},
    {0x10, "scroll_up", WINDOW, "", PLAIN},
    {0x10, "scroll_down", WINDOW, "", PLAIN},
    {0x10, "read_character", "page {bh:d}", "{al:c}, attribute {ah}", PLAIN},
    {0x10, "write_character_attribute", "{al:c}, count {cx:d}, attribute {bl}, page {bh:d}", "",
	PLAIN},
    {0x10, "write_character", "{al:c}, count {cx:d}, page {bh:d}", "", PLAIN},
    {0x10, "teletype", "{al:c}", "", PLAIN},
    {0x10, "get_mode", "", "mode {al}, {ah:d} columns, page {bh:d}", PLAIN},
    {0x10, "load_font", FONT, "", PLAIN},
    {0x10, "load_8x14", "block {bl:d}", "", PLAIN},
    {0x10, "load_8x8", "block {bl:d}", "", PLAIN},
    {0x10, "select_fonts", "blocks {bl}", "", PLAIN},
    {0x10, "load_8x16", "block {bl:d}", "", PLAIN},
    {0x10, "set_font", FONT, "", PLAIN},
    {0x10, "set_8x14", "block {bl:d}", "", PLAIN},
    {0x10, "set_8x8", "block {bl:d}", "", PLAIN},
    {0x10, "set_8x16", "block {bl:d}", "", PLAIN},
    {0x10, "font_vector", "to {es:x}:{bp:x}", "", PLAIN},
    {0x10, "graphics_font", "to {es:x}:{bp:x}, height {cx:d}, rows {bl:d} {dl:d}", "", PLAIN},
    {0x10, "graphics_8x14", "rows {bl:d} {dl:d}", "", PLAIN},
    {0x10, "graphics_8x8", "rows {bl:d} {dl:d}", "", PLAIN},
    {0x10, "graphics_8x16", "rows {bl:d} {dl:d}", "", PLAIN},
    {0x10, "font_information", "font {bh}", "{es:x}:{bp:x}, height {cx:d}, last row {dl:d}", PLAIN},
    {0x10, "alternate_select", "function {bl}", "ax {ax}, bx {bx}, cx {cx}", PLAIN},
    {0x10, "write_string", "{@string}, row {dh:d}, column {dl:d}, attribute {bl}, mode {al:d}", "",
	PLAIN},
    {0x10, "get_display", "", "{bl}, other {bh}", PLAIN},
    {0x10, "set_display", "{bl}, other {bh}", "", PLAIN},
    {0x11, "equipment", "", "{ax}", PLAIN},
    {0x12, "memory_size", "", "{ax:d} KB", PLAIN},
    {0x13, "reset", "drive {dl}", "", CARRY},
    {0x13, "status", "drive {dl}", "", CARRY},
    {0x13, "read", CHS ", to {es:x}:{bx:x}", "", CARRY},
    {0x13, "write", CHS ", from {es:x}:{bx:x}", "", CARRY},
    {0x13, "verify", CHS, "", CARRY},
    {0x13, "parameters", "drive {dl}",
	"cylinders {@cylinders:d}, heads {@heads:d}, sectors {@sector:d}, drives {dl:d}", CARRY},
    {0x13, "set_parameters", "drive {dl}", "", CARRY},
    {0x13, "seek", "drive {dl}, cylinder {@cylinder:d}, head {dh:d}", "", CARRY},
    {0x13, "alternate_reset", "drive {dl}", "", CARRY},
    {0x13, "ready", "drive {dl}", "", CARRY},
    {0x13, "recalibrate", "drive {dl}", "", CARRY},
    {0x13, "diagnose", "drive {dl}", "", CARRY},
    {0x13, "type", "drive {dl}", "{@drivetype}", CARRY},
    {0x13, "change", "drive {dl}", "not changed", CARRY},
    {0x13, "extensions", "drive {dl}, signature {bx}", "version {ah}, interfaces {cx}", CARRY},
    {0x13, "extended_read", PACKET, "", CARRY},
    {0x13, "extended_write", PACKET, "", CARRY},
    {0x13, "drive_parameters", "drive {dl}, to {ds:x}:{si:x}",
	"{q[ds:si+16]:d} sectors of {w[ds:si+24]:d} bytes", CARRY},
    {0x14, "initialize", "port {dx:d}, parameters {al}", "line {ah}, modem {al}", PLAIN},
    {0x14, "send", "port {dx:d}, {al:c}", "line {ah}", PLAIN},
    {0x14, "receive", "port {dx:d}", "{al:c}, line {ah}", PLAIN},
    {0x14, "status", "port {dx:d}", "line {ah}, modem {al}", PLAIN},
    {0x15, "a20_off", "", "", CARRY},
    {0x15, "a20_on", "", "", CARRY},
    {0x15, "a20_status", "", "{@onoff}", CARRY},
    {0x15, "a20_support", "", "{bx}", CARRY},
    {0x15, "keyboard_intercept", "scan code {al}", "scan code {al}", PLAIN},
    {0x15, "device_open", "device {bx}, process {cx}", "", CARRY},
    {0x15, "device_close", "device {bx}, process {cx}", "", CARRY},
    {0x15, "program_end", "device {bx}", "", CARRY},
    {0x15, "sysreq", "{al}", "", CARRY},
    {0x15, "wait", "{@waits:d} us", "", CARRY},
    {0x15, "move_block", "{cx:d} words from {@movefrom} to {@moveto}", "", CARRY},
    {0x15, "extended_memory", "", "{ax:d} KB", CARRY},
    {0x15, "configuration", "", "table at {es:x}:{bx:x}", CARRY},
    {0x15, "ebda", "", "segment {es:x}", CARRY},
    {0x15, "device_busy", "type {al}", "", PLAIN},
    {0x15, "interrupt_complete", "type {al}", "", PLAIN},
    {0x15, "memory_map", "entry {ebx:d}, to {es:x}:{di:x}, {ecx:d} bytes",
	"{q[es:di]} length {q[es:di+8]}, {@e820type}, next entry {ebx:d}", CARRY},
    {0x16, "read", "", "{@key}", PLAIN},
    {0x16, "check", "", "{@maybekey}", PLAIN},
    {0x16, "shift", "", "{al}", PLAIN},
    {0x16, "put", "{@putkey}", "{@room}", PLAIN},
    {0x16, "extended_read", "", "{@key}", PLAIN},
    {0x16, "extended_check", "", "{@maybekey}", PLAIN},
    {0x16, "extended_shift", "", "{ax}", PLAIN},
    {0x17, "print", "printer {dx:d}, {al:c}", "{ah}", PLAIN},
    {0x17, "initialize", "printer {dx:d}", "{ah}", PLAIN},
    {0x17, "status", "printer {dx:d}", "{ah}", PLAIN},
    {0x1a, "get_ticks", "", "{@ticks:d}{@midnight}", PLAIN},
    {0x1a, "set_ticks", "{@ticks:d}", "", PLAIN},
    {0x1a, "get_time", "", "{ch:t}:{cl:t}:{dh:t}", CARRY},
    {0x1a, "set_time", "{ch:t}:{cl:t}:{dh:t}", "", CARRY},
    {0x1a, "get_date", "", "{ch:t}{cl:t}-{dh:t}-{dl:t}", CARRY},
    {0x1a, "set_date", "{ch:t}{cl:t}-{dh:t}-{dl:t}", "", CARRY},
};

/* Two services of INT 15h have names that others have too. */
static const struct decode e801 = {
    0x15, "memory_size", "", "{ax:d} KB from 1 MB, {bx:d} x 64 KB from 16 MB", CARRY};

/* What AH says of a call that failed: INT 13h (IBM), INT 15h. */
static const struct {
	uint8_t vector, status;
	const char *words;
} errors[] = {
    {0x13, 0x01, "no such function or parameter"},
    {0x13, 0x02, "address mark not found"},
    {0x13, 0x03, "write protected"},
    {0x13, 0x04, "sector not found"},
    {0x13, 0x05, "reset failed"},
    {0x13, 0x06, "medium changed"},
    {0x13, 0x07, "bad drive parameters"},
    {0x13, 0x08, "DMA overrun"},
    {0x13, 0x09, "buffer crosses 64 KB"},
    {0x13, 0x0a, "bad sector"},
    {0x13, 0x0c, "no such medium"},
    {0x13, 0x10, "bad checksum"},
    {0x13, 0x20, "controller failed"},
    {0x13, 0x40, "seek failed"},
    {0x13, 0x80, "not ready"},
    {0x13, 0xaa, "drive not ready"},
    {0x13, 0xb0, "not locked"},
    {0x13, 0xb1, "locked"},
    {0x13, 0xbb, "undefined error"},
    {0x13, 0xcc, "write fault"},
    {0x15, 0x80, "no such function"},
    {0x15, 0x86, "no such function"},
};

/* --- values -------------------------------------------------------------------------------------------- */

struct context {
	const struct vcpu_state *s;
	struct memory *mem;
	uint64_t flags_at;
	const char *name; /* of the service */
};

/* A register's place: where its value begins, and how many bits it has. */
static const struct {
	char name[4];
	uint8_t reg, shift, bits;
} registers[] = {
    {"al", GPR_RAX, 0, 8},
    {"ah", GPR_RAX, 8, 8},
    {"bl", GPR_RBX, 0, 8},
    {"bh", GPR_RBX, 8, 8},
    {"cl", GPR_RCX, 0, 8},
    {"ch", GPR_RCX, 8, 8},
    {"dl", GPR_RDX, 0, 8},
    {"dh", GPR_RDX, 8, 8},
    {"ax", GPR_RAX, 0, 16},
    {"bx", GPR_RBX, 0, 16},
    {"cx", GPR_RCX, 0, 16},
    {"dx", GPR_RDX, 0, 16},
    {"si", GPR_RSI, 0, 16},
    {"di", GPR_RDI, 0, 16},
    {"bp", GPR_RBP, 0, 16},
    {"ebx", GPR_RBX, 0, 32},
    {"ecx", GPR_RCX, 0, 32},
};

static uint64_t
read_memory(const struct context *c, uint64_t at, unsigned bytes)
{
	uint64_t value = 0;

	return (memory_read(c->mem, at, &value, bytes) ? value : 0);
}

static uint64_t
segment_base(const struct context *c, const char *name)
{
	return (c->s->sregs.seg[name[0] == 'd' ? SEG_DS : SEG_ES].base);
}

/* The register NAME of LENGTH characters; its width in bits, 0 when there is none. */
static unsigned
read_register(const struct context *c, const char *name, size_t length, uint64_t *value)
{
	if (length == 2 && name[1] == 's' && (name[0] == 'd' || name[0] == 'e')) {
		*value = c->s->sregs.seg[name[0] == 'd' ? SEG_DS : SEG_ES].selector;
		return (16);
	}
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		if (registers[i].name[length] != '\0' ||
		    memcmp(registers[i].name, name, length) != 0)
			continue;
		*value = c->s->gpr.reg[registers[i].reg] >> registers[i].shift &
		    (UINT64_MAX >> (64 - registers[i].bits));
		return (registers[i].bits);
	}
	return (0);
}

/* "w[ds:si+2]": the memory it names; its width in bits. */
static unsigned
read_operand(const struct context *c, const char *text, uint64_t *value)
{
	static const char sizes[] = "bwdq";
	unsigned bytes = 1u << (strchr(sizes, text[0]) - sizes);
	const char *plus = strpbrk(text, "+]");
	uint64_t offset = 0;

	read_register(c, text + 5, 2, &offset);
	if (*plus == '+')
		offset += strtoul(plus + 1, NULL, 10);
	*value = read_memory(c, segment_base(c, text + 2) + offset, bytes);
	return (bytes * 8);
}

static uint8_t
reg8(const struct context *c, enum x86_gpr reg, unsigned shift)
{
	return ((uint8_t)(c->s->gpr.reg[reg] >> shift));
}

static uint64_t
far_to_linear(const struct context *c, enum x86_seg_index seg, enum x86_gpr reg)
{
	return (c->s->sregs.seg[seg].base + (uint16_t)c->s->gpr.reg[reg]);
}

/* --- functions of the texts ------------------------------------------------------------------------------- */

static uint64_t
cylinder(const struct context *c)
{
	return (reg8(c, GPR_RCX, 8) | (reg8(c, GPR_RCX, 0) & 0xc0u) << 2);
}

static uint64_t
cylinders(const struct context *c)
{
	return (cylinder(c) + 1);
}

static uint64_t
heads(const struct context *c)
{
	return (reg8(c, GPR_RDX, 8) + 1u);
}

static uint64_t
sector(const struct context *c)
{
	return (reg8(c, GPR_RCX, 0) & 0x3fu);
}

static uint64_t
waits(const struct context *c)
{
	return ((c->s->gpr.reg[GPR_RCX] & 0xffff) << 16 | (c->s->gpr.reg[GPR_RDX] & 0xffff));
}

static void
put_char(struct trace_text *text, uint8_t ch)
{
	if (isprint(ch) && ch != '\'' && ch != '\\')
		tracer_put(text, "'%c'", ch);
	else if (ch == '\n' || ch == '\r' || ch == '\b' || ch == '\t')
		tracer_put(text, "'\\%c'",
		    ch == '\n'	     ? 'n'
			: ch == '\r' ? 'r'
			: ch == '\b' ? 'b'
				     : 't');
	else
		tracer_put(text, "%02Xh", ch);
}

static void
put_key(struct trace_text *text, uint16_t key)
{
	tracer_put(text, "key %04Xh ", key);
	put_char(text, (uint8_t)key);
}

static void
text_key(struct trace_text *text, const struct context *c)
{
	put_key(text, (uint16_t)c->s->gpr.reg[GPR_RAX]);
}

static void
text_putkey(struct trace_text *text, const struct context *c)
{
	put_key(text, (uint16_t)c->s->gpr.reg[GPR_RCX]);
}

static void
text_maybekey(struct trace_text *text, const struct context *c)
{
	if (memory_get16(c->mem, c->flags_at) & RFLAGS_ZF)
		tracer_put(text, "no key");
	else
		text_key(text, c);
}

static void
text_room(struct trace_text *text, const struct context *c)
{
	tracer_put(text, reg8(c, GPR_RAX, 0) == 0 ? "ok" : "buffer full");
}

static void
text_onoff(struct trace_text *text, const struct context *c)
{
	tracer_put(text, reg8(c, GPR_RAX, 0) != 0 ? "on" : "off");
}

static void
text_midnight(struct trace_text *text, const struct context *c)
{
	if (reg8(c, GPR_RAX, 0) != 0)
		tracer_put(text, ", midnight passed");
}

static void
text_direction(struct trace_text *text, const struct context *c)
{
	tracer_put(text, strcmp(c->name, "extended_write") == 0 ? "from" : "to");
}

static void
text_string(struct trace_text *text, const struct context *c)
{
	uint64_t at = far_to_linear(c, SEG_ES, GPR_RBP);
	unsigned length = (uint16_t)c->s->gpr.reg[GPR_RCX];
	unsigned step = reg8(c, GPR_RAX, 0) & 2 ? 2 : 1; /* with attributes in between */

	tracer_put(text, "\"");
	for (unsigned i = 0; i < length && i < 80; i++) {
		uint8_t ch = memory_get8(c->mem, at + i * step);

		tracer_put(text, "%c", isprint(ch) ? ch : '.');
	}
	tracer_put(text, length > 80 ? "\"..." : "\"");
}

static void
text_drivetype(struct trace_text *text, const struct context *c)
{
	static const char *const types[] = {
	    "no drive", "floppy without change line", "floppy with change line", "hard disk"};

	tracer_put(text, "%s", types[reg8(c, GPR_RAX, 8) & 3]);
}

static void
text_e820type(struct trace_text *text, const struct context *c)
{
	static const char *const types[] = {
	    "type 0", "RAM", "reserved", "ACPI tables", "ACPI NVS", "bad RAM"};
	uint32_t type = memory_get32(c->mem, far_to_linear(c, SEG_ES, GPR_RDI) + 16);

	if (type < sizeof(types) / sizeof(types[0]))
		tracer_put(text, "%s", types[type]);
	else
		tracer_put(text, "type %u", type);
}

/* The base in a descriptor of INT 15h/87h's table at ES:SI. */
static uint64_t
move_base(const struct context *c, unsigned offset)
{
	uint64_t at = far_to_linear(c, SEG_ES, GPR_RSI) + offset;

	return ((memory_get32(c->mem, at + 2) & 0xffffff) |
	    (uint32_t)memory_get8(c->mem, at + 7) << 24);
}

static uint64_t
movefrom(const struct context *c)
{
	return (move_base(c, 0x10));
}

static uint64_t
moveto(const struct context *c)
{
	return (move_base(c, 0x18));
}

static const struct {
	const char *name;
	uint64_t (*value)(const struct context *c);
	void (*text)(struct trace_text *text, const struct context *c);
} functions[] = {
    {"cylinder", cylinder, NULL},
    {"cylinders", cylinders, NULL},
    {"heads", heads, NULL},
    {"sector", sector, NULL},
    {"ticks", waits, NULL}, /* CX:DX too */
    {"waits", waits, NULL},
    {"movefrom", movefrom, NULL},
    {"moveto", moveto, NULL},
    {"key", NULL, text_key},
    {"putkey", NULL, text_putkey},
    {"maybekey", NULL, text_maybekey},
    {"room", NULL, text_room},
    {"onoff", NULL, text_onoff},
    {"midnight", NULL, text_midnight},
    {"direction", NULL, text_direction},
    {"string", NULL, text_string},
    {"drivetype", NULL, text_drivetype},
    {"e820type", NULL, text_e820type},
};

/* --- the texts ------------------------------------------------------------------------------------------------ */

static void
put_value(struct trace_text *text, uint64_t value, unsigned bits, char form)
{
	switch (form) {
	case 'd':
		tracer_put(text, "%" PRIu64, value);
		break;
	case 'x':
		tracer_put(text, "%0*" PRIX64, (int)bits / 4, value);
		break;
	case 'c':
		put_char(text, (uint8_t)value);
		break;
	case 'f':
		tracer_put(text, "%04X:%04X", (unsigned)(value >> 16), (unsigned)value & 0xffff);
		break;
	case 't':
		tracer_put(text, "%02X", (unsigned)value);
		break;
	default:
		tracer_put(text, "%0*" PRIX64 "h", bits <= 16 ? (int)bits / 4 : 1, value);
		break;
	}
}

/* What "@NAME" of LENGTH characters puts. */
static void
put_function(
    struct trace_text *text, const struct context *c, const char *name, size_t length, char form)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strlen(functions[i].name) != length ||
		    memcmp(functions[i].name, name, length) != 0)
			continue;
		if (functions[i].text != NULL)
			functions[i].text(text, c);
		else
			put_value(text, functions[i].value(c), 32, form);
		return;
	}
}

/* One {SOURCE:FORM}; TEMPLATE is behind the brace. Returns what is behind its end. */
static const char *
put_field(struct trace_text *text, const struct context *c, const char *template)
{
	const char *end = strchr(template, '}');
	size_t length = (size_t)(end - template);
	char form = length > 2 && end[-2] == ':' ? end[-1] : '\0';
	uint64_t value = 0;
	unsigned bits;

	if (form != '\0')
		length -= 2;
	if (template[0] == '@') {
		put_function(text, c, template + 1, length - 1, form);
		return (end + 1);
	}
	if (template[1] == '[')
		bits = read_operand(c, template, &value);
	else
		bits = read_register(c, template, length, &value);
	put_value(text, value, bits, form);
	return (end + 1);
}

static void
put_template(struct trace_text *text, const struct context *c, const char *template)
{
	while (*template != '\0') {
		size_t plain = strcspn(template, "{");

		if (plain > 0)
			tracer_put(text, "%.*s", (int)plain, template);
		template += plain;
		if (*template == '{')
			template = put_field(text, c, template + 1);
	}
}

static const struct decode *
find_decode(const struct bios_event *e)
{
	uint8_t vector = e->vector == 0x40 ? 0x13 : (uint8_t)e->vector;

	if (e->name == NULL)
		return (NULL);
	if (vector == e801.vector && strcmp(e->name, e801.name) == 0)
		return (&e801);
	for (size_t i = 0; i < sizeof(decodes) / sizeof(decodes[0]); i++)
		if (decodes[i].vector == vector && strcmp(decodes[i].name, e->name) == 0)
			return (&decodes[i]);
	return (NULL);
}

static struct context
context_of(const struct bios_event *e, struct memory *mem)
{
	return (
	    (struct context){.s = e->state, .mem = mem, .flags_at = e->flags_at, .name = e->name});
}

void
tracer_decode_call(struct trace_text *text, const struct bios_event *e, struct memory *mem)
{
	const struct context c = context_of(e, mem);
	const struct decode *d = find_decode(e);
	unsigned ax = (uint16_t)e->state->gpr.reg[GPR_RAX];

	tracer_put(text, "INT %02Xh ", e->vector);
	if (e->counted->whole)
		tracer_put(text, "AX=%04Xh ", ax);
	else if (!e->counted->plain)
		tracer_put(text, "AH=%02Xh ", ax >> 8);
	tracer_put(text, "%s(", e->name != NULL ? e->name : "?");
	if (d != NULL)
		put_template(text, &c, d->args);
	else if (!e->counted->plain)
		put_template(text, &c, "al {al}, bx {bx}, cx {cx}, dx {dx}, es {es}, ds {ds}");
	tracer_put(text, ")");
}

static void
put_error(struct trace_text *text, unsigned vector, uint8_t status)
{
	tracer_put(text, "error %02Xh", status);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].vector == vector && errors[i].status == status)
			tracer_put(text, " (%s)", errors[i].words);
}

/* Interrupts whose unknown functions return CF and AH. */
static bool
has_carry(unsigned vector)
{
	return (vector == 0x13 || vector == 0x15 || vector == 0x1a || vector == 0x40);
}

bool
tracer_decode_result(struct trace_text *text, const struct bios_event *e, struct memory *mem,
    enum bios_result result)
{
	const struct context c = context_of(e, mem);
	const struct decode *d = find_decode(e);
	bool carry = (memory_get16(mem, e->flags_at) & RFLAGS_CF) != 0;
	bool built = !e->counted->unknown;
	bool failed = carry && (d != NULL ? d->outcome == CARRY : has_carry(e->vector));

	if (result == BIOS_GO) {
		tracer_put(text, " goes to %04X:%04X", e->state->sregs.seg[SEG_CS].selector,
		    (unsigned)e->state->gpr.rip & 0xffff);
		return (false);
	}
	if (!built)
		tracer_put(text, " = %s", e->name != NULL ? "not built" : "nobody serves it");
	if (failed) {
		tracer_put(text, built ? " = " : ": ");
		put_error(text, e->vector == 0x40 ? 0x13 : e->vector, reg8(&c, GPR_RAX, 8));
	} else if (built && d != NULL && d->result[0] != '\0') {
		tracer_put(text, " = ");
		put_template(text, &c, d->result);
	} else if (built && d != NULL && d->outcome == CARRY) {
		tracer_put(text, " = ok");
	}
	return (failed);
}
