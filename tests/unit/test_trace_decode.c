/* BIOS calls in words: every service that is built has its own, and none reads beyond what it has. */
#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "inspect/trace_parts.h"

#define MEMORY (1u << 20)
#define FLAGS_AT 0x500

static int
setup(void **state)
{
	static struct memory mem;
	int fd = memfd_create("memory", MFD_CLOEXEC), failed;

	failed = fd < 0 || memory_init(&mem, fd, MEMORY, 0, true) != 0;
	if (fd >= 0)
		close(fd);
	*state = &mem;
	return (failed);
}

static int
teardown(void **state)
{
	memory_fini(*state);
	return (0);
}

static void
decode(struct memory *mem, unsigned vector, const struct bios_service *service,
    const struct vcpu_state *s, char *call, char *result, size_t size)
{
	const struct bios_interrupt *in = bios_interrupt_of(vector);
	const struct bios_count counted = {
	    .vector = (uint8_t)vector,
	    .function = service != NULL ? service->function : 0,
	    .whole = service != NULL && service->whole,
	    .plain = in->services == NULL,
	};
	const struct bios_event event = {
	    .vector = vector,
	    .counted = &counted,
	    .name = service != NULL ? service->name : in->name,
	    .state = s,
	    .flags_at = FLAGS_AT,
	};
	struct trace_text text = {call, size};

	tracer_decode_call(&text, &event, mem);
	result[0] = '\0';
	text = (struct trace_text){result, size};
	tracer_decode_result(&text, &event, mem, BIOS_DONE);
}

/* Registers all zeros or all ones. */
static void
built_services_are_decoded(void **state)
{
	char call[64], result[64];
	struct vcpu_state s;

	for (unsigned ones = 0; ones < 2; ones++) {
		vcpu_state_reset(&s, 0);
		memset(s.gpr.reg, ones ? 0xff : 0, sizeof(s.gpr.reg));
		for (unsigned vector = 0; vector < 256; vector++) {
			const struct bios_interrupt *in = bios_interrupt_of(vector);

			if (in == NULL || in->services == NULL)
				continue;
			for (const struct bios_service *sv = in->services; sv->name != NULL; sv++) {
				if (sv->handler == NULL)
					continue;
				decode(*state, vector, sv, &s, call, result, sizeof(call));
				if (strstr(call, "(al 0") != NULL || strstr(call, "(al F") != NULL)
					print_error("%s has no texts\n", call);
				assert_null(strstr(call, "(al 0"));
				assert_null(strstr(call, "(al F"));
				assert_non_null(strstr(call, sv->name));
			}
		}
	}
}

static const struct bios_service *
service(unsigned vector, const char *name)
{
	const struct bios_service *sv = bios_interrupt_of(vector)->services;

	while (strcmp(sv->name, name) != 0)
		sv++;
	return (sv);
}

/* What a call returned, in words. */
static void
results(void **state)
{
	static const struct {
		uint8_t vector;
		const char *name;
		uint64_t ax, bx, cx, dx;
		uint16_t flags;
		const char *call, *result;
	} rows[] = {
	    {0x13, "parameters", 0, 0, 0x4f12, 0x0102, 0, "parameters(drive 02h)",
		" = cylinders 80, heads 2, sectors 18, drives 2"},
	    {0x13, "reset", 0x8000, 0, 0, 0x80, RFLAGS_CF, "reset(drive 80h)",
		" = error 80h (not ready)"},
	    {0x13, "reset", 0x7700, 0, 0, 0x80, RFLAGS_CF, "reset(drive 80h)", " = error 77h"},
	    {0x13, "type", 0x0300, 0, 0, 0x80, 0, "type(drive 80h)", " = hard disk"},
	    {0x16, "check", 0x1c0d, 0, 0, 0, 0, "check()", " = key 1C0Dh '\\r'"},
	    {0x16, "check", 0x1c0d, 0, 0, 0, RFLAGS_ZF, "check()", " = no key"},
	    {0x16, "read", 0x1e61, 0, 0, 0, 0, "read()", " = key 1E61h 'a'"},
	    {0x16, "put", 0, 0, 0x3b00, 0, 0, "put(key 3B00h 00h)", " = ok"},
	    {0x1a, "get_time", 0, 0, 0x2359, 0x5800, 0, "get_time()", " = 23:59:58"},
	    {0x1a, "get_date", 0, 0, 0x2026, 0x1123, 0, "get_date()", " = 2026-11-23"},
	    {0x1a, "get_ticks", 1, 0, 0x18, 1, 0, "get_ticks()", " = 1572865, midnight passed"},
	    {0x15, "a20_status", 1, 0, 0, 0, 0, "a20_status()", " = on"},
	    {0x10, "teletype", 0x0e27, 0, 0, 0, 0, "teletype(27h)", ""},
	};
	char call[96], result[96];
	struct vcpu_state s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vcpu_state_reset(&s, 0);
		s.gpr.reg[GPR_RAX] = rows[i].ax;
		s.gpr.reg[GPR_RBX] = rows[i].bx;
		s.gpr.reg[GPR_RCX] = rows[i].cx;
		s.gpr.reg[GPR_RDX] = rows[i].dx;
		memory_put16(*state, FLAGS_AT, rows[i].flags);
		decode(*state, rows[i].vector, service(rows[i].vector, rows[i].name), &s, call,
		    result, sizeof(call));
		assert_string_equal(strstr(call, rows[i].name), rows[i].call);
		assert_string_equal(result, rows[i].result);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(built_services_are_decoded, setup, teardown),
	    cmocka_unit_test_setup_teardown(results, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
