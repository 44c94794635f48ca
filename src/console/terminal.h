/*
 * The terminal that hyve86 runs in: raw mode with everything put back at any end of the process
 * that leaves us a chance, and its keyboard.
 *
 * There is one terminal, and signal handlers have to find what to put back: so that is global,
 * and terminal_start() is in force until terminal_stop().
 */
#ifndef CONSOLE_TERMINAL_H
#define CONSOLE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/feed.h"
#include "console/keys.h"

#define TERMINAL_RESTORE_MAX 512

/*
 * Put the terminal behind IN, if it is one and ours, into raw mode (output is still processed). At
 * the end RESTORE is written to OUT and the terminal is set back: by terminal_stop(), at exit(),
 * when a signal would end the process. For SIGINT, SIGTERM, SIGHUP and SIGQUIT that holds only if
 * nobody handled or ignored them before: who did ends the run in an orderly way. Returns 0, or -1
 * with errno.
 */
int terminal_start(int in, int out, const char *restore, size_t length);
void terminal_stop(void);
/* Whether IN is a terminal and this process may read it: not so in the background of a shell. */
bool terminal_is_ours(int in);
/* Whether the terminal's size changed since the last call; only while started. */
bool terminal_resized(void);

#define TERMINAL_ESC_NS 50000000ull /* an ESC after which nothing comes for so long is the key */

/* The keyboard: a terminal, or a file or pipe that stands in for it. */
struct terminal_input {
	int fd;
	bool ended;    /* nothing more comes */
	bool leave_on; /* Ctrl-] leaves; else it is left out */
	struct key_parser parser;
	uint64_t last; /* host ns of the last byte */
	size_t at, length;
	uint8_t bytes[256];
};

/* Read from FD; not at all if that is a terminal that is not ours. */
void terminal_input_init(struct terminal_input *input, int fd);
/* The next key, if there is one; never waits. NOW is any monotonic host time in ns. */
enum key_input terminal_input_next(
    struct terminal_input *input, uint64_t now, struct key_stroke *out);
/*
 * Type what comes, at FEED's pace (guest time NOW). True when the person leaves with Ctrl-].
 * To be called often: every 10 ms or so.
 */
bool terminal_input_feed(struct terminal_input *input, uint64_t host_now, struct key_feed *feed,
    uint64_t now, const struct key_sink *sink);
/*
 * Sleep for NS at most, less when there is something to do: a key came that FEED has room for,
 * there is something to read from OTHER (-1: there is no such), or a signal.
 */
void terminal_input_wait(
    const struct terminal_input *input, const struct key_feed *feed, int other, uint64_t ns);

#endif
