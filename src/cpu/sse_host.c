/*
 * The guest's MMX and SSE opcodes on the host: each stands once in memory with XMM0 (MM0) as
 * destination and XMM1 (MM1, RDX) as source; those with an immediate 256 times.
 */
#include <stddef.h>

#include "cpu/sse.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define BEGIN(name) ".pushsection .text\n.balign 8\n" #name ":\n"
#define END ".popsection\n"
#define EACH(insn) \
	".set hyve86_i, 0\n.rept 256\n" insn \
	"\nret\n.balign 8\n.set hyve86_i, hyve86_i + 1\n.endr\n"

#define CODE(mn, insn) \
	__asm__(BEGIN(hyve86_##mn) insn "\nret\n" END); \
	extern const uint8_t code_##mn[] __asm__("hyve86_" #mn) HIDDEN;
#define CODE_EACH(mn, insn) \
	__asm__(BEGIN(hyve86_##mn) EACH(insn) END); \
	extern const uint8_t code_##mn[] __asm__("hyve86_" #mn) HIDDEN;

#define X(mn, ...) CODE(mn, #mn " %xmm1, %xmm0")
#define XI(mn, ...) CODE_EACH(mn, #mn " $hyve86_i, %xmm1, %xmm0")
#define XM(mn, ...) X(mn) CODE(mmx_##mn, #mn " %mm1, %mm0")
#define XMI(mn, ...) XI(mn) CODE_EACH(mmx_##mn, #mn " $hyve86_i, %mm1, %mm0")
#define MI(mn, ...) CODE_EACH(mmx_##mn, #mn " $hyve86_i, %mm1, %mm0")
#define V(mn, ...)
#define VC(mn, ...)
#define VC2(mn, ...)
#define VCI(mn, ...)
#include "cpu/insn_fpu.def"

CODE_EACH(CMPSD, "cmpsd $hyve86_i, %xmm1, %xmm0")
CODE(CVTSI2SS, "cvtsi2ssl %edx, %xmm0")
CODE(CVTSI2SS64, "cvtsi2ssq %rdx, %xmm0")
CODE(CVTSI2SD, "cvtsi2sdl %edx, %xmm0")
CODE(CVTSI2SD64, "cvtsi2sdq %rdx, %xmm0")
#define TO_GPR(mn) CODE(mn, #mn " %xmm1, %eax") CODE(mn##64, #mn " %xmm1, %rax")
TO_GPR(CVTSS2SI)
TO_GPR(CVTTSS2SI)
TO_GPR(CVTSD2SI)
TO_GPR(CVTTSD2SI)
CODE(CVTPI2PS, "cvtpi2ps %mm1, %xmm0")
CODE(CVTPI2PD, "cvtpi2pd %mm1, %xmm0")
CODE(CVTPS2PI, "cvtps2pi %xmm1, %mm0")
CODE(CVTTPS2PI, "cvttps2pi %xmm1, %mm0")
CODE(CVTPD2PI, "cvtpd2pi %xmm1, %mm0")
CODE(CVTTPD2PI, "cvttpd2pi %xmm1, %mm0")
CODE(COMISS, "comiss %xmm1, %xmm0")
CODE(UCOMISS, "ucomiss %xmm1, %xmm0")
CODE(COMISD, "comisd %xmm1, %xmm0")
CODE(UCOMISD, "ucomisd %xmm1, %xmm0")
CODE(PTEST, "ptest %xmm1, %xmm0")
CODE_EACH(PCMPESTRI, "pcmpestri $hyve86_i, %xmm1, %xmm0")
CODE_EACH(PCMPISTRI, "pcmpistri $hyve86_i, %xmm1, %xmm0")
CODE_EACH(PCMPESTRM, "pcmpestrm $hyve86_i, %xmm1, %xmm0")
CODE_EACH(PCMPISTRM, "pcmpistrm $hyve86_i, %xmm1, %xmm0")

#define STRIDE 8
#define BASE(mn, mem_, flags_) .code = code_##mn, .mem = mem_, .flags = flags_
#define WITH_MMX(mn, mmx_) .code_mmx = code_mmx_##mn, .mem_mmx = mmx_

const struct vec vec_table[VEC_COUNT] = {
#define X(mn, mem, flags) [VEC_##mn] = {BASE(mn, mem, flags)},
#define XI(mn, mem, flags) [VEC_##mn] = {BASE(mn, mem, flags), .stride = STRIDE},
#define XM(mn, mem, mmx, flags) [VEC_##mn] = {BASE(mn, mem, flags), WITH_MMX(mn, mmx)},
#define XMI(mn, mem, mmx, flags) \
	[VEC_##mn] = {BASE(mn, mem, flags), WITH_MMX(mn, mmx), .stride = STRIDE},
#define MI(mn, mmx, flags_) [VEC_##mn] = {WITH_MMX(mn, mmx), .flags = flags_, .stride = STRIDE},
#define V(mn, handler, mem_, flags_) [VEC_##mn] = {.mem = mem_, .mem_mmx = mem_, .flags = flags_},
#define VC(mn, handler, mem, flags) [VEC_##mn] = {BASE(mn, mem, flags), .mem_mmx = mem},
#define VC2(mn, handler, mem, flags) [VEC_##mn] = {BASE(mn, mem, flags), .code_mmx = code_##mn##64},
#define VCI(mn, handler, mem, flags) [VEC_##mn] = {BASE(mn, mem, flags), .stride = STRIDE},
#include "cpu/insn_fpu.def"
    [VEC_CMPSD] = {BASE(CMPSD, 8, VEC_FP), .stride = STRIDE},
    [VEC_MOVSD] = {.mem = 8},
};

/* --- around an opcode --------------------------------------------------------------------------- */

/* The red zone below RSP belongs to the compiler: step over it before a call. */
#define SKIP_RED_ZONE "leaq -128(%%rsp), %%rsp\n\t"
#define UNSKIP_RED_ZONE "leaq 128(%%rsp), %%rsp\n\t"
#define MMX_CLOBBERS \
	"st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2", \
	    "mm3", "mm4", "mm5", "mm6", "mm7"

static const uint32_t host_mxcsr = MXCSR_INIT;

void
sse_run(const void *code, void *dst, const void *src)
{
	__asm__ volatile(SKIP_RED_ZONE "movdqu (%[dst]), %%xmm0\n\t"
				       "movdqu (%[src]), %%xmm1\n\t"
				       "call *%[code]\n\t"
				       "movdqu %%xmm0, (%[dst])\n\t" UNSKIP_RED_ZONE
			 :
			 : [dst] "r"(dst), [src] "r"(src), [code] "r"(code)
			 : "xmm0", "xmm1", "cc", "memory");
}

void
sse_run_fp(const void *code, void *dst, const void *src, uint32_t *mxcsr)
{
	__asm__ volatile(SKIP_RED_ZONE "ldmxcsr (%[mxcsr])\n\t"
				       "movdqu (%[dst]), %%xmm0\n\t"
				       "movdqu (%[src]), %%xmm1\n\t"
				       "call *%[code]\n\t"
				       "movdqu %%xmm0, (%[dst])\n\t"
				       "stmxcsr (%[mxcsr])\n\t"
				       "ldmxcsr %[host]\n\t" UNSKIP_RED_ZONE
			 :
			 : [dst] "r"(dst), [src] "r"(src), [code] "r"(code), [mxcsr] "r"(mxcsr),
			 [host] "m"(host_mxcsr)
			 : "xmm0", "xmm1", "cc", "memory");
}

void
mmx_run(const void *code, void *dst, const void *src)
{
	__asm__ volatile(SKIP_RED_ZONE "movq (%[dst]), %%mm0\n\t"
				       "movq (%[src]), %%mm1\n\t"
				       "call *%[code]\n\t"
				       "movq %%mm0, (%[dst])\n\t"
				       "emms\n\t" UNSKIP_RED_ZONE
			 :
			 : [dst] "r"(dst), [src] "r"(src), [code] "r"(code)
			 : MMX_CLOBBERS, "cc", "memory");
}

#define LOAD_ALL \
	"ldmxcsr 80(%[r])\n\t" \
	"movdqu (%[r]), %%xmm0\n\t" \
	"movdqu 16(%[r]), %%xmm1\n\t" \
	"movq 48(%[r]), %%rax\n\t" \
	"movq 56(%[r]), %%rcx\n\t" \
	"movq 64(%[r]), %%rdx\n\t"
#define STORE_ALL \
	"pushfq\n\t" \
	"popq 72(%[r])\n\t" \
	"movq %%rax, 48(%[r])\n\t" \
	"movq %%rcx, 56(%[r])\n\t" \
	"movdqu %%xmm0, (%[r])\n\t" \
	"stmxcsr 80(%[r])\n\t" \
	"ldmxcsr %[host]\n\t"

_Static_assert(offsetof(struct host_regs, rax) == 48 && offsetof(struct host_regs, mxcsr) == 80,
    "offsets in the assembly below");

void
sse_run_all(const void *code, struct host_regs *r)
{
	__asm__ volatile(SKIP_RED_ZONE LOAD_ALL "call *%[code]\n\t" STORE_ALL UNSKIP_RED_ZONE
			 :
			 : [r] "r"(r), [code] "r"(code), [host] "m"(host_mxcsr)
			 : "rax", "rcx", "rdx", "xmm0", "xmm1", "cc", "memory");
}

void
sse_run_mixed(const void *code, struct host_regs *r)
{
	__asm__ volatile(SKIP_RED_ZONE LOAD_ALL "movq 32(%[r]), %%mm0\n\t"
						"movq 40(%[r]), %%mm1\n\t"
						"call *%[code]\n\t"
						"movq %%mm0, 32(%[r])\n\t" STORE_ALL
						"emms\n\t" UNSKIP_RED_ZONE
			 :
			 : [r] "r"(r), [code] "r"(code), [host] "m"(host_mxcsr)
			 : "rax", "rcx", "rdx", "xmm0", "xmm1", MMX_CLOBBERS, "cc", "memory");
}
