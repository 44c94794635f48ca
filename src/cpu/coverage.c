/* Counting what is decoded; see coverage.h. This is for a build of its own, hence the globals. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu/coverage.h"

static const char *const mode_names[] = {"real", "v86", "pm16", "pm32", "compat", "64"};
enum { REAL, V86, PM16, PM32, COMPAT, LONG64, MODES };

/* Forms of an x87 mnemonic, and the names that SSE shares with string instructions. */
static const char *const kind_names[] = {"", " m", " st", " xmm"};
enum { PLAIN, X87_MEMORY, X87_REGISTER, VECTOR, KINDS };

static bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1][KINDS][MODES];

static unsigned
mode_of(const struct cpu *c)
{
	if (!(c->mode & MODE_PE))
		return (REAL);
	if (c->mode & MODE_VM)
		return (V86);
	if (c->mode & MODE_L)
		return (LONG64);
	if (c->s->sregs.efer & EFER_LMA)
		return (COMPAT);
	return (c->mode & MODE_D ? PM32 : PM16);
}

static unsigned
kind_of(const struct op *op, unsigned mnemonic)
{
	if (insn_row(mnemonic) == NULL)
		return (op->dkind == K_MEM ? X87_MEMORY : X87_REGISTER);
	return (op->insn != insn_row(mnemonic) ? VECTOR : PLAIN);
}

void
insn_coverage(const struct cpu *c, const struct op *op, unsigned mnemonic)
{
	seen[mnemonic][kind_of(op, mnemonic)][mode_of(c)] = true;
}

static __attribute__((destructor)) void
write_seen(void)
{
	const char *folder = getenv("INSN_COVERAGE");
	char path[4096];
	FILE *file;

	if (folder == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
	file = fopen(path, "w");
	for (unsigned m = 0; file != NULL && m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
		for (unsigned k = 0; k < KINDS; k++)
			for (unsigned i = 0; i < MODES; i++)
				if (seen[m][k][i])
					fprintf(file, "%s%s\t%s\n", ZydisMnemonicGetString(m),
					    kind_names[k], mode_names[i]);
	if (file != NULL)
		fclose(file);
}
