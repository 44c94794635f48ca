/* hyve86 list: the VMs there are, one a line. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "vmm/vmm.h"

#define SYNOPSIS "hyve86 list"

static const char *const status_names[] = {
    [VMM_STOPPED] = "stopped",
    [VMM_RUNNING] = "running",
    [VMM_KILLED] = "killed",
    [VMM_DAMAGED] = "damaged",
};

static void
print_vm(void *opaque, const char *name)
{
	struct vmm_info info;
	unsigned *printed = opaque;

	if (vmm_info(name, &info, NULL) != 0)
		return; /* destroyed in between */
	if ((*printed)++ == 0)
		printf("%-20s %-8s %10s  %s\n", "NAME", "STATE", "MEMORY", "");
	printf("%-20s %-8s %7llu MB", info.name, status_names[info.status],
	    (unsigned long long)((info.low_size + info.high_size) >> 20));
	if (info.status == VMM_RUNNING)
		printf("  process %ld", (long)info.runner);
	else if (info.status == VMM_KILLED)
		printf("  its runner was killed: it can be read and destroyed");
	else if (info.status == VMM_DAMAGED)
		printf("  %s", info.problem);
	putchar('\n');
}

int
cmd_list(int argc, char **argv)
{
	struct vmm_error err;
	unsigned printed = 0;

	if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		printf("usage: %s\n", SYNOPSIS);
		return (STATUS_OK);
	}
	if (argc != 1)
		return (cmd_usage("hyve86 list", SYNOPSIS));
	if (vmm_each(print_vm, &printed, &err) < 0)
		return (cmd_fail("hyve86 list", &err));
	return (STATUS_OK);
}
