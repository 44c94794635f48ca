# 64-bit mode as the SDM has it: interrupt gates with IST, canonical addresses, 4-level paging with
# its error codes, rights and A and D bits, NX, SMEP, SMAP, UMIP, compatibility mode, call gates,
# SYSCALL and SYSENTER, what may not be changed there. Each step says which exception it expects, or
# none; the first one that comes out otherwise is printed by its number on port E9h (and as NOT OK).
# QEMU's TCG (7.2, -cpu max,vendor=GenuineIntel) pushes another error code for a vector beyond the
# IDT's limit, raises #GP for stack addresses, too, takes any address for a base, sees no reserved
# bits here, and lets 64-bit code change CR0.PG, CR4.PAE, EFER.LME and CR8 as it likes: assembled with
# --defsym LENIENT=1, without these, it agrees. Linux's KVM emulates UMIP on processors that lack it, but for
# SMSW: --defsym KVM=1 leaves that out. Bochs (2.7) steps behind a SYSCALL that clears TF: --defsym BOCHS=1.
	.include "guest.inc"
	.equ SECTORS, 13

	.equ CODE32, 0x08
	.equ DATA, 0x10
	.equ CODE64, 0x18		# SYSCALL: CS and SS follow one another
	.equ DATA64, 0x20
	.equ USER_CODE32, 0x2b		# SYSRET: 32-bit code, data, 64-bit code
	.equ USER_DATA, 0x33
	.equ USER_CODE64, 0x3b
	.equ TSS, 0x40			# 16 bytes
	.equ GATE, 0x50			# call gate, 16 bytes
	.equ LDT, 0x60			# 16 bytes
	.equ BAD_GATE, 0x70		# its second half has a type
	.equ OLD_TSS, 0x80		# a TSS without its second half in the table
	.equ STACK, 0x7000
	.equ IST, 0x6800
	.equ USER_STACK, 0x6000
	.equ VECTORS, 0x22
	.equ PML4, 0x20000
	.equ PDPT, 0x21000
	.equ PD, 0x22000
	.equ PT, 0x23000		# 200000h on, page by page
	.equ WINDOW, 0x200000
	.equ P, 1
	.equ W, 2
	.equ U, 4
	.equ EFER, 0xc0000080

	begin_large

	.macro ok_if condition
	j\condition	8f
	inc	dword ptr [step]
	jmp	failed
8:	inc	dword ptr [step]
	.endm
# page NUMBER, FLAGS: of the window, with its own number as frame of the same memory.
	.macro page number, flags, high=0
	mov	dword ptr [PT + 8 * \number], WINDOW + 0x1000 * \number + \flags
	mov	dword ptr [PT + 8 * \number + 4], \high
	mov	rax, cr3
	mov	cr3, rax
	.endm

go:	cli
	to_protected STACK, CODE32
	mov	edi, PML4		# an identity map by 2 MB, the second one by 4 KB
	mov	ecx, 0x4000 / 4
	xor	eax, eax
	rep	stosd
	mov	dword ptr [PML4], PDPT + P + W + U
	mov	dword ptr [PDPT], PD + P + W + U
	mov	dword ptr [PDPT + 8], 0x80 + P + W	# 1 GB at 40000000h is the first one
	mov	dword ptr [PD], 0x80 + P + W + U
	mov	dword ptr [PD + 8], PT + P + W + U
	mov	eax, PML4
	mov	cr3, eax
	mov	eax, 0x6a0		# PAE, PGE, OSFXSR, OSXMMEXCPT
	mov	cr4, eax
	mov	ecx, EFER
	rdmsr
	or	eax, 0x901		# LME, NXE, SCE
	wrmsr
	mov	eax, cr0
	or	eax, 0x80010000		# PG, WP
	mov	cr0, eax
	ljmp	CODE64, offset start64
	.code64
start64:
	mov	ax, DATA64
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	esp, STACK
	call	make_idt
	lidt	[idt_pointer]
	mov	ax, TSS
	ltr	ax

# --- gates and stacks
	expect	3
	int3
	checked
	expect	6			# vectors 6 and 12 have IST 1
	ud2
	checked
	cmp	dword ptr [handler_rsp], IST - 0x28 - 0x10
	ok_if	e
	.ifndef LENIENT
	expect	13, 0x112		# 22h is beyond the IDT's limit
	int	0x22
	checked
	.endif
	lea	rsp, [STACK - 8]	# the frame is aligned
	expect	0
	xor	ecx, ecx
	div	ecx
	checked
	mov	eax, [handler_rsp]
	and	eax, 15			# five and two words below it
	cmp	eax, 8
	ok_if	e
	mov	esp, STACK

# --- what must be canonical
	mov	rbx, 0x800000000000
	expect	13
	mov	eax, [rbx]
	checked
	.ifndef LENIENT
	mov	rbp, 0xffff7fffffffffff
	expect	12
	mov	eax, [rbp]
	checked
	expect	12
	lea	rsp, [rbx + 0x100]
	push	rax
	checked
	.endif
	expect	13
	jmp	rbx
	checked
	expect	13
	push	rbx
	ret
	checked
	mov	esp, STACK
	.ifndef LENIENT
	expect	13
	mov	ecx, 0xc0000101		# GS.base
	mov	eax, 0
	mov	edx, 0x8000
	wrmsr
	checked
	expect	13
	mov	rax, rbx
	mov	[pointer + 2], rax
	lgdt	[pointer]
	checked
	.endif

# --- pages: present, written, user, reserved, executed
	page	0, 0
	expect	14, 0
	mov	eax, [WINDOW]
	checked
	mov	rax, cr2
	cmp	rax, WINDOW
	ok_if	e
	expect	14, 2
	mov	[WINDOW + 5], eax
	checked
	page	0, P
	mov	eax, [WINDOW]
	test	dword ptr [PT], 0x20	# accessed
	ok_if	nz
	test	dword ptr [PT], 0x40	# dirty
	ok_if	z
	expect	14, 3			# CR0.WP
	mov	[WINDOW], eax
	checked
	page	0, P+W
	mov	[WINDOW], eax
	test	dword ptr [PT], 0x40
	ok_if	nz
	page	0, P+W, 0x80000000
	mov	byte ptr [WINDOW], 0xc3
	expect	14, 0x11
	mov	ebx, WINDOW
	call	rbx
	checked
	page	0, P+W
	call	rbx
	.ifndef LENIENT
	page	0, P, 0x00080000	# bit 51 is no address bit here
	expect	14, 9
	mov	eax, [WINDOW]
	checked
	mov	dword ptr [PD + 16], 0x80 + 0x2000 + P	# a reserved bit of a large page
	expect	14, 9
	mov	eax, [0x400000]
	checked
	.endif
	page	0, P+W
	mov	eax, [0x40000000 + gdt]	# the 1 GB page
	cmp	eax, [gdt]
	ok_if	e
	mov	rbx, 0x8000000000	# no entry in the PML4
	expect	14, 0
	mov	eax, [rbx]
	checked

# --- SMEP, SMAP
	page	1, P+W+U
	mov	byte ptr [WINDOW + 0x1000], 0xc3
	mov	ebx, WINDOW + 0x1000
	call	rbx
	mov	dword ptr [PD], 0x80 + P + W	# our own code is no user page any more
	mov	rax, cr4
	or	eax, 0x300000
	mov	cr4, rax
	expect	14, 0x11
	call	rbx
	checked
	expect	14, 1
	mov	eax, [rbx]
	checked
	expect	14, 3
	mov	[rbx], eax
	checked
	stac
	mov	eax, [rbx]
	clac
	expect	14, 1
	mov	eax, [rbx]
	checked
	mov	rax, cr4
	and	eax, 0xffcfffff
	mov	cr4, rax
	mov	dword ptr [PD], 0x80 + P + W + U
	mov	rax, cr3
	mov	cr3, rax

	.ifndef LENIENT
# --- registers that may not be changed so
	mov	rax, cr0
	mov	rcx, rax
	btr	rcx, 31
	expect	13
	mov	cr0, rcx
	checked
	mov	rcx, rax
	bts	rcx, 32
	expect	13
	mov	cr0, rcx
	checked
	mov	rax, cr4
	mov	rcx, rax
	btr	rcx, 5
	expect	13
	mov	cr4, rcx
	checked
	bts	rax, 31
	expect	13
	mov	cr4, rax
	checked
	mov	rax, cr4		# FSGSBASE is not there, as CPUID says
	bts	rax, 16
	expect	13
	mov	cr4, rax
	checked
	mov	ecx, EFER
	rdmsr
	btr	eax, 8
	expect	13
	wrmsr
	checked
	.endif
	mov	eax, 5
	mov	cr8, rax
	mov	rbx, cr8
	cmp	ebx, 5
	ok_if	e
	.ifndef LENIENT
	mov	eax, 0x10
	expect	13
	mov	cr8, rax
	checked
	.endif
	xor	eax, eax
	mov	cr8, rax
	expect	6
	.byte	0x06			# PUSH ES does not exist
	checked
	expect	6
	.byte	0xea, 0, 0, 0, 0, 0, 0	# nor JMP ptr16:32
	checked

# --- segments and tables
	mov	ax, LDT
	lldt	ax
	sldt	bx
	cmp	bx, LDT
	ok_if	e
	expect	13, OLD_TSS
	mov	ax, OLD_TSS
	ltr	ax
	checked
	xor	eax, eax		# null data segments are fine; SS at privilege 0, too
	mov	ds, eax
	mov	ss, eax
	mov	eax, [gdt]
	mov	ax, DATA64
	mov	ss, eax
	mov	ds, eax
	expect	13, TSS
	mov	ax, TSS
	mov	ds, eax
	checked
	pushfq				# NT: no tasks here
	or	qword ptr [rsp], 0x4000
	popfq
	expect	13
	iretq
	checked
	pushfq
	and	qword ptr [rsp], 0xffffffffffffbfff
	popfq
	mov	esp, STACK
	mov	ecx, 0xc0000102		# KERNEL_GS_BASE
	mov	eax, offset gdt
	xor	edx, edx
	wrmsr
	swapgs
	mov	eax, gs:[CODE64]
	swapgs
	cmp	eax, [gdt + CODE64]
	ok_if	e

# --- compatibility mode and back
	ljmp	[compatible]
	.code32
compatible32:
	mov	ax, DATA
	mov	ss, ax
	xor	eax, eax
	.byte	0x40			# INC EAX here, a REX prefix there
	cmp	eax, 1
	je	1f
	ljmp	CODE64, offset failed
1:	ljmp	CODE64, offset from_compatible
	.code64
from_compatible:
	inc	dword ptr [step]

# --- privilege 3: GS, which it may not have, becomes null; its base stays
	mov	eax, DATA
	mov	gs, eax
	mov	ecx, 0xc0000101
	mov	eax, offset to_code
	xor	edx, edx
	wrmsr
	push	USER_DATA
	push	USER_STACK
	push	0x3002
	push	USER_CODE64
	push	offset user
	iretq
user:	mov	ax, cs
	and	ax, 3
	cmp	ax, 3
	ok_if	e
	mov	eax, gs
	test	eax, eax
	ok_if	z
	mov	eax, gs:[0]
	cmp	eax, [to_code]
	ok_if	e

	expect	13
	mov	rax, cr3
	checked
	expect	13
	rdmsr
	checked
	expect	13
	swapgs
	checked
	expect	14, 5			# a supervisor page
	mov	eax, [WINDOW]
	checked
	expect	14, 7
	mov	[WINDOW], eax
	checked
	expect	14, 0x15
	mov	ebx, WINDOW
	jmp	rbx
	checked
	expect	13, CODE64		# no direct way to more privilege
	lcall	[to_code]
	checked
	expect	13, BAD_GATE
	lcall	[to_bad_gate]
	checked
	expect	13, TSS
	lcall	[to_tss]
	checked
	mov	dword ptr [gate_count], 0
	lcall	[to_gate]
	cmp	dword ptr [gate_count], 1
	ok_if	e
	cmp	rsp, USER_STACK
	ok_if	e
	sgdt	[pointer]		# fine without UMIP
	int	0x20			# the handler of 20h turns UMIP on
	expect	13
	sgdt	[pointer]
	checked
	.ifndef KVM
	expect	13
	smsw	ax
	checked
	.endif
	mov	rbx, rsp		# SYSCALL: RCX, R11, and back
	mov	r8d, 0
	syscall
	cmp	r8d, 0x5ca11
	ok_if	e
	cmp	rsp, rbx
	ok_if	e
	mov	ax, ss
	cmp	ax, USER_DATA
	ok_if	e
	.ifndef BOCHS
	mov	r8d, 0			# FMASK clears TF: no step behind SYSCALL, but behind SYSRET
	pushfq
	or	dword ptr [rsp], 0x100
	expect	1
	popfq
	syscall
	ud2
	checked
	cmp	r8d, 0x5ca11
	ok_if	e
	.endif
	.ifndef LENIENT
	pushq	USER_CODE32		# in compatibility mode there is none
	mov	eax, offset 1f
	push	rax
	expect	6
	lretq
	.code32
1:	.byte	0x0f, 0x05
	checked
	ljmp	USER_CODE64, offset 1f
	.code64
1:
	.endif
	xor	r9d, r9d
	sysenter			# does not come back by itself
	jmp	failed

at_syscall:
	mov	ax, cs
	cmp	ax, CODE64
	jne	failed
	pushfq				# on the user's stack still; IOPL was masked
	pop	rax
	test	eax, 0x3000
	jnz	failed
	mov	r8d, 0x5ca11
	sysretq

at_sysenter:
	mov	ax, ss
	cmp	ax, DATA64
	ok_if	e
	cmp	rsp, STACK
	ok_if	e
	quit	OK

gate_target:				# RIP, CS, RSP, SS of the caller on our stack
	mov	ax, cs
	cmp	ax, CODE64
	jne	failed
	mov	ax, ss			# null, with the privilege as RPL
	test	ax, ax
	jnz	failed
	cmp	dword ptr [rsp + 24], USER_DATA
	jne	failed
	lea	rax, [rsp + 32]
	cmp	rax, STACK
	jne	failed
	inc	dword ptr [gate_count]
	lretq

failed:	quit_failed

# --- vectors 0 to 21h: each pushes an error code (its own or 0) and its number
	.balign	16
handlers:
	vectors	VECTORS
common:	mov	[handler_rsp], esp
	cmp	dword ptr [rsp], 0x20
	je	turn_umip_on
	push	rax
	mov	eax, [rsp + 8]
	cmp	eax, [want]
	jne	failed
	mov	eax, [rsp + 16]
	cmp	eax, [want_error]
	jne	failed
	mov	eax, [resume]
	mov	[rsp + 24], rax
	mov	dword ptr [want], -1
	and	dword ptr [rsp + 40], 0xfffffeff # TF
	mov	rax, STACK		# whatever it was
	test	byte ptr [rsp + 32], 3
	jnz	1f
	mov	[rsp + 48], rax
1:	pop	rax
	add	rsp, 16
	iretq
turn_umip_on:
	mov	rax, cr4
	or	eax, 0x800
	mov	cr4, rax
	add	rsp, 16
	iretq

make_idt:
	mov	edi, offset idt
	mov	eax, offset handlers
	xor	ecx, ecx
1:	mov	[rdi], ax
	mov	word ptr [rdi + 2], CODE64
	mov	word ptr [rdi + 4], 0xee00
	cmp	ecx, 6
	je	2f
	cmp	ecx, 12
	jne	3f
2:	mov	byte ptr [rdi + 4], 1	# IST 1
3:	mov	edx, eax
	shr	edx, 16
	mov	[rdi + 6], edx
	mov	dword ptr [rdi + 10], 0
	mov	word ptr [rdi + 14], 0
	add	eax, 16
	add	edi, 16
	inc	ecx
	cmp	ecx, VECTORS
	jne	1b
	mov	ecx, 0xc0000081		# STAR, LSTAR, FMASK
	xor	eax, eax
	mov	edx, CODE64 + (USER_CODE32 << 16)
	wrmsr
	inc	ecx
	mov	eax, offset at_syscall
	xor	edx, edx
	wrmsr
	mov	ecx, 0xc0000084
	mov	eax, 0x3100
	wrmsr
	mov	ecx, 0x174		# SYSENTER_CS, ESP, EIP
	mov	eax, CODE64
	wrmsr
	inc	ecx
	mov	eax, STACK
	wrmsr
	inc	ecx
	mov	eax, offset at_sysenter
	wrmsr
	ret

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff, 0x00cf92000000ffff
	.quad	0x00af9a000000ffff, 0x00cf92000000ffff
	.quad	0x00cffa000000ffff, 0x00cff2000000ffff, 0x00affa000000ffff
	.word	103, offset tss
	.long	0x00008900
	.quad	0
	.word	offset gate_target, CODE64
	.long	0x0000ec00
	.quad	0
	.quad	0x000082000000ffff, 0
	.word	offset gate_target, CODE64
	.long	0x0000ec00
	.quad	0x00000c0000000000
	.quad	0x0000890000000067
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt
idt_pointer:
	.word	VECTORS * 16 - 1
	.quad	idt
compatible:
	.long	compatible32
	.word	CODE32
to_code:
	.long	gate_target
	.word	CODE64
to_gate:
	.long	0
	.word	GATE + 3
to_bad_gate:
	.long	0
	.word	BAD_GATE + 3
to_tss:	.long	0
	.word	TSS + 3
	.balign	4
step:	.long	0
want:	.long	-1
want_error:
	.long	0
resume:	.long	0, 0
gate_count:
	.long	0
handler_rsp:
	.long	0
pointer:
	.word	0xff
	.quad	0
tss:	.long	0
	.quad	STACK, 0, 0, 0
	.quad	IST
	.space	0x66 - 0x2c
	.word	0x68
	.balign	8
idt:	.space	VECTORS * 16
	.org	SECTORS * 512
