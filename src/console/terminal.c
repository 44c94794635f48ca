/* Raw mode and its end; the terminal's keyboard. */
#include "console/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Signals that end the process; the last group only if the default would. */
static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
static const int asked[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* What the handlers need. */
static struct {
	volatile sig_atomic_t active;
	volatile sig_atomic_t resized;
	bool raw; /* SAVED is to be set back */
	bool at_exit;
	int in, out;
	pid_t pid; /* a forked child has no business here */
	struct termios saved;
	size_t length;
	char restore[TERMINAL_RESTORE_MAX];
	struct sigaction old_fatal[COUNT(fatal)];
	struct sigaction old_asked[COUNT(asked)];
	struct sigaction old_winch;
} guard;

/* Put the terminal back. Safe in a signal handler. */
static void
put_back(void)
{
	size_t done = 0;

	if (!guard.active || guard.pid != getpid())
		return;
	guard.active = 0;
	while (done < guard.length) {
		ssize_t count = write(guard.out, guard.restore + done, guard.length - done);

		if (count < 0 && errno != EINTR)
			break;
		done += count > 0 ? (size_t)count : 0;
	}
	if (guard.raw)
		tcsetattr(guard.in, TCSANOW, &guard.saved);
}

/* Put the terminal back, then let happen what would have happened without us. */
static void
on_fatal(int number, siginfo_t *info, void *context)
{
	int error = errno;

	(void)context;
	put_back();
	for (size_t i = 0; i < COUNT(fatal); i++)
		if (fatal[i] == number)
			sigaction(number, &guard.old_fatal[i], NULL);
	for (size_t i = 0; i < COUNT(asked); i++)
		if (asked[i] == number)
			sigaction(number, &guard.old_asked[i], NULL);
	/* A fault happens again by itself, with all its particulars; a kill() has to be repeated. */
	if (info->si_code <= 0)
		raise(number);
	errno = error;
}

static void
on_resize(int number)
{
	(void)number;
	guard.resized = 1;
}

static void
install_handlers(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction resize = {.sa_handler = on_resize, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigemptyset(&resize.sa_mask);
	for (size_t i = 0; i < COUNT(fatal); i++)
		sigaction(fatal[i], &action, &guard.old_fatal[i]);
	for (size_t i = 0; i < COUNT(asked); i++) {
		sigaction(asked[i], NULL, &guard.old_asked[i]);
		if ((guard.old_asked[i].sa_flags & SA_SIGINFO) == 0 &&
		    guard.old_asked[i].sa_handler == SIG_DFL)
			sigaction(asked[i], &action, NULL);
	}
	sigaction(SIGWINCH, &resize, &guard.old_winch);
}

/* Take back handlers that are still ours. */
static void
remove_handlers(void)
{
	struct sigaction now;

	for (size_t i = 0; i < COUNT(fatal); i++)
		if (sigaction(fatal[i], NULL, &now) == 0 && now.sa_sigaction == on_fatal)
			sigaction(fatal[i], &guard.old_fatal[i], NULL);
	for (size_t i = 0; i < COUNT(asked); i++)
		if (sigaction(asked[i], NULL, &now) == 0 && now.sa_sigaction == on_fatal)
			sigaction(asked[i], &guard.old_asked[i], NULL);
	sigaction(SIGWINCH, &guard.old_winch, NULL);
}

bool
terminal_is_ours(int in)
{
	return (isatty(in) && tcgetpgrp(in) == getpgrp());
}

int
terminal_start(int in, int out, const char *restore, size_t length)
{
	struct termios raw;

	if (guard.active || length > sizeof(guard.restore)) {
		errno = guard.active ? EBUSY : EINVAL;
		return (-1);
	}
	guard.in = in;
	guard.out = out;
	guard.pid = getpid();
	guard.length = length;
	guard.resized = 0;
	guard.raw = terminal_is_ours(in);
	if (length > 0)
		memcpy(guard.restore, restore, length);
	if (guard.raw && tcgetattr(in, &guard.saved) != 0)
		return (-1);
	if (!guard.at_exit && atexit(terminal_stop) == 0)
		guard.at_exit = true;
	install_handlers();
	guard.active = 1;
	if (guard.raw) {
		raw = guard.saved;
		cfmakeraw(&raw);
		/* Messages of ours still want their line ends. */
		raw.c_oflag = guard.saved.c_oflag;
		tcsetattr(in, TCSADRAIN, &raw);
	}
	return (0);
}

void
terminal_stop(void)
{
	if (!guard.active || guard.pid != getpid())
		return;
	put_back();
	remove_handlers();
}

bool
terminal_resized(void)
{
	bool resized = guard.resized != 0;

	guard.resized = 0;
	return (resized);
}

void
terminal_input_init(struct terminal_input *input, int fd)
{
	memset(input, 0, sizeof(*input));
	key_parser_init(&input->parser);
	input->fd = fd;
	input->leave_on = isatty(fd);
	/* Reading would stop a process in the background. */
	input->ended = isatty(fd) && !terminal_is_ours(fd);
}

/* Whether there are bytes to look at, after reading some if need be. */
static bool
have_bytes(struct terminal_input *input, uint64_t now)
{
	struct pollfd ready = {.fd = input->fd, .events = POLLIN};
	ssize_t count;

	if (input->at < input->length)
		return (true);
	if (input->ended || poll(&ready, 1, 0) <= 0)
		return (false);
	count = read(input->fd, input->bytes, sizeof(input->bytes));
	if (count <= 0) {
		input->ended = count == 0 || (errno != EINTR && errno != EAGAIN);
		return (false);
	}
	input->at = 0;
	input->length = (size_t)count;
	input->last = now;
	return (true);
}

enum key_input
terminal_input_next(struct terminal_input *input, uint64_t now, struct key_stroke *out)
{
	enum key_input result;

	while (have_bytes(input, now)) {
		result = key_parser_byte(&input->parser, input->bytes[input->at++], out);
		if (result == KEY_INPUT_STROKE || (result == KEY_INPUT_LEAVE && input->leave_on))
			return (result);
	}
	if (key_parser_pending(&input->parser) &&
	    (input->ended || now - input->last >= TERMINAL_ESC_NS))
		return (key_parser_flush(&input->parser, out));
	return (KEY_INPUT_NONE);
}

bool
terminal_input_feed(struct terminal_input *input, uint64_t host_now, struct key_feed *feed,
    uint64_t now, const struct key_sink *sink)
{
	struct key_stroke stroke;

	while (key_feed_run(feed, now, sink)) {
		switch (terminal_input_next(input, host_now, &stroke)) {
		case KEY_INPUT_STROKE:
			key_feed_put(feed, &stroke);
			break;
		case KEY_INPUT_LEAVE:
			return (true);
		case KEY_INPUT_NONE:
			return (false);
		}
	}
	return (false);
}

void
terminal_input_wait(
    const struct terminal_input *input, const struct key_feed *feed, int other, uint64_t ns)
{
	struct pollfd ready[2] = {
	    {.fd = input->fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	struct timespec time;

	/* While a key waits for its time those after it do, too. */
	bool listen = !input->ended && key_feed_empty(feed);

	if (listen && input->at < input->length)
		return;
	if (key_parser_pending(&input->parser) && ns > TERMINAL_ESC_NS)
		ns = TERMINAL_ESC_NS;
	time.tv_sec = (time_t)(ns / 1000000000u);
	time.tv_nsec = (long)(ns % 1000000000u);
	if (!listen)
		ready[0].fd = -1;
	ppoll(ready, 2, &time, NULL);
}
