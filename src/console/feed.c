/* The pace of typing. */
#include "console/feed.h"

#include <stddef.h>
#include <string.h>

void
key_feed_init(struct key_feed *feed, uint64_t not_before)
{
	memset(feed, 0, sizeof(*feed));
	feed->not_before = not_before;
}

bool
key_feed_empty(const struct key_feed *feed)
{
	return (feed->sent == feed->stroke.count);
}

/* A stroke that has begun is finished; one that has not waits for its time and for the guest. */
static bool
may_begin(const struct key_feed *feed, uint64_t now, const struct key_sink *sink)
{
	if (feed->sent > 0)
		return (true);
	if (now < feed->not_before)
		return (false);
	return (sink->ready == NULL || now - feed->not_before >= KEY_READY_NS ||
	    sink->ready(sink->opaque));
}

bool
key_feed_run(struct key_feed *feed, uint64_t now, const struct key_sink *sink)
{
	if (key_feed_empty(feed))
		return (true);
	if (!may_begin(feed, now, sink))
		return (false);
	while (!key_feed_empty(feed)) {
		if (!sink->send(sink->opaque, feed->stroke.codes[feed->sent]))
			return (false);
		feed->sent++;
	}
	feed->not_before = now + KEY_GAP_NS;
	return (true);
}

void
key_feed_put(struct key_feed *feed, const struct key_stroke *stroke)
{
	feed->stroke = *stroke;
	feed->sent = 0;
}
