/* What a person at the guest's console sees and types: QMP's screendump and send-key, and ours. */
#include <stdlib.h>
#include <string.h>

#include "console/capture.h"
#include "console/shot.h"
#include "control/qcode.h"
#include "control/server.h"

#define HOLD_MS 100 /* QMP's default hold-time */
#define HOLD_MS_MAX 60000
#define NS_PER_MS 1000000ull

/* The machine, or NULL after control_fail(). */
static struct machine *
machine_of(struct control_call *call)
{
	struct machine *m = ((struct control *)call->opaque)->runner.machine;

	if (m == NULL)
		control_fail(call, "This VM has no board, hence no screen and no keyboard");
	return (m);
}

/* --- screen ---------------------------------------------------------------------------------------------- */

/* The text on M's screen, to be freed; NULL after control_fail(). */
static char *
screen_text(struct control_call *call, const struct machine *m, struct screen *screen)
{
	size_t length;
	char *text;

	screen_capture_machine(screen, m);
	if (!screen->text) {
		control_fail(call, "The screen is in a graphics mode, which has no text");
		return (NULL);
	}
	text = screen_to_text(screen, &length);
	if (text == NULL)
		control_fail(call, "out of memory");
	return (text);
}

/* FORMAT as QEMU takes it, or txt; without it ppm, but a text for a file called so. */
static int
dump_format(const char *format, const char *file)
{
	const char *suffix = strrchr(file, '.');

	if (format != NULL)
		return (shot_format(format));
	return (suffix != NULL && strcmp(suffix, ".txt") == 0 ? SHOT_TXT : SHOT_PPM);
}

static json_t *
run_screendump(struct control_call *call)
{
	const char *file = json_string_value(json_object_get(call->arguments, "filename"));
	const char *name = json_string_value(json_object_get(call->arguments, "format"));
	int format = dump_format(name, file);
	struct machine *m = machine_of(call);
	struct screen screen;
	char err[256];

	if (m == NULL)
		return (NULL);
	if (format < 0)
		return (control_fail(
		    call, "Parameter 'format' does not accept value '%.20s': ppm, png, txt", name));
	screen_capture_machine(&screen, m);
	if (shot_write(&screen, file, (enum shot_format)format, err, sizeof(err)) != 0)
		return (control_fail(call, "Could not write %s", err));
	return (json_object());
}

static json_t *
run_screen(struct control_call *call)
{
	struct machine *m = machine_of(call);
	struct screen screen;
	json_t *result;
	char *text;

	if (m == NULL)
		return (NULL);
	text = screen_text(call, m, &screen);
	if (text == NULL)
		return (NULL);
	result = json_pack("{s:s, s:i, s:i, s:b, s:i, s:i}", "text", text, "columns",
	    (int)screen.columns, "rows", (int)screen.rows, "cursor-visible", screen.cursor_on,
	    "cursor-column", (int)screen.cursor_column, "cursor-row", (int)screen.cursor_row);
	free(text);
	return (result);
}

/* --- keyboard -------------------------------------------------------------------------------------------- */

static unsigned
key_of(const json_t *item)
{
	const json_t *data = json_object_get(item, "data");
	const char *type = json_string_value(json_object_get(item, "type"));

	if (json_is_string(item))
		return (control_qcode(json_string_value(item)));
	if (type != NULL && strcmp(type, "qcode") == 0 && json_is_string(data))
		return (control_qcode(json_string_value(data)));
	if (type != NULL && strcmp(type, "number") == 0 && json_is_integer(data))
		return (control_key_number(json_integer_value(data)));
	return (0);
}

/* All keys of LIST go down in order, and after a while up again in the reverse one. */
static bool
make_strokes(struct control_call *call, const json_t *list, struct control_stroke out[2])
{
	size_t count = json_array_size(list);

	memset(out, 0, 2 * sizeof(*out));
	for (size_t i = 0; i < count; i++) {
		unsigned down = key_of(json_array_get(list, i));
		unsigned up = key_of(json_array_get(list, count - 1 - i));

		if (down == 0 || up == 0)
			return (control_fail(call,
				    "Invalid parameter 'keys': key %zu is none of this keyboard's",
				    down == 0 ? i + 1 : count - i) != NULL);
		if (!control_key_codes(&out[0].stroke, down, false) ||
		    !control_key_codes(&out[1].stroke, up, true))
			return (control_fail(call, "Too many keys at a time") != NULL);
	}
	return (true);
}

static json_t *
run_send_key(struct control_call *call)
{
	const json_t *hold = json_object_get(call->arguments, "hold-time");
	long long ms = hold != NULL ? json_integer_value(hold) : HOLD_MS;
	struct control *c = call->opaque;
	struct control_stroke strokes[2];

	if (machine_of(call) == NULL)
		return (NULL);
	if (ms < 0 || ms > HOLD_MS_MAX)
		return (control_fail(
		    call, "Invalid parameter 'hold-time': at most %d ms", HOLD_MS_MAX));
	if (!make_strokes(call, json_object_get(call->arguments, "keys"), strokes))
		return (NULL);
	strokes[0].gap = (uint64_t)ms * NS_PER_MS;
	if (!control_typing_add(&c->typing, strokes, strokes[1].stroke.count != 0 ? 2 : 1))
		return (control_fail(call, "The guest has not taken the keys before yet"));
	return (json_object());
}

/* Queue the keys of TEXT. */
static bool
type_text(struct control_call *call, const char *text)
{
	struct control *c = call->opaque;
	struct control_stroke stroke = {0};
	char why[160];
	struct keys keys;
	bool room;

	if (keys_from_text(text, &keys, why, sizeof(why)) != 0)
		return (control_fail(call, "%s", why) != NULL);
	room = keys.count <= CONTROL_STROKES_MAX - control_typing_left(&c->typing);
	for (size_t i = 0; room && i < keys.count; i++) {
		stroke.stroke = keys.strokes[i];
		room = control_typing_add(&c->typing, &stroke, 1);
	}
	keys_free(&keys);
	if (!room)
		control_fail(call, "The guest has not taken the keys before yet");
	return (room);
}

static json_t *
run_type(struct control_call *call)
{
	const char *text = json_string_value(json_object_get(call->arguments, "text"));
	struct control *c = call->opaque;

	if (machine_of(call) == NULL || (text != NULL && !type_text(call, text)))
		return (NULL);
	return (json_pack("{s:I}", "left", (json_int_t)control_typing_left(&c->typing)));
}

const struct control_command control_guest_commands[] = {
    {"screendump", "filename:s device?:s head?:i format?:s", run_screendump},
    {"send-key", "keys:a hold-time?:i", run_send_key},
    {"x-hyve86-screen", NULL, run_screen},
    {"x-hyve86-type", "text?:s", run_type},
    {NULL, NULL, NULL},
};
