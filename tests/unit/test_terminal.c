/* The terminal: raw mode and its end however that comes, keys, the plain console. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bus/clock.h"
#include "console/terminal.h"
#include "console/text.h"
#include "tty.h"

#define RESTORE "[restored]"

/* How the child ends. */
enum { STOP = -1, EXIT = -2, ABORT = -3 };

/* In the child: take the terminal, tell so, and end. */
_Noreturn static void
child(int how)
{
	char byte;

	/* The reports of cmocka and the sanitizers are of no interest here. */
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	if (terminal_start(0, 1, RESTORE, strlen(RESTORE)) != 0)
		_exit(99);
	if (write(1, "ready", 5) != 5 || read(0, &byte, 1) != 1)
		_exit(98);
	switch (how) {
	case STOP:
		terminal_stop();
		_exit(0);
	case EXIT:
		exit(7);
	case ABORT:
		abort();
	default:
		raise(how);
		_exit(97);
	}
}

static bool
is_raw(int master)
{
	struct termios mode;

	assert_int_equal(tcgetattr(master, &mode), 0);
	return ((mode.c_lflag & (ICANON | ECHO | ISIG)) == 0);
}

/* A child that ends as HOW says; its status. The terminal must be as it was. */
static int
run_child(int how)
{
	struct termios before, after;
	char output[128] = "";
	int master, slave, status;
	pid_t pid;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	close(master);
	close(slave);
	pid = forkpty(&master, NULL, &before, NULL);
	assert_true(pid >= 0);
	if (pid == 0)
		child(how);
	tty_read(master, output, sizeof(output), "ready");
	assert_string_equal(output, "ready");
	assert_true(is_raw(master));
	assert_int_equal(write(master, "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(tcgetattr(master, &after), 0);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_iflag, before.c_iflag);
	assert_int_equal(after.c_oflag, before.c_oflag);
	tty_read(master, output, sizeof(output), NULL);
	assert_string_equal(output, RESTORE);
	close(master);
	return (status);
}

static void
put_back_at_the_end(void **state)
{
	int status = run_child(STOP);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	status = run_child(EXIT);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void
put_back_by_signals(void **state)
{
	static const int signals[] = {
	    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	int status;

	(void)state;
	for (size_t i = 0; i < COUNT(signals); i++) {
		status = run_child(signals[i]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
	status = run_child(ABORT);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static volatile sig_atomic_t seen;

static void
note_signal(int number)
{
	seen = number;
}

/* Who handles a signal already keeps it, and gets it back. */
static void
handlers_of_others(void **state)
{
	struct sigaction before, now;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	signal(SIGTERM, note_signal);
	sigaction(SIGSEGV, NULL, &before);
	assert_int_equal(terminal_start(pipes[0], pipes[1], RESTORE, strlen(RESTORE)), 0);
	assert_int_equal(terminal_start(pipes[0], pipes[1], NULL, 0), -1); /* one at a time */
	raise(SIGTERM);
	assert_int_equal(seen, SIGTERM);
	assert_false(terminal_resized());
	raise(SIGWINCH);
	assert_true(terminal_resized());
	assert_false(terminal_resized());
	terminal_stop();
	terminal_stop();
	sigaction(SIGSEGV, NULL, &now);
	assert_ptr_equal(now.sa_sigaction, before.sa_sigaction);
	sigaction(SIGTERM, NULL, &now);
	assert_ptr_equal(now.sa_handler, note_signal);
	signal(SIGTERM, SIG_DFL);
	close(pipes[0]);
	close(pipes[1]);
}

static uint8_t typed[64];
static unsigned ntyped;

static bool
take(void *opaque, uint8_t code)
{
	(void)opaque;
	assert_in_range(ntyped, 0, sizeof(typed) - 1);
	typed[ntyped++] = code;
	return (true);
}

static void
keys_from_a_pipe(void **state)
{
	static const uint8_t expected[] = {0x26, 0xa6, 0x01, 0x81};
	const struct key_sink sink = {.send = take};
	struct terminal_input input;
	struct key_feed feed;
	int pipes[2];

	(void)state;
	ntyped = 0;
	assert_int_equal(pipe(pipes), 0);
	terminal_input_init(&input, pipes[0]);
	key_feed_init(&feed, 0);
	assert_false(terminal_input_feed(&input, 0, &feed, 0, &sink));
	assert_int_equal(ntyped, 0);
	/* Ctrl-] leaves terminals, and is nothing in a file. */
	assert_int_equal(write(pipes[1], "\035l\033", 3), 3);
	assert_false(terminal_input_feed(&input, 0, &feed, 0, &sink));
	assert_int_equal(ntyped, 2);
	/* The ESC may become a sequence until its time is over. */
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS - 1, &feed, KEY_GAP_NS, &sink));
	assert_int_equal(ntyped, 2);
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS, &feed, KEY_GAP_NS, &sink));
	assert_int_equal(ntyped, sizeof(expected));
	assert_memory_equal(typed, expected, sizeof(expected));
	assert_false(input.ended);
	ntyped = 0;
	assert_int_equal(write(pipes[1], "lll", 3), 3);
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS, &feed, 2 * KEY_GAP_NS, &sink));
	assert_int_equal(ntyped, 2); /* the next one has to wait */
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS, &feed, 9 * KEY_GAP_NS, &sink));
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS, &feed, 10 * KEY_GAP_NS, &sink));
	assert_int_equal(ntyped, 6);
	close(pipes[1]);
	assert_false(terminal_input_feed(&input, TERMINAL_ESC_NS, &feed, 11 * KEY_GAP_NS, &sink));
	assert_true(input.ended);
	close(pipes[0]);
}

static uint64_t
host_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec);
}

/* Wait for LONGEST ns; how long that was. */
static uint64_t
waited(const struct terminal_input *input, const struct key_feed *feed, uint64_t longest)
{
	uint64_t begin = host_now();

	terminal_input_wait(input, feed, -1, longest);
	return (host_now() - begin);
}

static void
wait_for_keys(void **state)
{
	const struct key_stroke stroke = key_stroke(KBD_ESC, 0);
	const uint64_t some = 3000000, much = 60 * NS_PER_SEC;
	struct terminal_input input;
	struct key_feed feed;
	struct key_stroke out;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	terminal_input_init(&input, pipes[0]);
	key_feed_init(&feed, 0);
	assert_true(waited(&input, &feed, some) >= some);
	assert_int_equal(write(pipes[1], "ab\033", 3), 3);
	assert_true(waited(&input, &feed, much) < much / 2);
	/* No hurry while the feed is busy. */
	key_feed_put(&feed, &stroke);
	assert_true(waited(&input, &feed, some) >= some);
	key_feed_init(&feed, 0);
	assert_int_equal(terminal_input_next(&input, 0, &out), KEY_INPUT_STROKE);
	assert_true(waited(&input, &feed, much) < much / 2); /* read, but not looked at */
	assert_int_equal(terminal_input_next(&input, 0, &out), KEY_INPUT_STROKE);
	assert_int_equal(terminal_input_next(&input, 0, &out), KEY_INPUT_NONE);
	assert_true(waited(&input, &feed, much) < much / 2); /* the ESC */
	close(pipes[1]);
	assert_int_equal(terminal_input_next(&input, 0, &out), KEY_INPUT_STROKE);
	assert_true(input.ended);
	assert_true(waited(&input, &feed, some) >= some);
	close(pipes[0]);
}

/* The keyboard of a terminal, which Ctrl-] leaves. */
static void
leave_from_a_terminal(void **state)
{
	char output[128] = "";
	int master, status;
	pid_t pid;

	(void)state;
	ntyped = 0;
	pid = forkpty(&master, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct key_sink sink = {.send = take};
		static struct console_text text;
		struct key_feed feed;
		char err[128];
		bool left = false;

		key_feed_init(&feed, 0);
		if (console_text_start(&text, 0, 1, err, sizeof(err)) != 0)
			_exit(99);
		console_text_putc(&text, '>');
		console_text_flush(&text);
		for (unsigned i = 0; i < 1000 && !left; i++) {
			left = terminal_input_feed(
			    &text.input, i * KEY_GAP_NS, &feed, i * KEY_GAP_NS, &sink);
			usleep(5000);
		}
		console_text_stop(&text);
		_exit(left && ntyped == 2 && typed[0] == 0x1e ? 0 : 1);
	}
	tty_read(master, output, sizeof(output), ">");
	assert_string_equal(output, ">");
	assert_int_equal(write(master, "a\035", 2), 2);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(master);
}

static void
teletype_to_a_pipe(void **state)
{
	static const char said[] = "a\r\n\r\r\nb\rc\n\a\xb0\x01\x1b\b.\r";
	struct console_text text;
	char err[128], got[128] = "";
	int in = open("/dev/null", O_RDONLY), pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(console_text_start(&text, in, pipes[1], err, sizeof(err)), 0);
	for (unsigned i = 0; i < sizeof(said) - 1; i++)
		console_text_putc(&text, (uint8_t)said[i]);
	console_text_raw(&text, 0xb0);
	console_text_stop(&text);
	assert_true(read(pipes[0], got, sizeof(got) - 1) > 0);
	assert_string_equal(got, "a\n\nb\rc\n\xe2\x96\x91\xe2\x98\xba\xe2\x86\x90\b.\r\xb0");
	assert_int_equal(text.error, 0);
	close(pipes[0]);
	close(pipes[1]);
	close(in);
}

static void
teletype_to_a_full_disk(void **state)
{
	struct console_text text;
	char err[128];
	int in = open("/dev/null", O_RDONLY), out = open("/dev/full", O_WRONLY);

	(void)state;
	assert_int_equal(console_text_start(&text, in, out, err, sizeof(err)), 0);
	for (unsigned i = 0; i < 3 * CONSOLE_TEXT_BUFFER; i++) {
		console_text_putc(&text, 0xb0);
		console_text_raw(&text, 'x');
	}
	console_text_stop(&text);
	assert_int_equal(text.error, ENOSPC);
	close(in);
	close(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(put_back_at_the_end),
	    cmocka_unit_test(put_back_by_signals),
	    cmocka_unit_test(handlers_of_others),
	    cmocka_unit_test(keys_from_a_pipe),
	    cmocka_unit_test(wait_for_keys),
	    cmocka_unit_test(leave_from_a_terminal),
	    cmocka_unit_test(teletype_to_a_pipe),
	    cmocka_unit_test(teletype_to_a_full_disk),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
