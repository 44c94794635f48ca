/* How often each service was called. Plain data: the state file keeps it. */
#ifndef BIOS_COUNTS_H
#define BIOS_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIOS_COUNTS 256

struct bios_count {
	uint64_t calls; /* 0: nothing is counted here */
	uint16_t function;
	uint8_t vector;
	uint8_t whole;	 /* the function is AX, not AH */
	uint8_t plain;	 /* an interrupt without functions */
	uint8_t unknown; /* nobody serves it */
	uint8_t pad[2];
};

struct bios_counts {
	struct bios_count count[BIOS_COUNTS]; /* by hash */
	uint64_t others;		      /* when there is no place left */
};

/* Count one call of SERVICE, whose calls are of no matter. */
void bios_counts_add(struct bios_counts *counts, const struct bios_count *service);
/* What is counted in COUNT, in words: "int 13h ah=42h extended_read". */
void bios_count_name(const struct bios_count *count, char *buf, size_t size);
/* The counts that are not 0 in order of vector and function, to OUT of BIOS_COUNTS; their number. */
unsigned bios_counts_sorted(const struct bios_counts *counts, const struct bios_count **out);

#endif
