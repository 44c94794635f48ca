/* VMs for unit tests: a folder of their own, and one VM "vm0". Included by tests alone. */
#ifndef TESTS_UNIT_VM_FIXTURE_H
#define TESTS_UNIT_VM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/vmm.h"

static char vm_folder[64];

static inline int
folder_setup(void **state)
{
	(void)state;
	snprintf(vm_folder, sizeof(vm_folder), "/tmp/hyve86-test-XXXXXX");
	if (mkdtemp(vm_folder) == NULL)
		return (-1);
	return (setenv("HYVE86_DIR", vm_folder, 1));
}

static inline int
folder_teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", vm_folder);
	return (system(command));
}

/* *STATE is then the handle of a new VM "vm0". */
static inline int
vm_setup(void **state)
{
	if (folder_setup(state) != 0 || vm_create("vm0") != 0)
		return (-1);
	*state = vm_open("vm0");
	return (*state == NULL ? -1 : 0);
}

static inline int
vm_teardown(void **state)
{
	vm_close(*state);
	return (folder_teardown(state));
}

#endif
