/* The queue of keys that clients have sent. */
#include "control/typing.h"

#include <stdlib.h>
#include <string.h>

void
control_typing_init(struct control_typing *typing)
{
	memset(typing, 0, sizeof(*typing));
	key_feed_init(&typing->feed, 0);
}

void
control_typing_free(struct control_typing *typing)
{
	free(typing->queue);
	typing->queue = NULL;
	typing->count = 0;
}

bool
control_typing_add(
    struct control_typing *typing, const struct control_stroke *strokes, size_t count)
{
	if (count > CONTROL_STROKES_MAX - typing->count)
		return (false);
	if (typing->queue == NULL)
		typing->queue = calloc(CONTROL_STROKES_MAX, sizeof(*typing->queue));
	if (typing->queue == NULL)
		return (false);
	for (size_t i = 0; i < count; i++) {
		size_t at = (typing->first + typing->count++) % CONTROL_STROKES_MAX;

		typing->queue[at] = strokes[i];
	}
	return (true);
}

size_t
control_typing_left(const struct control_typing *typing)
{
	return (typing->count + !key_feed_empty(&typing->feed));
}

static bool
send_key(void *opaque, uint8_t code)
{
	return (machine_event(
	    opaque, (struct machine_event){.kind = MACHINE_EVENT_KEY, .value = code}));
}

/* As for a script: not before the BIOS has set the keyboard up. */
static bool
keys_taken(void *opaque)
{
	const struct machine *m = opaque;

	return (m->bios.calls[0x19] != 0 && i8042_taken(&m->kbc));
}

void
control_typing_run(struct control_typing *typing, struct machine *m)
{
	const struct key_sink sink = {.send = send_key, .ready = keys_taken, .opaque = m};
	const struct control_stroke *next;
	bool busy;
	uint64_t now;

	if (m == NULL || m->paused || control_typing_left(typing) == 0)
		return;
	now = clock_now(&m->clock);
	for (;;) {
		busy = !key_feed_empty(&typing->feed);
		if (!key_feed_run(&typing->feed, now, &sink))
			return;
		if (busy && typing->gap != 0)
			typing->feed.not_before = now + typing->gap;
		if (typing->count == 0)
			return;
		next = &typing->queue[typing->first];
		key_feed_put(&typing->feed, &next->stroke);
		typing->gap = next->gap;
		typing->first = (typing->first + 1) % CONTROL_STROKES_MAX;
		typing->count--;
	}
}
