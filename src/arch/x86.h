/*
 * Architectural constants of x86: control registers, flags, MSRs, exception vectors.
 * Names and values: Intel SDM volume 3A, chapters 2 (system registers) and 6 (exceptions).
 */
#ifndef ARCH_X86_H
#define ARCH_X86_H

#include <stdint.h>

/* RFLAGS, SDM vol. 1, 3.4.3. */
#define RFLAGS_CF 0x00000001u
#define RFLAGS_1 0x00000002u /* always one */
#define RFLAGS_PF 0x00000004u
#define RFLAGS_AF 0x00000010u
#define RFLAGS_ZF 0x00000040u
#define RFLAGS_SF 0x00000080u
#define RFLAGS_TF 0x00000100u
#define RFLAGS_IF 0x00000200u
#define RFLAGS_DF 0x00000400u
#define RFLAGS_OF 0x00000800u
#define RFLAGS_IOPL 0x00003000u
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT 0x00004000u
#define RFLAGS_RF 0x00010000u
#define RFLAGS_VM 0x00020000u
#define RFLAGS_AC 0x00040000u
#define RFLAGS_VIF 0x00080000u
#define RFLAGS_VIP 0x00100000u
#define RFLAGS_ID 0x00200000u
/* The six arithmetic flags. */
/* DR6, SDM vol. 3B, 17.2.3. */
#define DR6_B 0x000fu /* breakpoints 0 to 3 */
#define DR6_BD 0x2000u
#define DR6_BS 0x4000u
#define DR6_BT 0x8000u
/* DR7, 17.2.4. */
#define DR7_LOCAL 0x0155u /* L0 to L3, LE */
#define DR7_GD 0x2000u

#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* CR0, SDM vol. 3A, 2.5. */
#define CR0_PE 0x00000001u
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_ET 0x00000010u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

/* CR4, SDM vol. 3A, 2.5. */
#define CR4_VME 0x00000001u
#define CR4_PVI 0x00000002u
#define CR4_TSD 0x00000004u
#define CR4_DE 0x00000008u
#define CR4_PSE 0x00000010u
#define CR4_PAE 0x00000020u
#define CR4_MCE 0x00000040u
#define CR4_PGE 0x00000080u
#define CR4_PCE 0x00000100u
#define CR4_OSFXSR 0x00000200u
#define CR4_OSXMMEXCPT 0x00000400u
#define CR4_UMIP 0x00000800u
#define CR4_VMXE 0x00002000u
#define CR4_FSGSBASE 0x00010000u
#define CR4_PCIDE 0x00020000u
#define CR4_OSXSAVE 0x00040000u
#define CR4_SMEP 0x00100000u
#define CR4_SMAP 0x00200000u

/* IA32_EFER, SDM vol. 3A, 2.2.1. */
#define EFER_SCE 0x001u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

/* MSR numbers, SDM vol. 4. */
#define MSR_TSC 0x010u
#define MSR_PLATFORM_ID 0x017u
#define MSR_APIC_BASE 0x01bu
#define APIC_BASE_BSP 0x100u
#define APIC_BASE_EXTD 0x400u
#define APIC_BASE_EN 0x800u
#define MSR_TSC_ADJUST 0x03bu
#define MSR_MICROCODE 0x08bu /* IA32_BIOS_SIGN_ID */
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_MISC_ENABLE 0x1a0u
#define MISC_ENABLE_FAST_STRINGS 0x1u
#define MISC_ENABLE_MONITOR 0x40000u
#define MSR_PAT 0x277u
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC 0x800u /* the first of 256 */
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_FSBASE 0xc0000100u
#define MSR_GSBASE 0xc0000101u
#define MSR_KERNEL_GSBASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

/* Exception vectors, SDM vol. 3A, table 6-1. */
enum x86_vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
};

/* Page-fault error code, SDM vol. 3A, 4.7. */
#define PFEC_P 0x01u
#define PFEC_W 0x02u
#define PFEC_U 0x04u
#define PFEC_RSVD 0x08u
#define PFEC_I 0x10u

#define X86_PHYSICAL_BITS 40 /* width of physical addresses, of every CPU model here */
#define X86_LINEAR_BITS 48
#define X86_PAGE_SHIFT 12
#define X86_PAGE_SIZE 4096u
#define X86_PAGE_MASK 4095u

#endif
