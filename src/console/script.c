/* The steps of --wait-for, --type and --screenshot. */
#include "console/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
script_init(struct script *script)
{
	memset(script, 0, sizeof(*script));
	serial_text_init(&script->serial);
}

void
script_free(struct script *script)
{
	for (size_t i = 0; i < script->count; i++)
		keys_free(&script->steps[i].keys);
	free(script->steps);
	memset(script, 0, sizeof(*script));
}

/* A new step at the end; NULL and a line in ERR when there is no memory. */
static struct script_step *
add_step(struct script *script, enum script_kind kind, const char *text, char *err, size_t errlen)
{
	struct script_step *step;

	if (script->count == script->room) {
		size_t room = script->room != 0 ? script->room * 2 : 8;
		struct script_step *steps = realloc(script->steps, room * sizeof(*steps));

		if (steps == NULL) {
			snprintf(err, errlen, "%s", strerror(ENOMEM));
			return (NULL);
		}
		script->steps = steps;
		script->room = room;
	}
	step = &script->steps[script->count++];
	*step = (struct script_step){.kind = kind, .text = text};
	return (step);
}

int
script_add_wait(struct script *script, const char *text, char *err, size_t errlen)
{
	if (text[0] == '\0') {
		snprintf(err, errlen, "no text to wait for");
		return (-1);
	}
	if (strlen(text) > SERIAL_FIND_MAX) {
		snprintf(err, errlen, "a text to wait for has at most %u bytes", SERIAL_FIND_MAX);
		return (-1);
	}
	return (add_step(script, SCRIPT_WAIT, text, err, errlen) != NULL ? 0 : -1);
}

int
script_add_type(struct script *script, const char *text, char *err, size_t errlen)
{
	struct script_step *step;
	struct keys keys;

	if (keys_from_text(text, &keys, err, errlen) != 0)
		return (-1);
	step = add_step(script, SCRIPT_TYPE, text, err, errlen);
	if (step == NULL) {
		keys_free(&keys);
		return (-1);
	}
	step->keys = keys;
	return (0);
}

int
script_add_screenshot(struct script *script, const char *file, char *err, size_t errlen)
{
	int format = shot_format_of_file(file, err, errlen);
	struct script_step *step;

	if (format < 0)
		return (-1);
	step = add_step(script, SCRIPT_SCREENSHOT, file, err, errlen);
	if (step == NULL)
		return (-1);
	step->format = (enum shot_format)format;
	return (0);
}

void
script_serial(struct script *script, uint8_t byte)
{
	/* Nobody asks any more after the last step. */
	if (script->current < script->count)
		serial_text_byte(&script->serial, byte);
}

static const struct script_step *
current_step(const struct script *script)
{
	return (script->current < script->count ? &script->steps[script->current] : NULL);
}

bool
script_wants_screen(const struct script *script)
{
	const struct script_step *step = current_step(script);

	return (step != NULL && step->kind != SCRIPT_TYPE);
}

/* Whether the text has come. The serial line goes first: what it said after the text is kept. */
static bool
wait_step(struct script *script, const char *text, const struct screen *screen)
{
	if (serial_text_find(&script->serial, text))
		return (true);
	if (screen == NULL || !screen_find(screen, text))
		return (false);
	serial_text_forget(&script->serial);
	return (true);
}

/* Whether all keys were taken. */
static bool
type_step(struct script *script, const struct keys *keys, uint64_t now, const struct key_sink *sink)
{
	if (!script->begun) {
		script->begun = true;
		script->stroke = 0;
		key_feed_init(&script->feed, now + SCRIPT_SETTLE_NS);
	}
	while (key_feed_run(&script->feed, now, sink)) {
		if (script->stroke == keys->count)
			return (true);
		key_feed_put(&script->feed, &keys->strokes[script->stroke++]);
	}
	return (false);
}

enum script_result
script_poll(
    struct script *script, uint64_t now, const struct screen *screen, const struct key_sink *sink)
{
	const struct script_step *step;

	while ((step = current_step(script)) != NULL) {
		switch (step->kind) {
		case SCRIPT_WAIT:
			if (!wait_step(script, step->text, screen))
				return (SCRIPT_RUNNING);
			break;
		case SCRIPT_TYPE:
			if (!type_step(script, &step->keys, now, sink))
				return (SCRIPT_RUNNING);
			break;
		case SCRIPT_SCREENSHOT:
			if (screen == NULL)
				return (SCRIPT_RUNNING);
			if (shot_write(screen, step->text, step->format, script->err,
				sizeof(script->err)) != 0)
				return (SCRIPT_FAILED);
			break;
		}
		script->current++;
		script->begun = false;
	}
	return (SCRIPT_DONE);
}

void
script_describe(const struct script *script, char *out, size_t size)
{
	static const char *const doing[] = {
	    [SCRIPT_WAIT] = "waiting for",
	    [SCRIPT_TYPE] = "typing",
	    [SCRIPT_SCREENSHOT] = "writing",
	};
	const struct script_step *step = current_step(script);

	if (step == NULL)
		snprintf(out, size, "all %zu steps done", script->count);
	else
		snprintf(out, size, "step %zu of %zu, %s \"%s\"", script->current + 1,
		    script->count, doing[step->kind], step->text);
}
