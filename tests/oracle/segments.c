/* The descriptors that both processors have. Linux takes no conforming segment that is present. */
#include "oracle.h"

#define AR_DATA 0xf1u /* present, for user mode, accessed */
#define AR_CODE 0xf9u
#define W AR_TYPE_WRITE
#define R AR_TYPE_READ
#define FLAT .limit = UINT32_MAX

const struct x86_segment ldt[LDT_COUNT] = {
    {.base = BASE, .limit = 0xffff, .access = AR_CODE | R},
    {.base = BASE, .limit = 0xffff, .access = AR_DATA | W},
    {FLAT, .access = AR_CODE | R | AR_DB | AR_G},
    {FLAT, .access = AR_DATA | W | AR_DB | AR_G},
    {.base = BASE + DATA, .limit = DATA_SIZE - 1, .access = AR_DATA | W | AR_DB},
    {0},
    {.base = BASE + DATA, .limit = 0xfff, .access = AR_DATA | AR_DB},
    {.base = BASE + DATA, .limit = 0x7ff, .access = AR_DATA | W | AR_TYPE_DOWN | AR_DB},
    {.base = BASE + DATA, .limit = 0x7ff, .access = AR_DATA | W | AR_TYPE_DOWN},
    {.base = BASE, .limit = 0xffff, .access = AR_CODE | AR_DB},
    {.base = BASE, .limit = 0xffff, .access = (AR_CODE | R | AR_TYPE_CONFORM) & ~AR_P},
    {.base = BASE + CODE, .limit = 0x17ff, .access = AR_CODE | R | AR_DB},
    {.base = BASE, .limit = 0xffff, .access = (AR_DATA | W | AR_DB) & ~AR_P},
    {.base = BASE, .limit = 0xffff, .access = (AR_CODE | R | AR_DB) & ~AR_P},
    {.base = BASE, .limit = 0xffffff, .access = AR_DATA | W | AR_DB | AR_G | AR_AVL},
    {.base = BASE + DATA + 0x123, .limit = 0xfff, .access = AR_DATA | W},
};

const uint16_t code_selectors[WIDTH_COUNT] = {SEL_CODE64, SEL_CODE32, SEL_LDT(0)};
const uint16_t data_selectors[WIDTH_COUNT] = {SEL_DATA, SEL_DATA, SEL_LDT(1)};

const struct x86_segment *
segment_of(uint16_t selector)
{
	static const struct x86_segment flat = {FLAT, .access = AR_DATA | W | AR_DB | AR_G};

	if (selector & SEL_TI)
		return (selector >> 3 < LDT_COUNT && ldt[selector >> 3].access != 0
			? &ldt[selector >> 3]
			: NULL);
	selector |= 3;
	return (selector == SEL_CODE32 || selector == SEL_DATA || selector == SEL_CODE64 ? &flat
											 : NULL);
}
