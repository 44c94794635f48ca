/*
 * The program's entry point. Its name, argv[0], may be that of a command (bhyve, vmmctl, ...: links
 * to the program); as hyve86 it takes the command as its first argument.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "hyve86_config.h"

static const struct command commands[] = {
    {"boot", cmd_boot, "boot an image on this terminal"},
    {"list", cmd_list, "show the VMs there are"},
    {"destroy", cmd_destroy, "destroy VMs"},
    {"check", cmd_check, "check a vCPU as VM entry does"},
    {"explain", cmd_explain, "tell why a guest died"},
    {"screen", cmd_control, "print a running VM's screen, or keep it as a file"},
    {"type", cmd_control, "type on a running VM's keyboard"},
    {"stop", cmd_control, "hold a running VM"},
    {"cont", cmd_control, "let it go on"},
    {"reset", cmd_control, "reset a running VM"},
    {"quit", cmd_control, "end a VM's run"},
    {"gdb", cmd_gdb, "have a running VM listen for GDB"},
    {"trace", cmd_trace, "follow what a running VM does"},
    {"lockstep", cmd_lockstep, "boot an image on two CPU engines and compare them"},
    {"services", cmd_services, "list the BIOS services there are"},
    {"bhyvebiosload", cmd_bhyvebiosload, "make a VM and load a pseudo BIOS"},
    {"bhyveload", cmd_bhyveload, "make a VM and load a kernel or flat program"},
    {"bhyve", cmd_bhyve, "run a loaded VM"},
    {"vmmctl", cmd_vmmctl, "show and change a VM's registers"},
    {"bhyvectl", cmd_vmmctl, "the same, by its later name"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return (&commands[i]);
	return (NULL);
}

static int
help(void)
{
	printf("usage: hyve86 COMMAND [arguments]\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-14s %s\n", commands[i].name, commands[i].summary);
	printf("COMMAND -h tells more.\n");
	return (STATUS_OK);
}

/*
 * Guest memory is a sparse file: when its file system is full, touching a new page raises SIGBUS.
 * Nothing can be saved then.
 */
static void
out_of_space(int number)
{
	static const char text[] = "hyve86: no space left for guest memory\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(STATUS_ERROR);
	_exit(STATUS_ERROR);
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "hyve86";
	const struct command *command = find_command(name);

	signal(SIGBUS, out_of_space);
	if (command != NULL)
		return (command->run(argc, argv));
	if (argc < 2)
		return (cmd_usage("hyve86", "hyve86 COMMAND [arguments] (hyve86 help lists them)"));
	if (strcmp(argv[1], "--version") == 0) {
		printf("hyve86 %s\n", HYVE86_VERSION);
		return (STATUS_OK);
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "--help") == 0)
		return (help());
	command = find_command(argv[1]);
	if (command == NULL)
		return (
		    cmd_error("hyve86", "%s: no such command (hyve86 help lists them)", argv[1]));
	return (command->run(argc - 1, argv + 1));
}
