/*
 * Segment registers as VT-x keeps them: selector, base, limit in bytes, and access rights in the
 * form of the VMCS (SDM vol. 3C, table 25-2, "Format of Access Rights"). Descriptors in guest
 * tables (SDM vol. 3A, 3.4.5 and 3.5) are turned into that form and back here, and nowhere else.
 */
#ifndef ARCH_SEGMENT_H
#define ARCH_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

/* Order of the segment registers in instruction encodings (SDM vol. 2A, table 2-4 and 3.1.1). */
enum x86_seg_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };
/* Their names, "es" to "gs". */
extern const char *const segment_names[SEG_COUNT];

/* Access rights in VMX form. */
#define AR_TYPE 0x0000fu
#define AR_S 0x00010u /* 1 = code or data, 0 = system */
#define AR_DPL 0x00060u
#define AR_DPL_SHIFT 5
#define AR_P 0x00080u
#define AR_AVL 0x01000u
#define AR_L 0x02000u
#define AR_DB 0x04000u /* 32-bit default operation, big stack */
#define AR_G 0x08000u
#define AR_UNUSABLE 0x10000u

/* Type bits of code and data segments, SDM vol. 3A, table 3-1. */
#define AR_TYPE_ACCESSED 0x1u
#define AR_TYPE_WRITE 0x2u   /* data: writable */
#define AR_TYPE_READ 0x2u    /* code: readable */
#define AR_TYPE_DOWN 0x4u    /* data: expand down */
#define AR_TYPE_CONFORM 0x4u /* code: conforming */
#define AR_TYPE_CODE 0x8u

/* System descriptor types, SDM vol. 3A, table 3-2. */
enum x86_system_type {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL_GATE16 = 4,
	SYS_TASK_GATE = 5,
	SYS_INT_GATE16 = 6,
	SYS_TRAP_GATE16 = 7,
	SYS_TSS32 = 9,
	SYS_TSS32_BUSY = 11,
	SYS_CALL_GATE32 = 12,
	SYS_INT_GATE32 = 14,
	SYS_TRAP_GATE32 = 15,
};

struct x86_segment {
	uint64_t base;
	uint32_t limit;	 /* in bytes, granularity applied */
	uint32_t access; /* AR_* */
	uint16_t selector;
	uint16_t pad[3];
};

struct x86_table {
	uint64_t base;
	uint32_t limit;
	uint32_t pad;
};

#define SEL_RPL(sel) ((sel)&3u)
#define SEL_TI 4u /* selector names the LDT */
#define SEL_INDEX(sel) ((sel)&0xfff8u)
#define SEL_IS_NULL(sel) (((sel)&0xfffcu) == 0)

/* The cached form of an 8-byte code, data or system-segment descriptor. */
struct x86_segment segment_from_descriptor(uint16_t selector, uint64_t descriptor);
/* The descriptor whose cached form is SEG (base truncated to 32 bits, limit to its granularity). */
uint64_t segment_to_descriptor(const struct x86_segment *seg);
/* What a real-mode or virtual-8086 load of SELECTOR leaves: base 16 times it, 64 KB, ACCESS. */
struct x86_segment segment_real(uint16_t selector, uint32_t access);

/* DPL of access rights. */
static inline unsigned
segment_dpl(uint32_t access)
{
	return ((access & AR_DPL) >> AR_DPL_SHIFT);
}

#endif
