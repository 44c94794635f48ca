/* The table of instructions, made of the rows in insn.def. */
#include "cpu/insn.h"
#include "cpu/sse.h"

#define INSN(mnemonic, bind_name, family_, plain_, since_, flags_, written_, undefined_) \
	[ZYDIS_MNEMONIC_##mnemonic] = { \
	    .name = #mnemonic, \
	    .bind = bind_##bind_name, \
	    .family = family_, \
	    .plain = plain_, \
	    .since = since_, \
	    .flags = flags_, \
	    .written = (uint16_t)(written_), \
	    .undefined = (uint16_t)(undefined_), \
	},

static const struct insn table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#include "cpu/insn.def"
#define ROW(mnemonic, handler, flags_) \
	[ZYDIS_MNEMONIC_##mnemonic] = { \
	    .name = #mnemonic, \
	    .bind = bind_vec, \
	    .plain = handler, \
	    .vec = &vec_table[VEC_##mnemonic], \
	    .since = CPU_P6, \
	    .flags = (flags_)&VEC_ENDS ? INSN_ENDS : 0, \
	},
#include "cpu/insn_fpu.def"
};

#undef INSN

const struct insn *
insn_row(unsigned mnemonic)
{
	if (mnemonic > ZYDIS_MNEMONIC_MAX_VALUE || table[mnemonic].bind == NULL)
		return (NULL);
	return (&table[mnemonic]);
}
