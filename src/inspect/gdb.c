/* See gdb.h: the server, its packets and commands. */
#include "inspect/gdb.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inspect/gdb_monitor.h"
#include "inspect/gdb_regs.h"
#include "inspect/walk.h"

#define PACKET_MAX 0x4000u /* characters of a packet's contents */
#define MEMORY_MAX (PACKET_MAX / 2 - 16)
#define REG_MAX 16 /* bytes of the widest register */
#define INTERRUPT 0x03
#define SEND_SECONDS 5 /* to a GDB that does not read */
#define WAIT_MS 10

struct gdb {
	struct machine *m;
	int listener;
	int fd; /* -1: no GDB is there */
	enum gdb_set set;
	bool no_ack;
	bool talking;
	bool leave;	/* the guest goes on */
	bool step_over; /* the step began outside the BIOS: it ends there, too */
	struct cpu_watch breaks[CPU_WATCH_MAX];
	unsigned nbreaks;
	char in[2 * PACKET_MAX];
	size_t got;
	char packet[PACKET_MAX + 1];
	char out[PACKET_MAX + 8];
	char features[12288];
};

/* --- bytes ---------------------------------------------------------------------------------------------- */

static void
drop_client(struct gdb *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	g->got = 0;
	g->no_ack = false;
	g->leave = true;
	g->nbreaks = 0;
	vcpu_watch(&g->m->vcpu, g->breaks, 0);
}

static void
send_all(struct gdb *g, const char *data, size_t size)
{
	while (size > 0 && g->fd >= 0) {
		ssize_t n = send(g->fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			drop_client(g);
			return;
		}
		data += n;
		size -= (size_t)n;
	}
}

static void
reply(struct gdb *g, const char *text)
{
	size_t length = strlen(text);
	unsigned char sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (unsigned char)(sum + (unsigned char)text[i]);
	length = (size_t)snprintf(g->out, sizeof(g->out), "$%s#%02x", text, sum);
	send_all(g, g->out, length);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

static void
put_hex(char *to, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	*to = '\0';
}

/* Read N bytes of hex; false: there are not so many. */
static bool
get_hex(const char *from, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++, from += 2) {
		int high = hex_digit(from[0]), low = high < 0 ? -1 : hex_digit(from[1]);

		if (low < 0)
			return (false);
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return (true);
}

/*
 * Take the next packet out of what came, to g->packet. False: there is no whole one yet. A damaged
 * one is asked for again; noise between packets is passed over.
 */
static bool
next_packet(struct gdb *g)
{
	const char *start = memchr(g->in, '$', g->got), *end;
	size_t length, whole;
	uint8_t sum = 0, told;

	if (start == NULL) {
		g->got = 0;
		return (false);
	}
	end = memchr(start, '#', g->got - (size_t)(start - g->in));
	if (end == NULL || (size_t)(end - g->in) + 3 > g->got) {
		if (g->got == sizeof(g->in)) /* endless */
			drop_client(g);
		return (false);
	}
	length = (size_t)(end - start) - 1;
	for (size_t i = 1; i <= length; i++)
		sum = (uint8_t)(sum + (uint8_t)start[i]);
	if (length <= PACKET_MAX) {
		memcpy(g->packet, start + 1, length);
		g->packet[length] = '\0';
	}
	told = 0;
	if (!get_hex(end + 1, &told, 1))
		told = (uint8_t)~sum;
	whole = (size_t)(end - g->in) + 3;
	memmove(g->in, g->in + whole, g->got - whole);
	g->got -= whole;
	if (!g->no_ack)
		send_all(g, told == sum ? "+" : "-", 1);
	return (told == sum && length <= PACKET_MAX);
}

/* Read what GDB sent. False: nothing came, or it is gone. */
static bool
receive(struct gdb *g)
{
	ssize_t n;

	if (g->fd < 0)
		return (false);
	if (g->got == sizeof(g->in))
		g->got = 0;
	n = recv(g->fd, g->in + g->got, sizeof(g->in) - g->got, MSG_DONTWAIT);
	if (n > 0) {
		g->got += (size_t)n;
		return (true);
	}
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		drop_client(g);
	return (false);
}

/* --- registers and memory ---------------------------------------------------------------------------------- */

/* The guest as walk.h and explain.h see it; its memory is the machine's own. */
static struct subject
view(struct gdb *g)
{
	struct subject s = {.mem = g->m->mem, .has_history = true, .has_vmx = true};

	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	s.state = *g->m->state;
	s.vmx = *g->m->vcpu.vmx;
	vcpu_history(&g->m->vcpu, &s.history.cpu);
	s.history.bios = g->m->bios.recent;
	return (s);
}

static void
read_registers(struct gdb *g)
{
	char text[PACKET_MAX + 1], *to = text;
	uint8_t bytes[REG_MAX];

	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	for (unsigned n = 0; n < gdb_reg_count(g->set); n++) {
		gdb_reg_get(g->set, n, g->m->state, bytes);
		put_hex(to, bytes, gdb_reg_size(g->set, n));
		to += 2 * gdb_reg_size(g->set, n);
	}
	reply(g, text);
}

static void
write_registers(struct gdb *g, const char *hex)
{
	uint8_t bytes[REG_MAX];

	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	for (unsigned n = 0; n < gdb_reg_count(g->set); n++) {
		unsigned size = gdb_reg_size(g->set, n);

		if (!get_hex(hex, bytes, size))
			break;
		hex += 2 * size;
		gdb_reg_set(g->set, n, g->m->state, bytes);
	}
	vcpu_push(&g->m->vcpu, VCPU_ALL);
	reply(g, "OK");
}

static void
read_register(struct gdb *g, const char *arg)
{
	unsigned long n = strtoul(arg, NULL, 16);
	char text[2 * REG_MAX + 1];
	uint8_t bytes[REG_MAX];

	if (n >= gdb_reg_count(g->set)) {
		reply(g, "E01");
		return;
	}
	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	gdb_reg_get(g->set, (unsigned)n, g->m->state, bytes);
	put_hex(text, bytes, gdb_reg_size(g->set, (unsigned)n));
	reply(g, text);
}

static void
write_register(struct gdb *g, const char *arg)
{
	char *value;
	unsigned long n = strtoul(arg, &value, 16);
	uint8_t bytes[REG_MAX];

	if (*value != '=' || n >= gdb_reg_count(g->set) ||
	    !get_hex(value + 1, bytes, gdb_reg_size(g->set, (unsigned)n))) {
		reply(g, "E01");
		return;
	}
	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	vcpu_push(&g->m->vcpu, gdb_reg_set(g->set, (unsigned)n, g->m->state, bytes));
	reply(g, "OK");
}

/* ADDR,LENGTH at *ARG, which is moved behind them. */
static bool
parse_range(const char **arg, uint64_t *address, uint64_t *length)
{
	char *end;

	*address = strtoull(*arg, &end, 16);
	if (*end != ',')
		return (false);
	*length = strtoull(end + 1, &end, 16);
	*arg = end;
	return (true);
}

static void
read_memory(struct gdb *g, const char *arg)
{
	uint8_t bytes[MEMORY_MAX];
	char text[2 * MEMORY_MAX + 1];
	struct subject s = view(g);
	uint64_t address, length;
	size_t n;

	if (!parse_range(&arg, &address, &length)) {
		reply(g, "E01");
		return;
	}
	n = walk_read(&s, address, bytes, length < MEMORY_MAX ? (size_t)length : MEMORY_MAX);
	put_hex(text, bytes, n);
	reply(g, n == 0 && length != 0 ? "E14" : text);
}

static void
write_memory(struct gdb *g, const char *arg)
{
	struct subject s = view(g);
	uint64_t address, length, pa;
	uint8_t byte;

	if (!parse_range(&arg, &address, &length) || *arg++ != ':') {
		reply(g, "E01");
		return;
	}
	for (uint64_t i = 0; i < length; i++, arg += 2) {
		if (!get_hex(arg, &byte, 1) || !walk_translate(&s, address + i, &pa) ||
		    !memory_write(g->m->mem, pa, &byte, 1)) {
			reply(g, "E14");
			return;
		}
	}
	reply(g, "OK");
}

/* --- breakpoints -------------------------------------------------------------------------------------------- */

/* Z0 and Z1 are the same here: nothing is written to the guest's memory. */
static const uint8_t kinds_of[] = {
    WATCH_EXEC, WATCH_EXEC, WATCH_WRITE, WATCH_READ, WATCH_READ | WATCH_WRITE};

/* "Z0,7c00,1": insert, or remove, a breakpoint. */
static void
change_break(struct gdb *g, const char *arg, bool insert)
{
	unsigned type = (unsigned)(arg[0] - '0');
	uint64_t address, length;
	struct cpu_watch w;
	unsigned n;

	if (type >= sizeof(kinds_of) || arg[1] != ',') {
		reply(g, "");
		return;
	}
	arg += 2;
	if (!parse_range(&arg, &address, &length)) {
		reply(g, "E01");
		return;
	}
	w = (struct cpu_watch){.address = address,
	    .bytes = type < 2 || length == 0 ? 1 : (uint32_t)length,
	    .kinds = kinds_of[type]};
	for (n = 0; n < g->nbreaks; n++)
		if (memcmp(&g->breaks[n], &w, sizeof(w)) == 0)
			break;
	if (insert && n == g->nbreaks) {
		if (n == CPU_WATCH_MAX) {
			reply(g, "E0c");
			return;
		}
		g->breaks[g->nbreaks++] = w;
	} else if (!insert && n < g->nbreaks) {
		g->breaks[n] = g->breaks[--g->nbreaks];
	}
	reply(g, vcpu_watch(&g->m->vcpu, g->breaks, g->nbreaks) == 0 ? "OK" : "E0c");
}

static void
report_stop(struct gdb *g, enum gdb_why why)
{
	const struct engine_exit_info *exit = &g->m->vcpu.exit;
	const char *name = "awatch";
	char text[64];

	if (why == GDB_ENDED) {
		reply(g, "W00");
		return;
	}
	if (why == GDB_BREAK && exit->kind == ENGINE_DEBUG && !(exit->watch.kinds & WATCH_EXEC)) {
		if (exit->watch.kinds == WATCH_WRITE)
			name = "watch";
		else if (exit->watch.kinds == WATCH_READ)
			name = "rwatch";
		snprintf(
		    text, sizeof(text), "T05%s:%" PRIx64 ";thread:1;", name, exit->watch.address);
	} else {
		snprintf(text, sizeof(text), "T%02xthread:1;", why == GDB_INTERRUPT ? 2 : 5);
	}
	reply(g, text);
}

/* --- monitor -------------------------------------------------------------------------------------------------- */

/* Send TEXT to GDB's console in pieces. */
static void
console(struct gdb *g, const char *text, size_t size)
{
	char packet[1024];

	for (size_t at = 0, part; at < size; at += part) {
		part = size - at < 500 ? size - at : 500;
		packet[0] = 'O';
		put_hex(packet + 1, (const uint8_t *)text + at, part);
		reply(g, packet);
	}
}

static void
monitor(struct gdb *g, const char *hex)
{
	char name[64] = "", *text = NULL;
	struct subject s = view(g);
	size_t size = 0, length = strlen(hex) / 2;
	FILE *out;

	if (length >= sizeof(name) || !get_hex(hex, (uint8_t *)name, length)) {
		reply(g, "E01");
		return;
	}
	out = open_memstream(&text, &size);
	if (out == NULL) {
		reply(g, "E0c");
		return;
	}
	gdb_monitor(out, &s, name);
	fclose(out);
	console(g, text, size);
	free(text);
	reply(g, "OK");
}

/* --- commands ------------------------------------------------------------------------------------------------ */

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void
send_features(struct gdb *g, const char *arg)
{
	uint64_t offset, length;
	char text[PACKET_MAX];
	size_t total;

	gdb_target_xml(g->set, g->features, sizeof(g->features));
	total = strlen(g->features);
	if (!parse_range(&arg, &offset, &length)) {
		reply(g, "E01");
		return;
	}
	if (offset > total)
		offset = total;
	if (length > sizeof(text) - 2)
		length = sizeof(text) - 2;
	snprintf(text, sizeof(text), "%c%.*s", offset + length < total ? 'm' : 'l', (int)length,
	    g->features + offset);
	reply(g, text);
}

/* Whether the CPU is in the pseudo BIOS's ROM. */
static bool
in_bios(const struct gdb *g)
{
	const struct vcpu_state *v = g->m->state;

	return (!(v->sregs.cr0 & CR0_PE) && v->sregs.seg[SEG_CS].base + v->gpr.rip >= ROM_BASE &&
	    v->sregs.seg[SEG_CS].base + v->gpr.rip < ROM_BASE + ROM_SIZE);
}

static void
go_on(struct gdb *g, bool step)
{
	vcpu_pull(&g->m->vcpu, VCPU_GPR | VCPU_SREGS);
	g->m->step = step;
	g->step_over = step && !in_bios(g);
	g->leave = true;
}

/* Begins TEXT with PREFIX? What is behind it then, else NULL. */
static const char *
behind(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return (strncmp(text, prefix, length) == 0 ? text + length : NULL);
}

static void
general_query(struct gdb *g, const char *p)
{
	const char *arg;

	if (behind(p, "qSupported") != NULL)
		reply(g,
		    "PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
		    "swbreak-;hwbreak-");
	else if ((arg = behind(p, "qXfer:features:read:target.xml:")) != NULL)
		send_features(g, arg);
	else if ((arg = behind(p, "qRcmd,")) != NULL)
		monitor(g, arg);
	else if (strcmp(p, "QStartNoAckMode") == 0) {
		reply(g, "OK");
		g->no_ack = true;
	} else if (strcmp(p, "qC") == 0)
		reply(g, "QC1");
	else if (strcmp(p, "qfThreadInfo") == 0)
		reply(g, "m1");
	else if (strcmp(p, "qsThreadInfo") == 0)
		reply(g, "l");
	else if (behind(p, "qAttached") != NULL)
		reply(g, "1");
	else
		reply(g, "");
}

static void
vcont(struct gdb *g, const char *p)
{
	if (strcmp(p, "vCont?") == 0)
		reply(g, "vCont;c;C;s;S");
	else if (behind(p, "vCont;s") != NULL || behind(p, "vCont;S") != NULL)
		go_on(g, true);
	else if (behind(p, "vCont;") != NULL)
		go_on(g, false);
	else if (behind(p, "vKill") != NULL) {
		reply(g, "OK");
		machine_event(g->m, (struct machine_event){.kind = MACHINE_EVENT_STOP});
		go_on(g, false);
	} else
		reply(g, "");
}

/* c, s with the address to go on at, if any. */
static void
resume(struct gdb *g, const char *arg, bool step)
{
	if (*arg != '\0') {
		vcpu_pull(&g->m->vcpu, VCPU_GPR | VCPU_SREGS);
		g->m->state->gpr.rip = strtoull(arg, NULL, 16);
		vcpu_push(&g->m->vcpu, VCPU_GPR);
	}
	go_on(g, step);
}

static void
command(struct gdb *g)
{
	const char *p = g->packet;

	switch (p[0]) {
	case '?':
		report_stop(g, GDB_CONNECTED);
		break;
	case 'g':
		read_registers(g);
		break;
	case 'G':
		write_registers(g, p + 1);
		break;
	case 'p':
		read_register(g, p + 1);
		break;
	case 'P':
		write_register(g, p + 1);
		break;
	case 'm':
		read_memory(g, p + 1);
		break;
	case 'M':
		write_memory(g, p + 1);
		break;
	case 'c':
		resume(g, p + 1, false);
		break;
	case 's':
		resume(g, p + 1, true);
		break;
	case 'v':
		vcont(g, p);
		break;
	case 'Z':
	case 'z':
		change_break(g, p + 1, p[0] == 'Z');
		break;
	case 'q':
	case 'Q':
		general_query(g, p);
		break;
	case 'H':
	case 'T':
		reply(g, "OK");
		break;
	case 'D':
		reply(g, "OK");
		drop_client(g);
		break;
	case 'k':
		machine_event(g->m, (struct machine_event){.kind = MACHINE_EVENT_STOP});
		drop_client(g);
		break;
	default:
		reply(g, "");
		break;
	}
}

/* --- the server ------------------------------------------------------------------------------------------------ */

struct gdb *
gdb_listen(struct machine *m, const char *address, struct vmm_error *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	const char *port = colon != NULL ? colon + 1 : address;
	size_t digits = strspn(port, "0123456789");
	char host[256] = "127.0.0.1";
	struct addrinfo *found;
	struct gdb *g;
	int on = 1, error;

	if (digits == 0 || digits > 5 || port[digits] != '\0' ||
	    strtoul(port, NULL, 10) > UINT16_MAX) {
		vmm_fail(err, EINVAL, "--gdb %s: must be [HOST:]PORT", address);
		return (NULL);
	}
	if (colon != NULL && colon != address)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	error = getaddrinfo(host, port, &hints, &found);
	if (error != 0) {
		vmm_fail(err, EINVAL, "--gdb %s: %s", address, gai_strerror(error));
		return (NULL);
	}
	g = calloc(1, sizeof(*g));
	if (g != NULL) {
		g->m = m;
		g->fd = -1;
		g->listener =
		    socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (g == NULL || g->listener < 0 ||
	    setsockopt(g->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(g->listener, found->ai_addr, found->ai_addrlen) != 0 ||
	    listen(g->listener, 1) != 0) {
		vmm_fail(err, errno, "--gdb %s: %s", address, strerror(errno));
		freeaddrinfo(found);
		gdb_close(g);
		return (NULL);
	}
	freeaddrinfo(found);
	return (g);
}

uint16_t
gdb_port(const struct gdb *g)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(g->listener, (struct sockaddr *)&address, &size) != 0)
		return (0);
	if (address.ss_family == AF_INET6)
		return (ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port));
	return (ntohs(((struct sockaddr_in *)(void *)&address)->sin_port));
}

void
gdb_close(struct gdb *g)
{
	if (g == NULL)
		return;
	if (g->fd >= 0)
		close(g->fd);
	if (g->listener >= 0)
		close(g->listener);
	free(g);
}

/* Take a GDB that wants in, unless one is there. */
static bool
accept_client(struct gdb *g)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		return (false);
	if (g->fd >= 0) {
		close(fd);
		return (false);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	g->fd = fd;
	vcpu_pull(&g->m->vcpu, VCPU_ALL);
	g->set = gdb_set_of(g->m->state);
	return (true);
}

/* The guest stands, but the host side of its run goes on: signals, the control socket. */
static void
wait_for_client(struct gdb *g)
{
	const struct machine_host *host = &g->m->config.host;
	struct pollfd p = {.fd = g->fd, .events = POLLIN};

	if (g->fd >= 0 && poll(&p, 1, WAIT_MS) == 0 && host->idle != NULL)
		host->idle(host->opaque, 0);
}

/* Hold guest time too, while GDB's user thinks. Whether it ran. */
static bool
hold(struct gdb *g)
{
	bool ran = !g->m->paused;

	machine_pause(g->m);
	return (ran);
}

static void
let_go(struct gdb *g, bool ran)
{
	if (ran)
		machine_resume(g->m);
}

/* Commands until the guest is to go on. */
static void
talk(struct gdb *g)
{
	bool ran = hold(g);

	g->leave = false;
	g->talking = true;
	while (!g->leave && g->fd >= 0 && g->m->end == MACHINE_RUNS) {
		if (next_packet(g))
			command(g);
		else if (!receive(g))
			wait_for_client(g);
	}
	g->talking = false;
	let_go(g, ran);
}

void
gdb_wait(struct gdb *g)
{
	const struct machine_host *host = &g->m->config.host;
	struct pollfd p = {.fd = g->listener, .events = POLLIN};
	bool ran = hold(g);

	while (!g->leave && g->m->end == MACHINE_RUNS) {
		if (poll(&p, 1, WAIT_MS) > 0)
			gdb_poll(g);
		else if (host->idle != NULL)
			host->idle(host->opaque, 0);
	}
	let_go(g, ran);
}

void
gdb_stop(struct gdb *g, enum gdb_why why)
{
	if (g->fd < 0)
		return;
	/* A BIOS call, or an interrupt that the BIOS serves, is one step. */
	if (why == GDB_BREAK && g->step_over && g->m->vcpu.exit.kind != ENGINE_DEBUG &&
	    in_bios(g)) {
		g->m->step = true;
		return;
	}
	g->m->step = false;
	report_stop(g, why);
	if (why != GDB_ENDED)
		talk(g);
}

void
gdb_poll(struct gdb *g)
{
	if (g->talking)
		return;
	if (accept_client(g)) {
		talk(g);
		return;
	}
	if (receive(g) && memchr(g->in, INTERRUPT, g->got) != NULL) {
		g->got = 0;
		gdb_stop(g, GDB_INTERRUPT);
	}
}
