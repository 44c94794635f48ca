/*
 * Files in the MOO format of the SingleStepTests: single-instruction tests captured from hardware.
 *
 * A file is chunks of an id of 4 letters, a 32-bit length and the data, all little-endian; chunks
 * of other ids are skipped:
 *	MOO	a header: u8 major, u8 minor, u16, u32 number of tests, 4 letters of CPU name
 *	TEST	u32 index, then chunks:
 *		NAME	u32 length, the instruction as text
 *		BYTS	u32 length, the instruction
 *		INIT	state before, as chunks REGS or RG32, and RAM
 *		FINA	the same for the state afterwards: only what has changed
 *		EXCP	u8 number of the exception that was raised, u32 address of the pushed flags
 *		HASH	20 bytes that name the test
 *	REGS	u16 mask of registers present, one u16 for each
 *	RG32	u32 mask of registers present, one u32 for each
 *	RAM	u32 number, then as many times u32 address, u8 value
 */
#ifndef MOO_FILE_H
#define MOO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAM_MAX 4096

enum moo_reg {
	REG_AX,
	REG_BX,
	REG_CX,
	REG_DX,
	REG_CS,
	REG_SS,
	REG_DS,
	REG_ES,
	REG_SP,
	REG_BP,
	REG_SI,
	REG_DI,
	REG_IP,
	REG_FLAGS,
	REG_FS,
	REG_GS,
	REG_CR0,
	REG_CR3,
	REG_DR6,
	REG_DR7,
	REG_COUNT
};

struct moo_byte {
	uint32_t address;
	uint8_t value;
};

struct moo_state {
	uint32_t reg[REG_COUNT];
	bool has[REG_COUNT];
	struct moo_byte ram[RAM_MAX];
	unsigned nram;
};

struct moo_test {
	unsigned index;
	char name[80];
	uint8_t bytes[32];
	unsigned nbytes;
	uint8_t hash[20];
	struct moo_state before, after;
	bool exception; /* one was raised: */
	uint8_t vector;
};

struct moo_file {
	char cpu[5];	/* "8086", "C286", "386 " ...; empty before the header was read */
	unsigned count; /* tests read */
	uint8_t *data;
	const uint8_t *at, *end;
};

/* Read all of PATH, unpacking it if need be. Ends the program with status 4 if that fails. */
void moo_open(struct moo_file *f, const char *path);
/* The next test; false at the end. A damaged file ends the program with status 4. */
bool moo_next(struct moo_file *f, struct moo_test *t);
void moo_close(struct moo_file *f);

#endif
