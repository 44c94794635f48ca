/* Traces: what was asked for, the file it goes to, ports and exits. See trace.h. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "inspect/trace_parts.h"

#define BUFFER (64u << 10)

static const char *const kinds[TRACE_KINDS] = {"bios", "io", "exit", "insn"};

/* What ends a run of the engine, for people; and as a filter. */
static const char *const exits[] = {
    [ENGINE_CANCELED] = "canceled",
    [ENGINE_HYPERCALL] = "hypercall",
    [ENGINE_HLT] = "hlt",
    [ENGINE_TRIPLE_FAULT] = "triple-fault",
    [ENGINE_ENTRY_FAILED] = "entry-failed",
    [ENGINE_DEBUG] = "debug",
    [ENGINE_STOPPED] = "stopped",
    [ENGINE_INOUT] = "inout",
    [ENGINE_PAGING] = "paging",
    [ENGINE_VARIES] = "varies",
    [ENGINE_ERROR] = "error",
};

/* --- lines ------------------------------------------------------------------------------------------------- */

void
tracer_put(struct trace_text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (n < 0 || text->left == 0)
		return;
	if ((size_t)n >= text->left)
		n = (int)text->left - 1;
	text->at += n;
	text->left -= (size_t)n;
}

void
tracer_line(struct tracer *t, uint64_t ns, const char *text)
{
	int n = fprintf(
	    t->out, "%4" PRIu64 ".%06" PRIu64 " %s\n", ns / 1000000000, ns / 1000 % 1000000, text);

	if (n < 0 && t->error == 0)
		t->error = errno;
}

/* A line of another kind than bios: what is kept of that was before it. */
static void
other_line(struct tracer *t, const char *text)
{
	if (t->fold != NULL)
		tracer_fold_end(t);
	tracer_line(t, clock_now(&t->m->clock), text);
}

/* --- ports --------------------------------------------------------------------------------------------------- */

static bool
port_selected(const struct tracer *t, uint16_t port, const char *name)
{
	const struct trace_select *select = &t->select[TRACE_IO];

	for (unsigned i = 0; i < select->nfilters; i++) {
		const struct trace_filter *f = &select->filter[i];

		if (f->name[0] != '\0' ? name != NULL && strcmp(f->name, name) == 0
				       : port >= f->first && port <= f->last)
			return (true);
	}
	/* The pseudo BIOS's own port tells nothing that bios does not. */
	return (select->nfilters == 0 && port != TRAP_PORT);
}

static void
port_access(void *opaque, uint16_t port, unsigned size, bool write, uint32_t value)
{
	struct tracer *t = opaque;
	const char *name = bus_port_name(&t->m->bus, port);
	char line[TRACE_TEXT];
	struct trace_text text = {line, sizeof(line)};

	if (!port_selected(t, port, name))
		return;
	tracer_put(&text, "%s %04Xh %-9s %s %0*" PRIX32 "h", write ? "OUT" : "IN ", port,
	    name != NULL ? name : "(nobody)", write ? "<-" : "->", (int)size * 2, value);
	if (size == 1 && isprint((int)value))
		tracer_put(&text, " '%c'", (char)value);
	other_line(t, line);
}

/* --- exits ----------------------------------------------------------------------------------------------------- */

static bool
exit_selected(struct tracer *t, enum engine_exit kind)
{
	uint64_t instructions = vcpu_instructions(&t->m->vcpu);
	bool asleep = kind == ENGINE_HLT && t->slept_at == instructions;

	const struct trace_select *select = &t->select[TRACE_EXIT];

	/* A CPU that sleeps is looked at now and then: it is one HLT. */
	if (kind == ENGINE_HLT)
		t->slept_at = instructions;
	if (asleep)
		return (false);
	for (unsigned i = 0; i < select->nfilters; i++)
		if (strcmp(select->filter[i].name, exits[kind]) == 0)
			return (true);
	/* Most often the engine comes back because its time is up. */
	return (select->nfilters == 0 && kind != ENGINE_CANCELED);
}

static void
engine_exit(void *opaque)
{
	struct tracer *t = opaque;
	const struct engine_exit_info *exit = &t->m->vcpu.exit;
	char line[TRACE_TEXT];
	struct trace_text text = {line, sizeof(line)};

	if (!exit_selected(t, exit->kind))
		return;
	tracer_put(&text, "EXIT %s at %04X:%04" PRIX64, exits[exit->kind],
	    t->m->state->sregs.seg[SEG_CS].selector, exit->rip);
	if (exit->reason != 0)
		tracer_put(&text, ", VMX reason %" PRIu32 " (%s)",
		    exit->reason & ~VMX_EXIT_ENTRY_FAILURE, vmx_exit_reason_name(exit->reason));
	other_line(t, line);
}

/* --- what was asked for ------------------------------------------------------------------------------------------ */

/* A hexadecimal number, with or without 0x or h, up to one of END; *REST is behind it. */
static bool
parse_number(const char *text, uint64_t max, uint64_t *value, const char **rest)
{
	char *end;

	if (!isxdigit((unsigned char)text[0]))
		return (false);
	*value = strtoull(text, &end, 16);
	if (*end == 'h' || *end == 'H')
		end++;
	*rest = end;
	return (*value <= max);
}

/* FIRST or FIRST-LAST. */
static bool
parse_range(const char *text, uint64_t max, struct trace_filter *f)
{
	const char *rest;

	if (!parse_number(text, max, &f->first, &rest))
		return (false);
	f->last = f->first;
	if (*rest == '-' && !parse_number(rest + 1, max, &f->last, &rest))
		return (false);
	return (*rest == '\0' && f->first <= f->last);
}

/* VECTOR, or VECTOR.FUNCTION. */
static bool
parse_call(const char *text, struct trace_filter *f)
{
	uint64_t function;
	const char *rest;

	f->function = -1;
	if (!parse_number(text, 0xff, &f->first, &rest))
		return (false);
	f->last = f->first;
	if (*rest == '.') {
		if (!parse_number(rest + 1, 0xff, &function, &rest))
			return (false);
		f->function = (int)function;
	}
	return (*rest == '\0');
}

static bool
parse_exit(const char *text)
{
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (strcmp(exits[i], text) == 0)
			return (true);
	return (false);
}

/* What may be a chip's name: tracer_attach() knows those that there are. */
static bool
parse_chip(const char *text)
{
	return (islower((unsigned char)text[0]) &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(text));
}

static int
bad_filter(const char *kind, const char *text, const char *forms, struct vmm_error *err)
{
	return (vmm_fail(err, EINVAL, "--trace %s:%s: %s", kind, text, forms));
}

static int
add_filter(struct tracer *t, enum trace_kind kind, const char *text, struct vmm_error *err)
{
	static const char *const forms[TRACE_KINDS] = {
	    "must be an interrupt (13h), one function of it (13h.42h), count or fold",
	    "must be a port (3f8), ports (3f8-3ff) or a chip's name (ns16550)",
	    "must be hlt, hypercall, triple-fault, entry-failed, debug, stopped, canceled or error",
	    "must be a linear address (7c00) or addresses (7c00-7dff)",
	};
	struct trace_select *select = &t->select[kind];
	struct trace_filter f = {.function = -1};
	bool good = false;

	if (kind == TRACE_BIOS && strcmp(text, "count") == 0)
		return (select->count = true, 0);
	if (kind == TRACE_BIOS && strcmp(text, "fold") == 0)
		return (select->fold = true, 0);
	switch (kind) {
	case TRACE_BIOS:
		good = parse_call(text, &f);
		break;
	case TRACE_INSN:
		good = parse_range(text, UINT64_MAX, &f);
		break;
	case TRACE_IO:
		good = parse_range(text, 0xffff, &f);
		if (!good && parse_chip(text) && strlen(text) < sizeof(f.name))
			good = snprintf(f.name, sizeof(f.name), "%s", text) > 0;
		break;
	default:
		good = parse_exit(text);
		snprintf(f.name, sizeof(f.name), "%s", text);
		break;
	}
	if (!good)
		return (bad_filter(kinds[kind], text, forms[kind], err));
	if (select->nfilters == TRACE_FILTERS)
		return (bad_filter(kinds[kind], text, "there are too many filters", err));
	select->filter[select->nfilters++] = f;
	return (0);
}

/* KIND[:FILTER..] */
static int
add_kind(struct tracer *t, char *text, struct vmm_error *err)
{
	char *rest, *word = strtok_r(text, ":", &rest);

	for (unsigned k = 0; k < TRACE_KINDS; k++) {
		if (word == NULL || strcmp(word, kinds[k]) != 0)
			continue;
		t->select[k].on = true;
		while ((word = strtok_r(NULL, ":", &rest)) != NULL)
			if (add_filter(t, k, word, err) != 0)
				return (-1);
		return (0);
	}
	return (vmm_fail(
	    err, EINVAL, "--trace %s: must be bios, io, exit or insn", word != NULL ? word : ""));
}

/* Open what comes behind the separator before the first slash, and cut it off. */
static int
open_output(struct tracer *t, char *spec, struct vmm_error *err)
{
	char *file = strchr(spec, '/');
	int fd;

	while (file != NULL && file > spec && file[-1] != ':' && file[-1] != ',')
		file--;
	if (t->out != NULL)
		return (file == NULL
			? 0
			: vmm_fail(err, EINVAL, "--trace %s: it goes to no file", spec));
	if (file == spec)
		return (vmm_fail(
		    err, EINVAL, "--trace %s: must begin with bios, io, exit or insn", spec));
	if (file != NULL) {
		t->out = fopen(file, "w");
		file[-1] = '\0';
	} else {
		fd = dup(STDERR_FILENO);
		t->out = fd >= 0 ? fdopen(fd, "w") : NULL;
		if (t->out == NULL && fd >= 0)
			close(fd);
	}
	if (t->out == NULL)
		return (vmm_fail(err, errno, "--trace: %s: %s",
		    file != NULL ? file : "standard error", strerror(errno)));
	/* Standard error has other writers too. */
	setvbuf(t->out, NULL, file != NULL ? _IOFBF : _IOLBF, BUFFER);
	return (0);
}

static int
parse(struct tracer *t, const char *spec, struct vmm_error *err)
{
	char *text = strdup(spec), *part, *rest;
	int result;

	if (text == NULL)
		return (vmm_fail(err, ENOMEM, "out of memory"));
	result = open_output(t, text, err);
	part = strtok_r(text, ",", &rest);
	if (result == 0 && part == NULL)
		result = vmm_fail(err, EINVAL, "--trace: must be bios, io, exit or insn");
	for (; result == 0 && part != NULL; part = strtok_r(NULL, ",", &rest))
		result = add_kind(t, part, err);
	free(text);
	if (result == 0 && tracer_bios_init(t) != 0)
		result = vmm_fail(err, ENOMEM, "out of memory");
	return (result);
}

struct tracer *
tracer_open(const char *spec, FILE *out, struct vmm_error *err)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->out = out;
	if (t == NULL) {
		if (out != NULL)
			fclose(out);
		vmm_fail(err, ENOMEM, "out of memory");
		return (NULL);
	}
	if (parse(t, spec, err) == 0)
		return (t);
	if (t->out != NULL)
		fclose(t->out);
	free(t);
	return (NULL);
}

static bool
has_chip(const struct bus *bus, const char *name)
{
	for (unsigned i = 0; i < bus->nranges; i++)
		if (strcmp(bus->ranges[i].name, name) == 0)
			return (true);
	return (false);
}

/* One looks at a time. */
static bool
is_watched(const struct machine *m)
{
	const struct machine_observer *o = &m->observer;

	return (m->bios.tracer.call != NULL || m->bus.observer.access != NULL ||
	    m->bus.observer.unassigned != NULL || o->exit != NULL || o->before != NULL);
}

static void
detach(struct tracer *t)
{
	if (t->select[TRACE_BIOS].on)
		t->m->bios.tracer = (struct bios_tracer){0};
	if (t->select[TRACE_IO].on)
		t->m->bus.observer = (struct bus_observer){0};
	t->m->observer = (struct machine_observer){0};
}

int
tracer_attach(struct tracer *t, struct machine *m, struct vmm_error *err)
{
	const struct trace_select *io = &t->select[TRACE_IO];

	if (is_watched(m))
		return (vmm_fail(err, EBUSY, "%s: it is traced already", vmm_name(m->ctx)));

	for (unsigned i = 0; i < io->nfilters; i++)
		if (io->filter[i].name[0] != '\0' && !has_chip(&m->bus, io->filter[i].name))
			return (vmm_fail(err, ENOENT, "--trace io:%s: the board has no such chip",
			    io->filter[i].name));
	t->m = m;
	if (t->select[TRACE_BIOS].on)
		m->bios.tracer = (struct bios_tracer){
		    .call = tracer_bios_call, .done = tracer_bios_done, .opaque = t};
	if (t->select[TRACE_IO].on)
		m->bus.observer = (struct bus_observer){.access = port_access, .opaque = t};
	m->observer.opaque = t;
	if (t->select[TRACE_EXIT].on)
		m->observer.exit = engine_exit;
	if (t->select[TRACE_INSN].on) {
		m->observer.before = tracer_insn_before;
		m->observer.after = tracer_insn_after;
	}
	return (0);
}

void
tracer_flush(struct tracer *t)
{
	if (fflush(t->out) != 0 && t->error == 0)
		t->error = errno;
}

int
tracer_close(struct tracer *t, struct vmm_error *err)
{
	int error;

	if (t == NULL)
		return (0);
	if (t->m != NULL) {
		tracer_bios_end(t);
		detach(t);
	}
	tracer_flush(t);
	error = t->error;
	fclose(t->out);
	free(t);
	return (error != 0 ? vmm_fail(err, error, "--trace: cannot be written: %s", strerror(error))
			   : 0);
}
