/* hyve86 gdb: have a VM that runs listen for GDB. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "control/client.h"

#define COMMAND "hyve86 gdb"
#define SYNOPSIS "hyve86 gdb VM [[HOST:]PORT]"

static int
help(void)
{
	printf("usage: %s\n", SYNOPSIS);
	printf("Has the VM listen for GDB on PORT of HOST (any free port of 127.0.0.1, unless "
	       "given),\n"
	       "and tells how GDB reaches it. The VM stops when GDB connects.\n");
	return (STATUS_OK);
}

int
cmd_gdb(int argc, char **argv)
{
	struct control_link *link;
	struct vmm_error err;
	json_t *result;

	if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0))
		return (help());
	if (argc < 2 || argc > 3 || argv[1][0] == '-')
		return (cmd_usage(COMMAND, SYNOPSIS));
	link = control_connect(argv[1], &err);
	if (link == NULL)
		return (cmd_fail(COMMAND, &err));
	result = control_ask(
	    link, "x-hyve86-gdb", argc == 3 ? json_pack("{s:s}", "address", argv[2]) : NULL, &err);
	control_disconnect(link);
	if (result == NULL)
		return (cmd_fail(COMMAND, &err));
	printf("target remote :%lld\n", json_integer_value(json_object_get(result, "port")));
	json_decref(result);
	return (STATUS_OK);
}
