/* Keys that clients have sent, on their way to the guest's keyboard at a pace that it can take. */
#ifndef CONTROL_TYPING_H
#define CONTROL_TYPING_H

#include "console/feed.h"
#include "machine/machine.h"

#define CONTROL_STROKES_MAX 4096

/* A stroke, and how long after it the next may come. */
struct control_stroke {
	struct key_stroke stroke;
	uint64_t gap; /* guest ns; 0: as the feed has it */
};

struct control_typing {
	struct key_feed feed;
	uint64_t gap; /* behind the stroke that is in the feed */
	struct control_stroke *queue;
	size_t first, count;
};

void control_typing_init(struct control_typing *typing);
void control_typing_free(struct control_typing *typing);
/* Queue COUNT strokes: all, or none and false when there is no room. */
bool control_typing_add(
    struct control_typing *typing, const struct control_stroke *strokes, size_t count);
/* Give M's guest what is due. M may be NULL. */
void control_typing_run(struct control_typing *typing, struct machine *m);
/* How many strokes the guest has not taken yet. */
size_t control_typing_left(const struct control_typing *typing);

#endif
