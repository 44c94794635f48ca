/*
 * Every row of the instruction table in every mode where it can be decoded: opcodes are tried out
 * with all ModRM bytes and the prefixes that make other instructions of them. In a build with
 * -Dinsn_coverage=true the rows are noted as if they had run.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"
#include "cpu/old.h"

/* Modes as coverage.c names them. */
static const struct {
	uint8_t mode;
	bool lma;
} modes[] = {{0, false}, {MODE_PE | MODE_VM, false}, {MODE_PE, false}, {MODE_PE | MODE_D, false},
    {MODE_PE | MODE_D, true}, {MODE_PE | MODE_L, true}};

static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};

static void
try(struct cpu *c, uint8_t prefix, bool wide, const char *map, unsigned opcode, unsigned modrm)
{
	uint8_t code[INSN_MAX] = {0};
	unsigned n = 0;
	struct op op;
	bool ends;

	if (prefix != 0)
		code[n++] = prefix;
	if (wide)
		code[n++] = 0x48; /* REX.W */
	for (; *map != '\0'; map++)
		code[n++] = (uint8_t)*map;
	code[n++] = (uint8_t)opcode;
	code[n] = (uint8_t)modrm;
	decode_op(c, code, INSN_MAX, &op, &ends);
}

static void
try_all(struct cpu *c, bool wide)
{
	for (unsigned p = 0; p < sizeof(prefixes); p++)
		for (unsigned m = 0; m < sizeof(maps) / sizeof(maps[0]); m++)
			for (unsigned i = 0; i < 0x10000; i++)
				try(c, prefixes[p], wide, maps[m], i >> 8, i & 0xff);
}

int
main(void)
{
	static struct vcpu_state state;
	struct cpu *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->decoder = decoder_create()) == NULL)
		errx(4, "no memory");
	c->s = &state;
	c->config.model = CPU_X86_64;
	c->traits = cpu_traits_of(CPU_X86_64);
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		c->mode = modes[i].mode;
		state.sregs.efer = modes[i].lma ? EFER_LMA : 0;
		try_all(c, false);
		if (c->mode & MODE_L)
			try_all(c, true);
	}
	free(c->decoder);
	free(c);
	return (0);
}
