/*
 * The program's commands, and what they share. A command returns the status that the process ends
 * with; 4 means an error, told in one line on standard error that begins with the command's name.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

/* How a run of a VM ends, as bhyve(8)'s statuses. */
enum cmd_status {
	STATUS_OK = 0,
	STATUS_REBOOT = 0,
	STATUS_POWEROFF = 1,
	STATUS_HALT = 2,
	STATUS_TRIPLE_FAULT = 3,
	STATUS_ERROR = 4,
	STATUS_DIFFERS = 5 /* hyve86 lockstep: the engines differ */
};

struct vmctx;

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
	const char *summary;
};

int cmd_bhyve(int argc, char **argv);
int cmd_bhyvebiosload(int argc, char **argv);
int cmd_bhyveload(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_control(int argc, char **argv); /* screen, type, stop, cont, reset, quit */
int cmd_destroy(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_gdb(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_lockstep(int argc, char **argv);
int cmd_services(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_vmmctl(int argc, char **argv);

/* One single-letter option, for parsing and for the help text. */
struct cmd_option {
	char letter;
	const char *argument; /* its name in the help text; NULL: it has none */
	const char *help;
};

/* The getopt string of OPTIONS (ended by letter 0), written to BUF of at least 2 bytes a letter. */
const char *cmd_getopt_string(const struct cmd_option *options, char *buf, size_t size);
/* Print "usage: SYNOPSIS" and one line an option to standard output; returns STATUS_OK. */
int cmd_help(const char *synopsis, const struct cmd_option *options);
/* Tell a wrong use in one line; returns STATUS_ERROR. */
int cmd_usage(const char *command, const char *synopsis);
/* What a command that looks at a virtual CPU was given to look at. */
struct subject;
/*
 * Take S from WHAT: a VM, a file with a text dump, or "-" for one on standard input. STATUS_OK, or
 * STATUS_ERROR, told. The caller frees S, and closes *CTX then if that is not NULL.
 */
int cmd_subject(const char *command, const char *what, struct subject *s, struct vmctx **ctx);
/* Print "COMMAND: text" to standard error; returns STATUS_ERROR. */
int cmd_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cmd_fail(const char *command, const struct vmm_error *err);

/* A number with C's prefixes, the whole of TEXT. */
bool cmd_parse_number(const char *text, uint64_t *value);
/* A size: a number of MB, or with the suffix K, M, G or T. Bytes. */
bool cmd_parse_size(const char *text, uint64_t *bytes);
/* A memory size from the command line for option -LETTER; says in ERR what is wrong with it. */
int cmd_parse_memory(char letter, const char *text, uint64_t *bytes, struct vmm_error *err);

#endif
