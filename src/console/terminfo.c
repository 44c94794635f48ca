/* The terminal database. */
#include "console/terminfo.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

/* Where tputs() puts: it has no argument to pass that in. */
static struct {
	char *bytes;
	size_t room;
	size_t length;
} output;

static int
add_byte(int ch)
{
	if (output.length < output.room)
		output.bytes[output.length++] = (char)ch;
	return (ch);
}

static const char *
capability(const char *name)
{
	const char *value = tigetstr(name);

	return (value != (const char *)-1 ? value : NULL);
}

static void
add_capability(const char *name)
{
	const char *value = capability(name);

	if (value != NULL)
		tputs(value, 1, add_byte);
}

/* Why there can be no full screen, in ERR; 0 if there can. */
static int
check(int out, char *err, size_t errlen)
{
	const char *term = getenv("TERM");
	int status;

	if (!isatty(out)) {
		snprintf(err, errlen,
		    "the curses console needs a terminal as standard output; --console text does "
		    "not");
		return (-1);
	}
	if (term == NULL || term[0] == '\0') {
		snprintf(err, errlen,
		    "TERM is not set, and the curses console needs it; --console text does not");
		return (-1);
	}
	if (setupterm(NULL, out, &status) != OK || capability("cup") == NULL) {
		snprintf(err, errlen,
		    "terminal type \"%s\" (from TERM) is unknown or has no full screen; "
		    "--console text needs none",
		    term);
		return (-1);
	}
	return (0);
}

int
terminfo_restore(int out, char *restore, size_t room, size_t *length, char *err, size_t errlen)
{
	int rc = check(out, err, errlen);

	output.bytes = restore;
	output.room = room;
	output.length = 0;
	if (rc == 0) {
		add_capability("sgr0");	 /* plain characters */
		add_capability("op");	 /* the terminal's own colours */
		add_capability("cnorm"); /* the cursor */
		add_capability("clear");
		add_capability("rmcup"); /* the screen before */
	}
	*length = output.length;
	memset(&output, 0, sizeof(output));
	if (cur_term != NULL)
		del_curterm(cur_term);
	return (rc);
}
