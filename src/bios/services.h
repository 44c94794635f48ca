/*
 * The tables of the BIOS's services: from interrupt and function to handler and name. Dispatch,
 * statistics, traces and the list in docs/ come from them.
 */
#ifndef BIOS_SERVICES_H
#define BIOS_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

struct bios_call; /* call.h */

enum bios_result {
	BIOS_DONE, /* IRET to the caller */
	BIOS_WAIT, /* let interrupts in and come again */
	BIOS_GO,   /* CS:IP was set to somewhere else */
};

typedef enum bios_result bios_handler(struct bios_call *c);

/* A service: AH (or AX, when WHOLE) selects it. HANDLER NULL: known, but not built yet. */
struct bios_service {
	uint16_t function;
	bool whole;
	const char *name;
	bios_handler *handler;
};

/* The services of an interrupt. */
struct bios_interrupt {
	const struct bios_service *services; /* ended by name NULL; a NULL list: no functions */
	bios_handler *handler;		     /* without functions */
	bios_handler *unsupported;	     /* defined error of an unknown or unbuilt function */
	const char *name;		     /* of the one service there is without functions */
};

/* What serves vector VECTOR (0-255); NULL when the vector leads to an IRET. */
const struct bios_interrupt *bios_interrupt_of(unsigned vector);

#endif
