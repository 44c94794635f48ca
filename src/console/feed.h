/*
 * Hands strokes to the guest's keyboard, byte by byte, no faster than a guest can take them: a
 * stroke begins some time after the one before was taken, in guest time.
 */
#ifndef CONSOLE_FEED_H
#define CONSOLE_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "console/keys.h"

#define KEY_GAP_NS 20000000ull	   /* between two strokes */
#define KEY_READY_NS 1000000000ull /* a guest that is not ready by then gets the key anyway */

/* Where the bytes go. */
struct key_sink {
	/* Take one byte of set 1; false when the keyboard is full: it comes again later. */
	bool (*send)(void *opaque, uint8_t code);
	/* Whether the guest took what was typed before; NULL when nobody knows. */
	bool (*ready)(void *opaque);
	void *opaque;
};

struct key_feed {
	struct key_stroke stroke;
	uint8_t sent;
	uint64_t not_before; /* of the next stroke */
};

/* The first stroke comes at guest time NOT_BEFORE or later. */
void key_feed_init(struct key_feed *feed, uint64_t not_before);
/* Give what is left of the stroke. Whether the feed can take another one. */
bool key_feed_run(struct key_feed *feed, uint64_t now, const struct key_sink *sink);
/* The next stroke; only after key_feed_run() said true. */
void key_feed_put(struct key_feed *feed, const struct key_stroke *stroke);
/* Whether all that was put has been taken. */
bool key_feed_empty(const struct key_feed *feed);

#endif
