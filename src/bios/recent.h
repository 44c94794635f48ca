/* The last calls of the pseudo BIOS, for those who ask why a guest died. Plain data. */
#ifndef BIOS_RECENT_H
#define BIOS_RECENT_H

#include <stdint.h>

#define BIOS_RECENT 16

struct bios_recent_call {
	uint16_t ax, bx, cx, dx, es; /* as called */
	uint16_t result;	     /* AX afterwards */
	uint8_t vector;
	uint8_t carry;	 /* CF afterwards */
	uint8_t unknown; /* nobody serves it */
	uint8_t pad;
};

struct bios_recent {
	struct bios_recent_call call[BIOS_RECENT]; /* a ring */
	uint32_t count;				   /* of all calls */
};

#endif
