/* The table of processor generations. */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/model.h"
#include "cpu/old.h"

static const struct cpu_traits traits[] = {
    [CPU_8086] = {.lin_mask = 0xfffff,
	.ip_mask = 0xffff,
	.sp_mask = 0xffff,
	.count_mask = 0xff,
	.length_max = UINT8_MAX,
	.stack_vector = VEC_GP,
	.flags_set = 0xf000,
	.sregs = SEG_DS + 1,
	.push_sp_after = true,
	.wraps_in_segment = true,
	.string_commits = true,
	.lock_f1 = true,
	.aliases = aliases_8086,
	.variants = variants_8086},
    [CPU_286] = {.lin_mask = 0xffffff,
	.ip_mask = UINT32_MAX,
	.sp_mask = 0xffff,
	.count_mask = 31,
	.length_max = 10,
	.stack_vector = VEC_GP,
	.flags_clear = 0xf000,
	.sregs = SEG_DS + 1,
	.table_base_24 = true,
	.pop_keeps_sp = true,
	.string_commits = true,
	.esc_checks_operand = true,
	.aliases = aliases_286,
	.variants = variants_286},
#define FROM_386 \
	{ \
		.lin_mask = UINT32_MAX, .ip_mask = UINT32_MAX, .sp_mask = UINT32_MAX, \
		.count_mask = 31, .length_max = 15, .stack_vector = VEC_SS, .sregs = SEG_COUNT, \
		.of_by_first_bit = true, .esc_checks_operand = true \
	}
    [CPU_386] = FROM_386,
    [CPU_486] = FROM_386,
    [CPU_PENTIUM] = FROM_386,
    [CPU_P6] = FROM_386,
    [CPU_X86_64] = FROM_386,
#undef FROM_386
};

int
cpu_model_by_name(const char *name)
{
	static const char *const names[] = {"8086", "286", "386", "486", "pentium", "p6", "x86-64"};

	for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++)
		if (strcmp(names[i], name) == 0)
			return (i);
	return (-1);
}

const struct cpu_traits *
cpu_traits_of(unsigned model)
{
	return (&traits[model <= CPU_X86_64 ? model : CPU_X86_64]);
}
