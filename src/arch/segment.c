/* Conversion between descriptors in guest memory and cached segments. SDM vol. 3A, 3.4.5. */
#include "arch/segment.h"

const char *const segment_names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

struct x86_segment
segment_from_descriptor(uint16_t selector, uint64_t descriptor)
{
	struct x86_segment seg = {.selector = selector};
	uint32_t low = (uint32_t)descriptor;
	uint32_t high = (uint32_t)(descriptor >> 32);

	seg.base = (low >> 16) | (high & 0xffu) << 16 | (high & 0xff000000u);
	seg.limit = (low & 0xffffu) | (high & 0xf0000u);
	seg.access = (high >> 8) & 0xf0ffu;
	if (seg.access & AR_G)
		seg.limit = seg.limit << 12 | 0xfffu;
	return (seg);
}

uint64_t
segment_to_descriptor(const struct x86_segment *seg)
{
	uint32_t limit = (seg->access & AR_G) ? seg->limit >> 12 : seg->limit;
	uint32_t base = (uint32_t)seg->base;
	uint32_t low = (limit & 0xffffu) | base << 16;
	uint32_t high = (base >> 16 & 0xffu) | (seg->access & 0xf0ffu) << 8 | (limit & 0xf0000u) |
	    (base & 0xff000000u);

	return ((uint64_t)high << 32 | low);
}

struct x86_segment
segment_real(uint16_t selector, uint32_t access)
{
	return ((struct x86_segment){
	    .selector = selector,
	    .base = (uint64_t)selector << 4,
	    .limit = 0xffff,
	    .access = access,
	});
}
