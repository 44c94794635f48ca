/*
 * A section of the VM's state file (DESIGN section 3): plain data that its owner (a chip, the
 * clock, a register group) wants kept. Owners describe their data; src/vmm reads and writes it.
 */
#ifndef BUS_SECTION_H
#define BUS_SECTION_H

#include <stddef.h>
#include <stdint.h>

#define SECTION_ID_MAX 16

struct section {
	char id[SECTION_ID_MAX]; /* unique in the file, e.g. "i8254", "vcpu0.gpr"; NUL-padded */
	uint32_t version;	 /* of the layout of data; another version is refused */
	uint32_t size;		 /* bytes at data */
	void *data;
	/*
	 * Called after data was read back, to rebuild what is derived from it (armed timers, line
	 * levels, masks). Must accept any bytes: a state file is untrusted. NULL: nothing to do.
	 * Returns 0, or -1 when the data make no sense.
	 */
	int (*restored)(void *owner);
	void *owner;
};

#endif
