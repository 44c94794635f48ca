/* Script steps: texts on the screen and on the serial line, the pace of keys, screenshots. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/script.h"

#define MS 1000000ull

static struct script script;
static struct screen screen;

/* The keyboard: what came, when, and how much more it takes. */
static struct {
	uint8_t codes[256];
	uint64_t times[256];
	unsigned count;
	unsigned room;
	bool ready;
	uint64_t now;
} kbd;

static bool
take(void *opaque, uint8_t code)
{
	(void)opaque;
	if (kbd.room == 0)
		return (false);
	kbd.room--;
	assert_in_range(kbd.count, 0, COUNT(kbd.codes) - 1);
	kbd.times[kbd.count] = kbd.now;
	kbd.codes[kbd.count++] = code;
	return (true);
}

static bool
is_ready(void *opaque)
{
	(void)opaque;
	return (kbd.ready);
}

static struct key_sink sink;

static int
setup(void **state)
{
	(void)state;
	script_init(&script);
	memset(&screen, 0, sizeof(screen));
	memset(&kbd, 0, sizeof(kbd));
	kbd.room = COUNT(kbd.codes);
	sink = (struct key_sink){.send = take};
	screen.text = true;
	screen.columns = 80;
	screen.rows = 25;
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	script_free(&script);
	return (0);
}

static void
show(unsigned row, const char *text)
{
	memset(screen.cells[row], 0, sizeof(screen.cells[row]));
	for (unsigned i = 0; text[i] != '\0'; i++)
		screen.cells[row][i].ch = (uint8_t)text[i];
}

static void
say(const char *text)
{
	for (; *text != '\0'; text++)
		script_serial(&script, (uint8_t)*text);
}

static enum script_result
poll_at(uint64_t now)
{
	kbd.now = now;
	return (script_poll(&script, now, &screen, &sink));
}

/* Poll every ms from FROM to TO; whether it was done by then. */
static enum script_result
poll_until(uint64_t from, uint64_t to)
{
	enum script_result result = SCRIPT_RUNNING;

	for (uint64_t now = from; now <= to && result == SCRIPT_RUNNING; now += MS)
		result = poll_at(now);
	return (result);
}

static void
want(const char *text)
{
	char err[128];

	assert_int_equal(script_add_wait(&script, text, err, sizeof(err)), 0);
}

static void
type(const char *text)
{
	char err[128];

	assert_int_equal(script_add_type(&script, text, err, sizeof(err)), 0);
}

static void
no_steps(void **state)
{
	(void)state;
	assert_int_equal(poll_at(0), SCRIPT_DONE);
}

static void
bad_steps(void **state)
{
	static char longest[SERIAL_FIND_MAX + 2];
	char err[128] = "";

	(void)state;
	assert_int_equal(script_add_wait(&script, "", err, sizeof(err)), -1);
	assert_string_equal(err, "no text to wait for");
	memset(longest, 'x', SERIAL_FIND_MAX + 1);
	assert_int_equal(script_add_wait(&script, longest, err, sizeof(err)), -1);
	longest[SERIAL_FIND_MAX] = '\0';
	assert_int_equal(script_add_wait(&script, longest, err, sizeof(err)), 0);
	script.count = 0;
	assert_int_equal(script_add_type(&script, "<Foo>", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "at character 1"));
	assert_int_equal(script_add_screenshot(&script, "a.gif", err, sizeof(err)), -1);
	assert_int_equal(script.count, 0);
}

static void
text_on_the_screen(void **state)
{
	(void)state;
	want("boot:");
	assert_true(script_wants_screen(&script));
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	show(24, "now boot: ");
	assert_int_equal(script_poll(&script, MS, NULL, &sink), SCRIPT_RUNNING);
	assert_int_equal(poll_at(MS), SCRIPT_DONE);
	assert_false(script_wants_screen(&script));
}

static void
text_on_the_serial_line(void **state)
{
	(void)state;
	want("login: ");
	say("debian log");
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	say("in:");
	assert_int_equal(poll_at(1), SCRIPT_RUNNING);
	say(" ");
	assert_int_equal(poll_at(2), SCRIPT_DONE);
}

static void
serial_since_the_last_match(void **state)
{
	(void)state;
	want("one");
	want("two");
	want("one");
	want("three");
	say("onetwo ");
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	assert_int_equal(script.current, 2);
	say("on");
	assert_int_equal(poll_at(1), SCRIPT_RUNNING);
	/* Found on the screen: what the serial line said before does not count any more. */
	say("x three");
	show(3, "one");
	assert_int_equal(poll_at(2), SCRIPT_RUNNING);
	assert_int_equal(script.current, 3);
	say(" three");
	assert_int_equal(poll_at(3), SCRIPT_DONE);
}

static void
serial_escapes(void **state)
{
	(void)state;
	want("GNU GRUB");
	say("\033[1;37mGN\033[0mU\033(B \033]0;title\007GR\033]2;x\033\\U\r\033M\033[?25hB");
	assert_int_equal(poll_at(0), SCRIPT_DONE);
}

static void
serial_sequences_split(void **state)
{
	(void)state;
	want("ab");
	want("cd");
	say("a\033[");
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	say("31mb");
	assert_int_equal(poll_at(1), SCRIPT_RUNNING);
	assert_int_equal(script.current, 1);
	/* A backspace takes back, but not over a line's beginning. */
	say("cx\b \bd");
	assert_int_equal(poll_at(2), SCRIPT_DONE);
}

static void
serial_backspace_after_a_search(void **state)
{
	(void)state;
	want("\ncd!");
	say("\n\bcdx");
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	say("\b!");
	assert_int_equal(poll_at(1), SCRIPT_DONE);
}

static void
serial_floods(void **state)
{
	(void)state;
	want("needle");
	for (unsigned i = 0; i < 3 * SERIAL_TEXT_MAX; i++) {
		script_serial(&script, (uint8_t)('a' + i % 3));
		if (i % 1000 == 0)
			assert_int_equal(poll_at(i), SCRIPT_RUNNING);
	}
	say("nee");
	for (unsigned i = 0; i < SERIAL_TEXT_MAX; i++)
		script_serial(&script, 0x07);
	say("dle");
	assert_int_equal(poll_at(0), SCRIPT_DONE);
	/* Nobody asks any more: nothing is kept. */
	script_serial(&script, 'x');
	assert_int_equal(script.serial.length, 0);
}

static void
text_across_the_buffers_end(void **state)
{
	(void)state;
	want("needle");
	for (unsigned i = 0; i < SERIAL_TEXT_MAX - 3; i++)
		script_serial(&script, '.');
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	say("needle");
	assert_int_equal(poll_at(1), SCRIPT_DONE);
}

static void
keys_have_a_pace(void **state)
{
	static const uint8_t expected[] = {0x26, 0xa6, 0x1f, 0x9f, 0x1c, 0x9c};

	(void)state;
	type("ls\\n");
	assert_int_equal(poll_at(10 * MS), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 0);
	assert_int_equal(poll_until(11 * MS, 500 * MS), SCRIPT_DONE);
	assert_int_equal(kbd.count, sizeof(expected));
	assert_memory_equal(kbd.codes, expected, sizeof(expected));
	assert_int_equal(kbd.times[0], 10 * MS + SCRIPT_SETTLE_NS);
	for (unsigned i = 2; i < kbd.count; i += 2) {
		assert_int_equal(kbd.times[i] - kbd.times[i - 1], KEY_GAP_NS);
		assert_int_equal(kbd.times[i], kbd.times[i + 1]);
	}
}

static void
full_keyboard(void **state)
{
	static const uint8_t expected[] = {0x2a, 0x1e, 0x9e, 0xaa, 0x30, 0xb0};

	(void)state;
	type("Ab");
	kbd.room = 3;
	assert_int_equal(poll_until(0, 300 * MS), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 3);
	kbd.room = 1;
	assert_int_equal(poll_at(301 * MS), SCRIPT_RUNNING);
	kbd.room = 16;
	/* The gap begins when the last byte was taken. */
	assert_int_equal(poll_until(302 * MS, 301 * MS + KEY_GAP_NS - 1), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 4);
	assert_int_equal(poll_at(301 * MS + KEY_GAP_NS), SCRIPT_DONE);
	assert_memory_equal(kbd.codes, expected, sizeof(expected));
}

static void
guest_not_ready(void **state)
{
	(void)state;
	sink.ready = is_ready;
	type("ab");
	assert_int_equal(poll_until(0, 500 * MS), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 0);
	kbd.ready = true;
	assert_int_equal(poll_at(501 * MS), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 2);
	/* One that never is gets its keys all the same. */
	kbd.ready = false;
	assert_int_equal(
	    poll_until(502 * MS, 501 * MS + KEY_GAP_NS + KEY_READY_NS - 1), SCRIPT_RUNNING);
	assert_int_equal(poll_at(501 * MS + KEY_GAP_NS + KEY_READY_NS), SCRIPT_DONE);
	assert_int_equal(kbd.count, 4);
}

static void
steps_in_order(void **state)
{
	char folder[] = "/tmp/test_script.XXXXXX", first[64], second[64], err[128], text[128];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(first, sizeof(first), "%s/1.txt", folder);
	snprintf(second, sizeof(second), "%s/2.txt", folder);
	want("menu");
	assert_int_equal(script_add_screenshot(&script, first, err, sizeof(err)), 0);
	type("c");
	type("");
	want("grub>");
	assert_int_equal(script_add_screenshot(&script, second, err, sizeof(err)), 0);
	assert_int_equal(poll_at(0), SCRIPT_RUNNING);
	script_describe(&script, text, sizeof(text));
	assert_string_equal(text, "step 1 of 6, waiting for \"menu\"");
	show(0, "menu");
	assert_int_equal(poll_at(MS), SCRIPT_RUNNING);
	assert_int_equal(unlink(first), 0);
	script_describe(&script, text, sizeof(text));
	assert_string_equal(text, "step 3 of 6, typing \"c\"");
	assert_int_equal(poll_until(2 * MS, 300 * MS), SCRIPT_RUNNING);
	assert_int_equal(kbd.count, 2);
	assert_int_equal(stat(second, &st), -1);
	show(0, "grub>");
	assert_int_equal(poll_at(300 * MS), SCRIPT_DONE);
	script_describe(&script, text, sizeof(text));
	assert_string_equal(text, "all 6 steps done");
	assert_int_equal(unlink(second), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void
screenshot_fails(void **state)
{
	char err[128];

	(void)state;
	assert_int_equal(script_add_screenshot(&script, "/nonexistent/a.txt", err, sizeof(err)), 0);
	assert_int_equal(poll_at(0), SCRIPT_FAILED);
	assert_string_equal(script.err, "/nonexistent/a.txt: No such file or directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(no_steps),
	    TEST(bad_steps),
	    TEST(text_on_the_screen),
	    TEST(text_on_the_serial_line),
	    TEST(serial_since_the_last_match),
	    TEST(serial_escapes),
	    TEST(serial_sequences_split),
	    TEST(serial_backspace_after_a_search),
	    TEST(serial_floods),
	    TEST(text_across_the_buffers_end),
	    TEST(keys_have_a_pace),
	    TEST(full_keyboard),
	    TEST(guest_not_ready),
	    TEST(steps_in_order),
	    TEST(screenshot_fails),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
