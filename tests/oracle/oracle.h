/*
 * The host as oracle: random code runs on this machine's processor and on src/cpu from the same
 * state, and all that it leaves is compared. Shared by the parts of the program.
 *
 * Both see the same linear addresses. Of the 64 KB from BASE on, the code, the data and a page
 * that can only be read are there; the rest of the low 4 GB is not. In 16-bit mode all segments
 * begin at BASE. A piece of code is followed and preceded by HLT, which user mode may not run: it
 * ends with a fault in any case, and which one, and where, is part of what is compared.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

#define BASE 0x20000000u
#define CODE 0x4000u /* offsets from BASE; two pages */
#define DATA 0x8000u /* two pages */
#define READ_ONLY 0xc000u
#define PAGE 4096u
#define CODE_SIZE (2 * PAGE)
#define DATA_SIZE (2 * PAGE)
#define FILLER 0xf4 /* HLT */

#define SEQUENCE_MAX 6
#define VECTOR_NONE 255 /* did not end */

enum width { WIDTH_64, WIDTH_32, WIDTH_16, WIDTH_COUNT };

/* Selectors as Linux has them, and those that native_init makes in the LDT. */
struct selectors {
	uint16_t code, data;
};
extern const struct selectors selectors[WIDTH_COUNT];

struct registers {
	uint64_t reg[16]; /* numbered as in encodings */
	uint64_t rip;
	uint64_t flags;
};

/* How a run ended. */
struct outcome {
	struct registers regs;
	unsigned vector;
	uint32_t error;
	uint64_t cr2; /* page faults only */
};

/* One instruction of a sequence. */
struct piece {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	uint64_t at; /* offset in its segment */
	uint8_t bytes[16];
};

struct sequence {
	enum width width;
	struct registers start;
	struct piece piece[SEQUENCE_MAX];
	unsigned count;
	uint64_t at; /* of the first instruction: offset in its segment */
	uint8_t code[SEQUENCE_MAX * 15];
	unsigned size;
	uint64_t undefined; /* flags that the manual leaves undefined at the end */
	uint8_t data[DATA_SIZE];
};

/* Where offsets in segments of WIDTH count from. */
static inline uint64_t
base_of(enum width width)
{
	return (width == WIDTH_16 ? 0 : BASE);
}

/* This machine's processor. False: this host does not do WIDTH (said on stdout by init). */
void native_init(void);
bool native_has(enum width width);
void native_run(const struct sequence *q, struct outcome *out);
const uint8_t *native_data(void);

/* src/cpu. */
void soft_init(void);
void soft_run(const struct sequence *q, struct outcome *out);
const uint8_t *soft_data(void);

/* Make a sequence from NUMBER alone. MNEMONIC: of this one only (0: any). STRICT: later
 * instructions may use flags that the manual leaves undefined. */
void generate_init(void);
bool generate_knows(enum width width, unsigned mnemonic);
unsigned generate_mnemonics(enum width width);
void generate(
    struct sequence *q, enum width width, uint64_t number, unsigned mnemonic, bool strict);

#endif
