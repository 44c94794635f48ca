/* The full-screen console: what it says to a terminal, and what it refuses. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "console/curses.h"
#include "tty.h"

#define ENTER_SCREEN "\033[?1049h"
#define LEAVE_SCREEN "\033[?1049l"

static struct console_curses curses;
static struct screen screen;
static int master, slave;
static char output[16384];

static void
set_size(unsigned short rows, unsigned short columns)
{
	const struct winsize size = {.ws_row = rows, .ws_col = columns};

	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
}

static int
setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	set_size(30, 90);
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("LINES");
	unsetenv("COLUMNS");
	memset(&screen, 0, sizeof(screen));
	screen.text = true;
	screen.columns = 80;
	screen.rows = 25;
	screen.cell_height = 16;
	screen.cursor_first = 13;
	screen.cursor_last = 14;
	screen.cursor_on = true;
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	console_curses_stop(&curses);
	close(master);
	close(slave);
	return (0);
}

static void
put(unsigned row, unsigned column, uint8_t attr, const char *text)
{
	for (; *text != '\0'; text++)
		screen.cells[row][column++] = (struct screen_cell){(uint8_t)*text, attr};
}

static void
start(void)
{
	char err[256];

	if (console_curses_start(&curses, slave, slave, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

/* Draw; what the terminal got. */
static const char *
draw(void)
{
	console_curses_draw(&curses, &screen);
	tty_read(master, output, sizeof(output), NULL);
	return (output);
}

static void
colours_and_glyphs(void **state)
{
	const char *got;

	(void)state;
	put(0, 0, 0x1e, "\xc9\xcd\x01"); /* yellow on blue */
	put(1, 0, 0x84, "red");
	start();
	got = draw();
	assert_non_null(strstr(got, ENTER_SCREEN));
	assert_non_null(strstr(got, "\xe2\x95\x94\xe2\x95\x90\xe2\x98\xba"));
	assert_non_null(strstr(got, "\033[93m\033[44m"));
	assert_non_null(strstr(got, "\033[31m\033[100m")); /* on bright black */
	assert_null(strstr(got, "5m\033[31m\033[40mred"));
	screen.blink = true;
	got = draw();
	assert_non_null(strstr(got, "5m\033[31m\033[40mred"));
	assert_null(strstr(got, "\033[100m"));
	console_curses_stop(&curses);
	tty_read(master, output, sizeof(output), NULL);
	assert_non_null(strstr(output, LEAVE_SCREEN));
}

static void
only_changes_are_drawn(void **state)
{
	(void)state;
	put(3, 3, 0x07, "before");
	start();
	assert_non_null(strstr(draw(), "before"));
	assert_string_equal(draw(), "");
	put(3, 5, 0x07, "g");
	assert_non_null(strstr(draw(), "g"));
	assert_true(strlen(output) < 60);
	assert_null(strstr(output, "before"));
	/* The cursor moves, changes its shape, goes. */
	screen.cursor_row = 9;
	screen.cursor_column = 19;
	assert_non_null(strstr(draw(), "\033[10;20H"));
	screen.cursor_column = 18;
	assert_string_not_equal(draw(), "");
	screen.cursor_first = 0;
	assert_non_null(strstr(draw(), "\033[?12;25h"));
	screen.cursor_on = false;
	assert_non_null(strstr(draw(), "\033[?25l"));
	assert_string_equal(draw(), "");
}

static void
small_terminal(void **state)
{
	(void)state;
	put(0, 0, 0x07, "top");
	put(12, 12, 0x07, "middle");
	put(24, 76, 0x07, "end");
	set_size(10, 40);
	start();
	assert_non_null(strstr(draw(), "top"));
	assert_null(strstr(output, "end"));
	screen.cursor_row = 24;
	screen.cursor_column = 79;
	assert_non_null(strstr(draw(), "end"));
	assert_int_equal(curses.top, 15);
	assert_int_equal(curses.left, 40);
	/* What shows the cursor stays as it is; what does not moves. */
	screen.cursor_row = 20;
	draw();
	assert_int_equal(curses.top, 15);
	screen.cursor_row = 12;
	screen.cursor_column = 0;
	assert_non_null(strstr(draw(), "middle"));
	assert_int_equal(curses.top, 12);
	assert_int_equal(curses.left, 0);
	screen.cursor_row = 9;
	draw();
	assert_int_equal(curses.top, 0);
	/* No cursor moves nothing. */
	screen.cursor_on = false;
	screen.cursor_row = 24;
	draw();
	assert_int_equal(curses.top, 0);
}

static void
size_changes(void **state)
{
	(void)state;
	put(0, 0, 0x07, "top");
	put(24, 70, 0x07, "end");
	set_size(10, 40);
	start();
	assert_null(strstr(draw(), "end"));
	set_size(50, 100);
	raise(SIGWINCH);
	assert_non_null(strstr(draw(), "end"));
	assert_non_null(strstr(output, "top"));
	set_size(1, 1);
	raise(SIGWINCH);
	draw();
	assert_int_equal(curses.lines, 1);
	/* The guest's screen changes too. */
	set_size(30, 90);
	raise(SIGWINCH);
	draw();
	screen.rows = 50;
	screen.columns = 132;
	screen.cursor_row = 49;
	put(49, 0, 0x07, "last");
	assert_non_null(strstr(draw(), "last"));
	assert_int_equal(curses.top, 20);
}

static void
graphics_mode(void **state)
{
	(void)state;
	put(0, 0, 0x07, "text");
	start();
	assert_non_null(strstr(draw(), "text"));
	memset(&screen, 0, sizeof(screen));
	assert_non_null(strstr(draw(), "graphics"));
	assert_string_equal(draw(), "");
	screen.text = true;
	screen.columns = 80;
	screen.rows = 25;
	put(0, 0, 0x07, "again");
	assert_non_null(strstr(draw(), "again"));
	assert_null(strstr(output, "graphics"));
}

/* A console that is killed leaves the full screen, with the cursor on. */
static void
killed(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		screen.cursor_on = false;
		start();
		draw();
		raise(SIGTERM);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	tty_read(master, output, sizeof(output), LEAVE_SCREEN);
	assert_non_null(strstr(output, LEAVE_SCREEN));
	assert_non_null(strstr(output, "\033[?25h"));
}

/* In a process of its own, as the locale stays. */
static void
terminal_without_utf8(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		put(0, 0, 0x07, "\xc9\xcd\xbb\xb3 \xb1 \x10 \xfe \xe0");
		start();
		curses.utf8 = false;
		_exit(strstr(draw(), "+=+| # > # ?") != NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
colours_of_poor_terminals(void **state)
{
	(void)state;
	put(0, 0, 0x1e, "eight");
	setenv("TERM", "linux", 1);
	start();
	assert_non_null(strstr(draw(), "\033[33m\033[44meight"));
	assert_non_null(strstr(output, ";1m")); /* bold for bright */
	console_curses_stop(&curses);
	put(0, 0, 0x70, "none");
	put(2, 0, 0x0f, "bright");
	setenv("TERM", "vt100", 1);
	start();
	assert_non_null(strstr(draw(), ";7m"));
	assert_non_null(strstr(output, ";1m"));
}

static void
expect_refusal(int out, const char *text)
{
	char err[256] = "";

	assert_int_equal(console_curses_start(&curses, slave, out, err, sizeof(err)), -1);
	if (strstr(err, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, err);
	assert_non_null(strstr(err, "--console text"));
	console_curses_draw(&curses, &screen);
	tty_read(master, output, sizeof(output), NULL);
	assert_string_equal(output, "");
}

static void
refusals(void **state)
{
	int null = open("/dev/null", O_WRONLY);

	(void)state;
	expect_refusal(null, "needs a terminal");
	close(null);
	setenv("TERM", "no-such-terminal", 1);
	expect_refusal(slave, "\"no-such-terminal\" (from TERM) is unknown");
	setenv("TERM", "dumb", 1);
	expect_refusal(slave, "\"dumb\"");
	setenv("TERM", "", 1);
	expect_refusal(slave, "TERM is not set");
	unsetenv("TERM");
	expect_refusal(slave, "TERM is not set");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(colours_and_glyphs),
	    TEST(only_changes_are_drawn),
	    TEST(small_terminal),
	    TEST(size_changes),
	    TEST(graphics_mode),
	    TEST(killed),
	    TEST(terminal_without_utf8),
	    TEST(colours_of_poor_terminals),
	    TEST(refusals),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
