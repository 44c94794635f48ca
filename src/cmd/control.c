/*
 * Commands for a VM that runs, from another terminal: screen, type, stop, cont, reset, quit. Each
 * asks the VM's runner, by its control socket.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "console/shot.h"
#include "control/client.h"

#define TYPE_LOOK_NS 20000000 /* between two looks whether the guest took the keys */
#define TYPE_LOOKS 500	      /* without one taken: it never will */

struct control_verb;

/* Ask LINK's VM, with the command's TEXT (NULL: it takes none). STATUS_OK, or STATUS_ERROR, told. */
typedef int verb_fn(
    const struct control_verb *verb, struct control_link *link, const char *vm, const char *text);

struct control_verb {
	const char *name; /* hyve86 NAME */
	const char *text; /* the name of its second argument; NULL: it has none */
	bool optional;	  /* that argument may be left out */
	verb_fn *run;
	const char *command; /* QMP's, for those that are no more than that */
	const char *help;
};

static int
fail(const struct control_verb *verb, const struct vmm_error *err)
{
	char name[32];

	snprintf(name, sizeof(name), "hyve86 %s", verb->name);
	return (cmd_fail(name, err));
}

static int
run_plain(
    const struct control_verb *verb, struct control_link *link, const char *vm, const char *text)
{
	struct vmm_error err;
	json_t *result = control_ask(link, verb->command, NULL, &err);

	(void)vm;
	(void)text;
	if (result == NULL)
		return (fail(verb, &err));
	json_decref(result);
	return (STATUS_OK);
}

/*
 * FILE from the root: the VM's runner, which writes it, is in another folder. To be freed; or NULL
 * with errno.
 */
static char *
absolute(const char *file)
{
	char *folder, *path = NULL;

	if (file[0] == '/')
		return (strdup(file));
	folder = getcwd(NULL, 0);
	if (folder != NULL && asprintf(&path, "%s/%s", folder, file) < 0)
		path = NULL;
	free(folder);
	return (path);
}

static int
write_screen(const struct control_verb *verb, struct control_link *link, const char *file)
{
	struct vmm_error err;
	int format = shot_format_of_file(file, err.text, sizeof(err.text));
	json_t *result = NULL;
	char *path;

	if (format < 0)
		return (fail(verb, &err));
	path = absolute(file);
	if (path != NULL)
		result = control_ask(link, "screendump",
		    json_pack("{s:s, s:s}", "filename", path, "format",
			shot_format_name((enum shot_format)format)),
		    &err);
	else
		vmm_fail(&err, errno, "%s: %s", file, strerror(errno));
	free(path);
	if (result == NULL)
		return (fail(verb, &err));
	json_decref(result);
	return (STATUS_OK);
}

/* Print the text, or have the picture written to the file TEXT. */
static int
run_screen(
    const struct control_verb *verb, struct control_link *link, const char *vm, const char *text)
{
	struct vmm_error err;
	json_t *result;
	const char *screen;

	(void)vm;
	if (text != NULL)
		return (write_screen(verb, link, text));
	result = control_ask(link, "x-hyve86-screen", NULL, &err);
	screen = json_string_value(json_object_get(result, "text"));
	if (result == NULL)
		return (fail(verb, &err));
	if (screen != NULL)
		fputs(screen, stdout);
	json_decref(result);
	return (STATUS_OK);
}

/* How many keys the guest has still to take after TEXT (NULL: nothing more); -1 with ERR. */
static long long
keys_left(struct control_link *link, const char *text, struct vmm_error *err)
{
	json_t *arguments = text != NULL ? json_pack("{s:s}", "text", text) : NULL;
	json_t *result;
	long long left;

	if (text != NULL && arguments == NULL)
		return (vmm_fail(err, 0, "the text is no UTF-8"));
	result = control_ask(link, "x-hyve86-type", arguments, err);
	if (result == NULL)
		return (-1);
	left = json_integer_value(json_object_get(result, "left"));
	json_decref(result);
	return (left);
}

/* Back when the guest's keyboard has taken all keys. */
static int
run_type(
    const struct control_verb *verb, struct control_link *link, const char *vm, const char *text)
{
	const struct timespec pause = {.tv_nsec = TYPE_LOOK_NS};
	struct vmm_error err;
	long long left = keys_left(link, text, &err), before;

	for (unsigned looks = 0; left > 0 && looks < TYPE_LOOKS; looks++) {
		nanosleep(&pause, NULL);
		before = left;
		left = keys_left(link, NULL, &err);
		if (left != before)
			looks = 0;
	}
	if (left > 0)
		left = vmm_fail(&err, 0, "%s: the guest does not take its keys", vm);
	return (left < 0 ? fail(verb, &err) : STATUS_OK);
}

static const struct control_verb verbs[] = {
    {"screen", "FILE", true, run_screen, NULL,
	"Prints what the VM's text screen shows, or writes it to FILE (.png, .ppm or .txt)."},
    {"type", "TEXT", false, run_type, NULL,
	"Types TEXT on the VM's keyboard (\\n, \\t, <F1>, <C-a>, <Up>, ... as for boot's --type)."},
    {"stop", NULL, false, run_plain, "stop",
	"Holds the VM: its CPU and its time, until hyve86 cont."},
    {"cont", NULL, false, run_plain, "cont", "Lets a VM that hyve86 stop holds go on."},
    {"reset", NULL, false, run_plain, "system_reset", "Resets the VM, as its reset button would."},
    {"quit", NULL, false, run_plain, "quit",
	"Ends the VM's run, as a signal to its process would."},
};

static const struct control_verb *
find_verb(const char *name)
{
	size_t i = 0;

	while (strcmp(verbs[i].name, name) != 0)
		i++;
	return (&verbs[i]);
}

int
cmd_control(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const struct control_verb *verb = find_verb(slash != NULL ? slash + 1 : argv[0]);
	struct control_link *link;
	struct vmm_error err;
	char synopsis[64], name[32];
	int status;

	snprintf(name, sizeof(name), "hyve86 %s", verb->name);
	snprintf(synopsis, sizeof(synopsis), "%s VM%s%s%s", name,
	    verb->text == NULL	 ? ""
		: verb->optional ? " ["
				 : " ",
	    verb->text != NULL ? verb->text : "", verb->optional ? "]" : "");
	if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		printf("usage: %s\n%s\n", synopsis, verb->help);
		return (STATUS_OK);
	}
	if (argc != (verb->text != NULL ? 3 : 2) && !(verb->optional && argc == 2))
		return (cmd_usage(name, synopsis));
	link = control_connect(argv[1], &err);
	if (link == NULL)
		return (cmd_fail(name, &err));
	status = verb->run(verb, link, argv[1], argv[2]);
	control_disconnect(link);
	return (status);
}
