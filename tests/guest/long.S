# 64-bit mode: what descriptor tables and segments do differently there (SDM vol. 3A, 3.4.4, 3.5.1,
# 7.2.3). The first step that goes wrong is printed by its number on the debug port E9h (and as NOT
# OK). QEMU's TCG does not check bases for being canonical: assembled with --defsym LENIENT=1,
# without these steps, it passes there too.
	.include "guest.inc"
	.equ SECTORS, 4

	.equ CODE, 0x08
	.equ DATA, 0x10
	.equ CODE_64, 0x18
	.equ USER_DATA, 0x23
	.equ USER_CODE, 0x2b
	.equ TSS, 0x30			# 16 bytes
	.equ BAD_LDT, 0x40		# 16 bytes, its base is not canonical
	.equ BAD_TSS, 0x50
	.equ PAGE_TABLES, 0x10000
	.equ IDT, 0x9000
	.equ GS_BASE, 0xc0000101
	.equ KERNEL_STACK, 0x7000
	.equ USER_STACK, 0x6000

	begin
	mov	ax, 0x0200 + SECTORS - 1
	mov	bx, 0x7e00
	mov	cx, 2
	mov	dh, 0
	mov	dl, [boot_drive]
	int	0x13
	jnc	go
	quit	NOT_OK
	end

	.set	number, 0
# expect VECTOR, ERROR: what comes until `checked` raises that.
	.macro expect vector, error
	.set	number, number + 1
	mov	byte ptr [rbp + 12], number
	mov	dword ptr [rbp], \vector
	mov	dword ptr [rbp + 4], \error
	mov	dword ptr [rbp + 8], offset 7f
	.endm
	.macro checked
	jmp	failed
7:
	.endm

go:	cli
	lgdt	[gdt_pointer]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	ljmp	CODE, offset start32
	.code32
start32:
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	gs, ax
	mov	esp, KERNEL_STACK
	mov	edi, PAGE_TABLES	# 1 GB, all for user code too
	mov	ecx, 3 * 1024
	xor	eax, eax
	rep	stosd
	mov	dword ptr [PAGE_TABLES], PAGE_TABLES + 0x1007
	mov	dword ptr [PAGE_TABLES + 0x1000], PAGE_TABLES + 0x2007
	mov	ecx, 512
	mov	edi, PAGE_TABLES + 0x2000
	mov	eax, 0x87
1:	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	loop	1b
	mov	edi, IDT		# 32 gates of 16 bytes
	mov	eax, offset handlers
	mov	ecx, 32
2:	mov	[edi], ax
	mov	dword ptr [edi + 2], 0x8e000000 + CODE_64
	mov	dword ptr [edi + 6], 0
	mov	dword ptr [edi + 8], 0
	mov	byte ptr [edi + 5], 0xee
	mov	byte ptr [edi + 4], 0
	mov	dword ptr [edi + 12], 0
	add	edi, 16
	add	eax, 16
	loop	2b
	mov	eax, cr4
	or	eax, 0x20
	mov	cr4, eax
	mov	eax, PAGE_TABLES
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x100
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000000
	mov	cr0, eax
	ljmp	CODE_64, offset start64
	.code64
start64:
	mov	ebp, offset want
	mov	esi, offset idt_pointer
	lidt	[rsi]
	mov	ax, TSS
	ltr	ax

	# Bases that are not canonical.
	.ifndef LENIENT
	expect	13, 0
	mov	esi, offset bad_pointer
	lgdt	[rsi]
	checked
	expect	13, 0
	mov	esi, offset bad_pointer
	lidt	[rsi]
	checked
	expect	13, BAD_LDT
	mov	ax, BAD_LDT
	lldt	ax
	checked
	expect	13, BAD_TSS
	mov	ax, BAD_TSS
	ltr	ax
	checked
	.endif

	# To user code: GS, which it may not have, becomes null; the base stays.
	mov	ecx, GS_BASE
	mov	eax, offset bytes
	xor	edx, edx
	wrmsr
	expect	3, 0
	push	USER_DATA
	push	USER_STACK
	push	2
	push	USER_CODE
	mov	eax, offset user
	push	rax
	iretq
user:	mov	eax, gs
	test	eax, eax
	jnz	failed
	cmp	byte ptr gs:[0], 0x5a
	jne	failed
	int3
	checked
	mov	al, OK
	out	DEBUG_EXIT, al

failed:	mov	al, [rbp + 12]
	add	al, '0'
	out	0xe9, al
	mov	al, NOT_OK
	out	DEBUG_EXIT, al

	.balign	16
handlers:
	.set	i, 0
	.rept	32
	.if	i == 8 || (i >= 10 && i <= 14) || i == 17
	.byte	0x90, 0x90		# the error code is there
	.else
	push	0
	.endif
	push	i
	jmp	handler
	.balign	16
	.set	i, i + 1
	.endr
handler:
	mov	eax, [rsp]
	cmp	eax, [rbp]
	jne	failed
	mov	eax, [rsp + 8]
	cmp	eax, [rbp + 4]
	jne	failed
	mov	esp, KERNEL_STACK
	mov	eax, [rbp + 8]
	jmp	rax

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00209b0000000000
	.quad	0x00cff3000000ffff, 0x0020fb0000000000
	.word	103, offset tss
	.long	0x00008900, 0, 0
	.word	7, 0			# the LDT
	.long	0x00008200, 0x00008000, 0
	.word	103, 0
	.long	0x00008900, 0x00008000, 0
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
idt_pointer:
	.word	0x1ff
	.quad	IDT
bad_pointer:
	.word	0xff
	.quad	0x0000800000000000
want:	.long	-1			# RBP points here: vector, error code, where to go on, step
	.long	0, 0, 0
bytes:	.byte	0x5a
	.balign	8
tss:	.long	0
	.quad	KERNEL_STACK
	.space	0x66 - 12
	.word	0x68
	.org	SECTORS * 512
