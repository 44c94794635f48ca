/*
 * The steps of --wait-for, --type and --screenshot, done in order. A script does nothing by
 * itself: it is given what the serial line says and, now and then, the guest's time and screen.
 * The same inputs at the same times give the same keys at the same times.
 */
#ifndef CONSOLE_SCRIPT_H
#define CONSOLE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/feed.h"
#include "console/keys.h"
#include "console/screen.h"
#include "console/serialtext.h"
#include "console/shot.h"

/* From a text's appearance to the first key: a guest may empty its key buffer at a prompt. */
#define SCRIPT_SETTLE_NS 50000000ull

enum script_kind { SCRIPT_WAIT, SCRIPT_TYPE, SCRIPT_SCREENSHOT };

struct script_step {
	enum script_kind kind;
	const char *text;	 /* the text, or the file's name */
	struct keys keys;	 /* SCRIPT_TYPE */
	enum shot_format format; /* SCRIPT_SCREENSHOT */
};

struct script {
	struct script_step *steps;
	size_t count;
	size_t room;
	size_t current; /* == count when all are done */
	size_t stroke;	/* of the current SCRIPT_TYPE: how many were handed out */
	bool begun;	/* the current step was looked at */
	struct key_feed feed;
	struct serial_text serial;
	char err[512]; /* why SCRIPT_FAILED */
};

enum script_result {
	SCRIPT_RUNNING,
	SCRIPT_DONE,
	SCRIPT_FAILED, /* the script's err says why, in one line */
};

void script_init(struct script *script);
void script_free(struct script *script);

/*
 * Add a step. TEXT and FILE stay the caller's and must outlive the script. Return 0, or -1 with
 * one line in ERR.
 */
int script_add_wait(struct script *script, const char *text, char *err, size_t errlen);
int script_add_type(struct script *script, const char *text, char *err, size_t errlen);
int script_add_screenshot(struct script *script, const char *file, char *err, size_t errlen);

/* A byte that the guest sent over the serial line. */
void script_serial(struct script *script, uint8_t byte);
/*
 * Go on, at guest time NOW, as far as that is possible. SCREEN is what the guest shows now; it may
 * be NULL to save the work when script_wants_screen() is false.
 */
enum script_result script_poll(
    struct script *script, uint64_t now, const struct screen *screen, const struct key_sink *sink);
/* Whether the current step has to see the screen. */
bool script_wants_screen(const struct script *script);
/* What the script is at, for people: `step 2 of 3, waiting for "boot:"`. */
void script_describe(const struct script *script, char *out, size_t size);

#endif
