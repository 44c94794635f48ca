/* hyve86 destroy: destroy VMs by name, damaged ones and those of killed runners too. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "vmm/vmm.h"

#define SYNOPSIS "hyve86 destroy VM..."

int
cmd_destroy(int argc, char **argv)
{
	int status = STATUS_OK;
	struct vmm_error err;

	if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		printf("usage: %s\n", SYNOPSIS);
		return (STATUS_OK);
	}
	if (argc < 2)
		return (cmd_usage("hyve86 destroy", SYNOPSIS));
	for (int i = 1; i < argc; i++)
		if (vmm_destroy(argv[i], &err) != 0)
			status = cmd_fail("hyve86 destroy", &err);
	return (status);
}
