/*
 * The host as oracle: random code runs on this machine's processor and on src/cpu from the same
 * state, and all that it leaves is compared. Shared by the parts of the program.
 *
 * Both see the same linear addresses. Of the 64 KB from BASE on, the code, the data and a page
 * that can only be read are there; the rest of the low 4 GB is not. In 16-bit mode CS, SS, DS and
 * ES begin at BASE. A piece of code is followed and preceded by HLT, which user mode may not run:
 * it ends with a fault in any case, and which one, and where, is part of what is compared.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

#include "arch/segment.h"

#define BASE 0x20000000u
#define CODE 0x4000u /* offsets from BASE; two pages */
#define DATA 0x8000u /* two pages */
#define READ_ONLY 0xc000u
#define PAGE 4096u
#define CODE_SIZE (2 * PAGE)
#define DATA_SIZE (2 * PAGE)
#define FILLER 0xf4 /* HLT */
/* From here on addresses are not the user's. */
#define USER_END 0x7ffffffff000u

#define SEQUENCE_MAX 6
#define CODE_MAX 128
#define VECTOR_NONE 255 /* did not end */

enum width { WIDTH_64, WIDTH_32, WIDTH_16, WIDTH_COUNT };

/* x87, MMX and SSE as FXSAVE64 has them (SDM vol. 1, table 10-2). */
struct image {
	uint16_t fcw, fsw;
	uint8_t ftw, zero;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	struct {
		uint64_t mant;
		uint16_t se, pad[3];
	} st[8];
	struct {
		uint64_t q[2];
	} xmm[16];
};

struct registers {
	uint64_t reg[16]; /* numbered as in encodings */
	uint64_t rip;
	uint64_t flags;
	uint64_t base[2];	 /* of FS and GS */
	uint16_t seg[SEG_COUNT]; /* selectors */
	struct image fpu;
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
	unsigned row;
	uint8_t bytes[16];
};

struct sequence {
	enum width width;
	struct registers start;
	struct piece piece[SEQUENCE_MAX];
	unsigned count;
	uint64_t at; /* of the first instruction: offset in its segment */
	uint8_t code[CODE_MAX];
	unsigned size;
	unsigned spoiled;   /* bytes that were put before the last instruction to make it faulty */
	uint64_t undefined; /* flags that the manual leaves undefined at the end */
	uint8_t data[DATA_SIZE];
};

/* Where offsets in segments of WIDTH count from. */
static inline uint64_t
base_of(enum width width)
{
	return (width == WIDTH_16 ? 0 : BASE);
}

/* Bytes of Q's code at OFFSET from CODE that have a place there. */
static inline size_t
code_size(const struct sequence *q, uint64_t offset)
{
	return (q->size < CODE_SIZE - offset ? q->size : CODE_SIZE - offset);
}

/*
 * segments.c: the descriptors. The GDT is Linux', as far as user mode can see it; the LDT has
 * segments of all kinds, the first two being those of 16-bit mode.
 */
#define GDT_COUNT 16
#define LDT_COUNT 16
#define SEL_LDT(i) ((uint16_t)((i) << 3 | 7))
#define SEL_CODE64 0x33
#define SEL_CODE32 0x23
#define SEL_DATA 0x2b
extern const struct x86_segment ldt[LDT_COUNT];
/* CS and the data segments that sequences of a width begin with. */
extern const uint16_t code_selectors[WIDTH_COUNT], data_selectors[WIDTH_COUNT];
/* The segment of SELECTOR in compatibility mode; NULL when it has no memory. */
const struct x86_segment *segment_of(uint16_t selector);

/* native.c: this machine's processor. AS_REFUSED: as if it did no LDT; ALONE: it will not run. */
void native_init(bool as_refused, bool alone);
bool native_has(enum width width);
/* Access rights and limit of a GDT entry, by LAR and LSL; false: not for user mode to see. */
bool native_descriptor(uint16_t selector, uint32_t *access, uint32_t *limit);
/* Whether FOP and FDP are kept for unmasked exceptions alone, and FCS and FDS not at all. */
bool native_has_new_pointers(void);
/* XSAVE components of this host beyond x87 and SSE. */
uint64_t native_other_components(void);
void native_run(const struct sequence *q, struct outcome *out);
const uint8_t *native_data(void);

/* soft.c: src/cpu. */
void soft_init(void);
void soft_run(const struct sequence *q, struct outcome *out);
const uint8_t *soft_data(void);

/* value.c: chance and values. */
uint64_t next(uint64_t *rng);
unsigned below(uint64_t *rng, unsigned n);
bool one_in(uint64_t *rng, unsigned n);
uint64_t value(uint64_t *rng);
void value_init(void);
/* SIZE bytes of memory of all kinds of numbers. */
void value_memory(uint64_t *rng, void *to, unsigned size);
void value_fpu(uint64_t *rng, struct image *image);
uint16_t value_selector(uint64_t *rng);
uint32_t value_mxcsr(uint64_t *rng);

/* generate.c. Make a sequence from NUMBER alone, with the instruction of ROW first (0: any). */
void generate_init(void);
/* Rows are the CPU's table of instructions by Zydis' mnemonic, the x87 by single mnemonics. */
#define ROW_MOVSD_SSE (ZYDIS_MNEMONIC_MAX_VALUE + 1)
#define ROW_CMPSD_SSE (ZYDIS_MNEMONIC_MAX_VALUE + 2)
#define ROW_COUNT (ZYDIS_MNEMONIC_MAX_VALUE + 3)
enum row_class { CLASS_NONE, CLASS_INTEGER, CLASS_SYSTEM, CLASS_X87, CLASS_SSE, CLASS_COUNT };
extern const char *const class_names[CLASS_COUNT];
const char *row_name(unsigned row);
enum row_class row_class(unsigned row);
/* Why the row is not run; NULL: it is. */
const char *row_exempt(unsigned row);
bool generate_knows(enum width width, unsigned row);
/* STRICT: later instructions may use flags that the manual leaves undefined. */
void generate(struct sequence *q, enum width width, uint64_t number, unsigned row, bool strict);

/* fit.c: registers, displacements and data become such that Q does something. */
void fit_sequence(struct sequence *q, uint64_t *rng);

#endif
