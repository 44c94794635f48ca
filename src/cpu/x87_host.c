/*
 * The guest's x87 opcodes on the host's own 80-bit unit. Each opcode, with ST(1) in place of
 * ST(i), stands once in a table of code; around it the guest's control word is loaded, and what it
 * left is taken off before an unmasked exception could be noticed by the host: FNSTSW and FNCLEX
 * do not wait. SDM vol. 1, 8.7.
 */
#include "cpu/fpu.h"

/* Four bytes each: the opcode, RET. Memory operands at [RDX] (mod 0, rm 2). */
__asm__(".pushsection .text\n"
	".balign 64\n"
	"hyve86_x87_mem:\n"
	".set hyve86_i, 0\n"
	".rept 64\n"
	".byte 0xd8 + (hyve86_i >> 3), ((hyve86_i & 7) << 3) | 2, 0xc3, 0x90\n"
	".set hyve86_i, hyve86_i + 1\n"
	".endr\n"
	"hyve86_x87_reg:\n"
	".set hyve86_i, 0\n"
	".rept 512\n"
	".byte 0xd8 + (hyve86_i >> 6), 0xc0 + (hyve86_i & 63), 0xc3, 0x90\n"
	".set hyve86_i, hyve86_i + 1\n"
	".endr\n"
	".popsection\n");

#define HIDDEN __attribute__((visibility("hidden")))
extern const uint8_t x87_mem_code[] __asm__("hyve86_x87_mem") HIDDEN;
extern const uint8_t x87_reg_code[] __asm__("hyve86_x87_reg") HIDDEN;

#define X87_CLOBBERS \
	"st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory"

/* The red zone below RSP belongs to the compiler: step over it before a call. */
#define SKIP_RED_ZONE "leaq -128(%%rsp), %%rsp\n\t"
#define UNSKIP_RED_ZONE "leaq 128(%%rsp), %%rsp\n\t"
/* Load the guest's control word unless it is the host's. */
#define LOAD_CW \
	"cmpw $0x037f, (%[f])\n\t" \
	"je 1f\n\t" \
	"fldcw (%[f])\n" \
	"1:\n\t"
#define RESTORE_CW \
	"cmpw $0x037f, (%[f])\n\t" \
	"je 2f\n\t" \
	"fldcw %[init]\n" \
	"2:\n\t"
/*
 * FNCLEX is slow. Exceptions of the opcode before may stay in the host's status word while the
 * guest's has them too and has them masked: STALE are the others.
 */
#define CLEAR_STALE \
	"fnstsw %%ax\n\t" \
	"testl %[stale], %%eax\n\t" \
	"jz 5f\n\t" \
	"fnclex\n" \
	"5:\n\t"
/* An exception that is not masked must be gone before the next waiting instruction. */
#define TAKE_STATUS \
	"fnstsw %%ax\n\t" \
	"testb $0x80, %%al\n\t" \
	"jz 3f\n\t" \
	"fnclex\n" \
	"3:\n\t"

static const uint16_t host_cw = FCW_INIT;

static unsigned
stale(const struct fx *f)
{
	return (~((unsigned)f->fsw & f->fcw) & FSW_EXCEPTIONS);
}

const void *
x87_code_mem(unsigned esc, unsigned reg)
{
	return (x87_mem_code + (size_t)(esc * 8 + reg) * 4);
}

const void *
x87_code_reg(unsigned esc, unsigned modrm)
{
	return (x87_reg_code + (size_t)(esc * 64 + (modrm & 63)) * 4);
}

unsigned
x87_host1(const void *code, struct f80 *a, void *mem, const struct fx *f)
{
	uint64_t sw;

	__asm__ volatile(
	    SKIP_RED_ZONE CLEAR_STALE LOAD_CW
	    "fldt (%[a])\n\t"
	    "call *%[code]\n\t" TAKE_STATUS
	    "testb $0x38, %%ah\n\t" /* TOP is 0 when the opcode popped */
	    "jz 4f\n\t"
	    "fstpt (%[a])\n"
	    "4:\n\t" RESTORE_CW UNSKIP_RED_ZONE
	    : "=&a"(sw)
	    : [a] "r"(a),
	    "d"(mem), [code] "r"(code), [f] "r"(f), [stale] "r"(stale(f)), [init] "m"(host_cw)
	    : X87_CLOBBERS);
	return ((unsigned)sw & 0xffff);
}

unsigned
x87_host2(const void *code, struct f80 *a, struct f80 *b, const struct fx *f, uint64_t *flags)
{
	uint64_t sw, fl;

	__asm__ volatile(SKIP_RED_ZONE CLEAR_STALE LOAD_CW
			 "fldt (%[b])\n\t"
			 "fldt (%[a])\n\t"
			 "call *%[code]\n\t"
			 "pushfq\n\t"
			 "popq %[fl]\n\t" TAKE_STATUS "fstpt (%[a])\n\t"
			 "fstpt (%[b])\n\t" RESTORE_CW UNSKIP_RED_ZONE
			 : "=&a"(sw), [fl] "=&r"(fl)
			 : [a] "r"(a), [b] "r"(b), [code] "r"(code), [f] "r"(f),
			 [stale] "r"(stale(f)), [init] "m"(host_cw)
			 : X87_CLOBBERS);
	*flags = fl;
	return ((unsigned)sw & 0xffff);
}

void
x87_host_push(const void *code, struct f80 *a, const struct fx *f)
{
	__asm__ volatile(
	    SKIP_RED_ZONE CLEAR_STALE LOAD_CW "call *%[code]\n\t"
					      "fstpt (%[a])\n\t" RESTORE_CW UNSKIP_RED_ZONE
	    :
	    : [a] "r"(a), [code] "r"(code), [f] "r"(f), [stale] "r"(stale(f)), [init] "m"(host_cw)
	    : X87_CLOBBERS, "rax");
}

void
x87_host_all(const void *code, struct fx *f, void *mem, uint64_t *flags)
{
	struct fx image __attribute__((aligned(16)));
	uint64_t fl;

	memset(&image, 0, sizeof(image));
	image.fcw = f->fcw;
	image.fsw = f->fsw & (uint16_t) ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
	image.ftw = f->ftw;
	image.mxcsr = MXCSR_INIT;
	memcpy(image.st, f->st, sizeof(image.st));
	__asm__ volatile(SKIP_RED_ZONE "fxrstor64 (%[image])\n\t"
				       "call *%[code]\n\t"
				       "pushfq\n\t"
				       "popq %[fl]\n\t"
				       "fxsave64 (%[image])\n\t"
				       "fninit\n\t" UNSKIP_RED_ZONE
			 : [fl] "=&r"(fl)
			 : [image] "r"(&image), "d"(mem), [code] "r"(code)
			 : X87_CLOBBERS, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			 "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			 "xmm15");
	f->fsw = image.fsw;
	f->ftw = image.ftw;
	memcpy(f->st, image.st, sizeof(image.st));
	*flags = fl;
}
