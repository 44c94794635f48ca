# Virtual-8086 mode as the SDM (vol. 3A, chapter 20) has it: IOPL, software interrupts, ports,
# instructions that do not exist there; the virtual-mode extensions (CR4.VME) with the redirection
# map; protected-mode virtual interrupts (CR4.PVI). A table of small programs: each begins with
# EFLAGS and CR4 as given and must end by one exception or interrupt, at one place, with AX and
# EFLAGS as told. The first that does otherwise is printed by its number on port E9h.
# QEMU's TCG (7.2) checks no limits and has neither VIF nor the redirection map: assembled with
# --defsym LENIENT=1, without these, it agrees.
	.include "guest.inc"
	.ifdef LENIENT
	.equ SECTORS, 7
	.else
	.equ SECTORS, 9
	.endif

	.equ CODE, 0x08
	.equ DATA, 0x10
	.equ TSS, 0x18
	.equ USER_CODE, 0x23
	.equ USER_DATA, 0x2b
	.equ STACK, 0x7000
	.equ VM_STACK, 0x6000
	.equ VECTORS, 0x40

	.equ IF, 0x200
	.equ TF, 0x100
	.equ IOPL3, 0x3000
	.equ VM, 0x20000
	.equ VIF, 0x80000
	.equ VIP, 0x100000
	.equ VME, 1
	.equ PVI, 2

	begin_large

go:	cli
	mov	al, 0xff		# no interrupts from chips
	out	0x21, al
	out	0xa1, al
	.ifndef LENIENT
	mov	dword ptr [0x30 * 4], offset redirected
	.endif
	lidt	[idt_pointer]
	to_protected STACK
	call	make_idt
	mov	ax, TSS
	ltr	ax
	mov	esi, offset programs
next:	mov	[current], esi
	inc	dword ptr [step]
	mov	eax, [esi + 4]
	mov	cr4, eax
	mov	eax, [esi]
	test	eax, VM
	jz	1f
	xor	ecx, ecx		# GS, FS, DS, ES, SS
	push	ecx
	push	ecx
	push	ecx
	push	ecx
	push	ecx
	push	VM_STACK
	push	eax
	push	ecx
	jmp	2f
1:	push	USER_DATA
	push	VM_STACK
	push	eax
	push	USER_CODE
2:	push	dword ptr [esi + 8]
	xor	eax, eax
	iretd

failed:	quit_failed

	.balign	16
handlers:
	vectors	VECTORS
common:	mov	bx, DATA		# [ESP]: vector, error, EIP, CS, EFLAGS
	mov	ds, bx
	mov	es, bx
	mov	esi, [current]
	mov	ebx, [esp]
	cmp	ebx, [esi + 12]
	jne	failed
	cmp	dword ptr [esp + 4], 0
	jne	failed
	mov	ebx, [esp + 8]
	cmp	ebx, [esi + 16]
	jne	failed
	mov	ebx, [esp + 16]
	and	ebx, [esi + 20]
	cmp	ebx, [esi + 24]
	jne	failed
	cmp	ax, [esi + 28]
	jne	failed
	mov	esp, STACK
	add	esi, 32
	cmp	esi, offset programs_end
	jne	next
	quit	OK

make_idt:
	mov	edi, offset idt
	mov	eax, offset handlers
	xor	ecx, ecx
1:	mov	[edi], ax
	mov	word ptr [edi + 2], CODE
	mov	word ptr [edi + 4], 0xee00
	mov	edx, eax
	shr	edx, 16
	mov	[edi + 6], dx
	add	eax, 16
	add	edi, 8
	inc	ecx
	cmp	ecx, VECTORS
	jne	1b
	ret

	.text	1
	.balign	4
programs:
	.text	0
# program FLAGS, CR4, VECTOR, MASK, VALUE, AX: the code up to `ends` begins with EFLAGS = FLAGS; at
# label 9 VECTOR comes, when EFLAGS under MASK must be VALUE and AX as told (0: as at the beginning).
	.macro program flags, cr4, vector, mask=0, value=0, ax=0
	.pushsection .text, 1
	.long	\flags, \cr4, 8f, \vector, 9f, \mask, \value
	.word	\ax, 0
	.popsection
8:
	.endm

	.code16
# --- without extensions
	program	VM | IOPL3, 0, 0x21, VM, VM
	int	0x21
9:	program	VM, 0, 13
9:	int	0x21
	program	VM, 0, 13
9:	pushf
	program	VM, 0, 13
9:	popf
	program	VM, 0, 13
9:	iret
	program	VM, 0, 13
9:	cli
	program	VM, 0, 13
9:	sti
	program	VM, 0, 3		# INT3 does not ask for IOPL
	int3
9:	program	VM | IOPL3 | IF, 0, 13, IF, 0
	cli
9:	hlt
	program	VM | IOPL3, 0, 13, IF, IF
	sti
	nop
9:	hlt
	program	VM | IOPL3 | IF, 0, 13, 0, 0, 0x3202
	pushf
	pop	ax
9:	hlt
	program	VM | IOPL3, 0, 13, IOPL3 | IF, IOPL3 | IF	# IOPL stays
	push	IF
	popf
9:	hlt
	program	VM | IOPL3, 0, 13, IOPL3 | IF | VM, IOPL3 | IF | VM
	push	IF
	push	cs
	push	offset 9f
	iret
9:	hlt
	program	VM | IOPL3, 0, 13, VM, VM
	pushd	0
	push	0
	push	cs
	pushd	offset 9f
	iretd
	.balign	2
9:	hlt
	program	VM, 0, 13		# port 80h is denied by the map, 84h is not
	out	0x84, al
9:	out	0x80, al
	program	VM | IOPL3, 0, 13
9:	in	al, 0x80
	program	VM | IOPL3, 0, 13
9:	mov	eax, cr0
	program	VM | IOPL3, 0, 13
9:	lgdt	[gdt_pointer]
	program	VM | IOPL3, 0, 6
9:	lar	ax, ax
	program	VM | IOPL3, 0, 6
9:	sldt	ax
	program	VM | IOPL3, 0, 13, 0, 0, 0x1234
	mov	ax, offset gdt		# a paragraph
	shr	ax, 4
	mov	fs, ax
	mov	ax, fs:[word_1 - gdt]
9:	hlt
	.ifndef LENIENT
	program	VM | IOPL3, 0, 13	# the limit is FFFFh
9:	mov	bx, [0xffff]

# --- VME below IOPL 3: VIF for IF
	program	VM | IF | VIF, VME, 13, IF | VIF, IF
	cli
9:	hlt
	program	VM | IF, VME, 13, IF | VIF, IF | VIF
	sti
9:	hlt
	program	VM | IF | VIP, VME, 13
9:	sti
	program	VM | VIF, VME, 13, 0, 0, 0x3202
	pushf
	pop	ax
9:	hlt
	program	VM | IF, VME, 13, 0, 0, 0x3002
	pushf
	pop	ax
9:	hlt
	program	VM, VME, 13, IF | VIF | IOPL3, VIF
	push	IF | IOPL3
	popf
9:	hlt
	program	VM | VIP, VME, 13
	push	IF
9:	popf
	program	VM | VIP, VME, 13, VIF, 0
	push	0
	popf
9:	hlt
	program	VM, VME, 13
	push	TF
9:	popf
	program	VM, VME, 13
9:	pushfd
	program	VM, VME, 13
	push	0
	push	0
9:	popfd
	program	VM | IF, VME, 13, IF | VIF, IF | VIF
	push	IF
	push	cs
	push	offset 9f
	iret
9:	hlt
	program	VM | VIP, VME, 13
	push	IF
	push	cs
	push	offset 9f
9:	iret

# --- software interrupts by the redirection map: 30h goes to the program, 21h does not
	program	VM | IF | VIF, VME, 13, IF | VIF, IF, 0x3202
	int	0x30
redirected:
	add	sp, 4
	pop	ax
9:	hlt
	program	VM, VME, 13
9:	int	0x21
	program	VM | IOPL3, VME, 0x21
	int	0x21
9:	program	VM | IOPL3 | IF, VME, 13, IF, 0, 0x3202
	jmp	1f
	.balign	4
1:	mov	word ptr [0x31 * 4], offset 2f
	mov	word ptr [0x31 * 4 + 2], 0
	int	0x31
2:	add	sp, 4
	pop	ax
9:	hlt
	.endif
	program	VM, VME, 3		# INT3 is never redirected
	int3
9:
# --- PVI: privilege 3, IOPL 0
	.code32
	.ifndef LENIENT
	program	IF | VIF, PVI, 13, IF | VIF, IF
	cli
9:	hlt
	program	IF, PVI, 13, IF | VIF, IF | VIF
	sti
9:	hlt
	program	IF | VIP, PVI, 13
9:	sti
	.endif
	program	IF | VIF, 0, 13
9:	cli
	program	IF | VIF, 0, 13, 0, 0, 0x0202
	pushfd				# does not show VIF as IF
	pop	eax
9:	hlt
	.code16

	.balign	16
gdt:	.quad	0
	.quad	0x00cf9a000000ffff, 0x00cf92000000ffff
	.word	tss_end - tss - 1, offset tss
	.long	0x00008900
	.quad	0x00cffa000000ffff, 0x00cff2000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
idt_pointer:
	.word	VECTORS * 8 - 1
	.long	idt
	.balign	4
word_1:	.long	0x1234
step:	.long	0
current:
	.long	0
tss:	.long	0, STACK, DATA
	.space	0x66 - 12
	.word	iomap - tss
	.space	6, 0xff			# redirection map: 0-2Fh
	.byte	0xfc			# 30h, 31h go to the program
	.space	25, 0xff
iomap:	.space	16
	.byte	0x01			# port 80h
	.space	4
	.byte	0xff
tss_end:
	.balign	4
idt:	.space	VECTORS * 8
	.text	1
programs_end:
	.text	2
	.balign	512
