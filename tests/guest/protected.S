# Protected mode as the SDM (vol. 3A, chapters 5 to 7) has it: segment checks and their error
# codes, exceptions, call gates, privilege 3 and back, the I/O permission bitmap, a task switch,
# paging with its error codes. Each step says which exception it expects, or none; the first one
# that comes out otherwise is printed by its number on the debug port E9h (and as NOT OK).
# QEMU's TCG agrees with every step but those on limits and rights of data segments and on LOCK,
# which it does not check: assembled with --defsym LENIENT=1, without these, it passes there too.
	.include "guest.inc"
	.equ SECTORS, 8

	.equ CODE, 0x08
	.equ DATA, 0x10
	.equ ABSENT, 0x18		# data, not present
	.equ SMALL, 0x20		# data, limit 0FFFh
	.equ READ_ONLY, 0x28
	.equ TSS, 0x30
	.equ GATE, 0x38			# call gate, privilege 3, to gate_target
	.equ USER_CODE, 0x43
	.equ USER_DATA, 0x4b
	.equ TSS2, 0x50
	.equ DOWN, 0x58			# expand down, limit 0FFFh
	.equ EXECUTE_ONLY, 0x60
	.equ CODE16, 0x68
	.equ DATA16, 0x70
	.equ PAGE_DIRECTORY, 0x20000
	.equ PAGE_TABLE, 0x21000
	.equ KERNEL_STACK, 0x7000
	.equ USER_STACK, 0x6000

	begin_large


go:	cli
	lidt	[idt_pointer]
	to_protected KERNEL_STACK
	call	make_idt
	mov	ax, TSS
	ltr	ax

# --- segment registers: #GP, #NP, #SS with the selector
	expect	13, 0x100
	mov	ax, 0x103
	mov	es, ax
	checked
	expect	11, ABSENT
	mov	ax, ABSENT
	mov	es, ax
	checked
	expect	12, ABSENT
	mov	ax, ABSENT
	mov	ss, ax
	checked
	expect	13, 0			# null SS
	xor	eax, eax
	mov	ss, ax
	checked
	expect	13, READ_ONLY		# SS must be writable
	mov	ax, READ_ONLY
	mov	ss, ax
	checked
	expect	13, TSS
	mov	ax, TSS
	mov	ds, ax
	checked
	expect	13, EXECUTE_ONLY
	mov	ax, EXECUTE_ONLY
	mov	ds, ax
	checked
	expect	13, DATA		# a jump to data
	.byte	0xea
	.long	0
	.word	DATA
	checked
	expect	13, TSS			# TR is busy now
	mov	ax, TSS
	ltr	ax
	checked

# --- accesses: limits and rights
	.ifndef	LENIENT
	mov	ax, SMALL
	mov	fs, ax
	mov	eax, fs:[0xffc]
	expect	13, 0
	mov	eax, fs:[0xffd]
	checked
	mov	ax, DOWN
	mov	fs, ax
	mov	eax, fs:[0x1000]
	expect	13, 0
	mov	eax, fs:[0xfff]
	checked
	mov	ax, READ_ONLY
	mov	fs, ax
	mov	eax, fs:[0]
	expect	13, 0
	mov	fs:[0], eax
	checked
	expect	13, 0			# code cannot be written
	mov	cs:[step], eax
	checked
	xor	eax, eax
	mov	gs, ax
	expect	13, 0			# null selector
	mov	eax, gs:[0]
	checked

	.endif

# --- exceptions of instructions
	expect	0
	xor	ecx, ecx
	div	ecx
	checked
	expect	6
	ud2
	checked
	expect	5
	mov	eax, 7
	bound	eax, [bounds]
	checked
	.ifndef	LENIENT
	expect	6			# LOCK on what cannot be locked
	.byte	0xf0, 0x89, 0xc0
	checked
	.endif
	expect	13, (0xff*8+2)	# beyond the IDT
	int	0xff
	checked

# --- a call gate at the same privilege
	inc	dword ptr [step]
	push	0x12345678
	.byte	0x9a
	.long	0
	.word	GATE
	cmp	dword ptr [gate_count], 1
	jne	failed

# --- privilege 3
	inc	dword ptr [step]
	push	USER_DATA
	push	USER_STACK
	pushfd
	push	USER_CODE
	push	offset user
	iret
user:	mov	ax, USER_DATA
	mov	ds, ax
	mov	es, ax
	expect	13, 0
	hlt
	checked
	expect	13, 0
	cli
	checked
	expect	13, 0
	mov	eax, cr0
	checked
	expect	13, (0x21*8+2)	# a gate of privilege 0
	int	0x21
	checked
	expect	13, 0			# port 80h: bit set in the bitmap
	in	al, 0x80
	checked
	in	al, 0x81		# bit clear
	expect	13, DATA		# a data segment of privilege 0
	mov	ax, DATA
	mov	fs, ax
	checked
	inc	dword ptr [step]	# a call gate to privilege 0 and back, with one parameter
	push	0x12345678
	.byte	0x9a
	.long	0
	.word	GATE + 3
	cmp	esp, USER_STACK
	jne	failed
	cmp	dword ptr [gate_count], 2
	jne	failed
	int	0x20			# back to privilege 0, on the stack of the TSS
	jmp	failed
back:	mov	ax, DATA
	mov	ds, ax
	mov	es, ax

# --- a task switch: call and IRET
	inc	dword ptr [step]
	mov	ebx, 0x11111111
	.byte	0x9a
	.long	0
	.word	TSS2
	cmp	ebx, 0x11111111		# the task's registers stayed its own
	jne	failed
	cmp	dword ptr [task_ran], 0x22222222
	jne	failed
	mov	eax, cr0
	test	al, 8			# TS is set
	jz	failed
	clts

# --- paging: 4 MB identity, one page absent, one read-only
	inc	dword ptr [step]
	mov	edi, PAGE_DIRECTORY
	xor	eax, eax
	mov	ecx, 1024
	rep stosd
	mov	dword ptr [PAGE_DIRECTORY], PAGE_TABLE + 7
	mov	edi, PAGE_TABLE
	mov	eax, 7
1:	stosd
	add	eax, 0x1000
	cmp	eax, 0x400007
	jne	1b
	mov	dword ptr [PAGE_TABLE + 0x30 * 4], 0		# 30000h
	mov	dword ptr [PAGE_TABLE + 0x31 * 4], 0x31005	# read-only
	mov	eax, PAGE_DIRECTORY
	mov	cr3, eax
	mov	eax, cr0
	or	eax, 0x80000000
	mov	cr0, eax
	mov	eax, [0x31000]
	mov	[0x31000], eax		# privilege 0 may, while WP is clear
	expect	14, 0
	mov	eax, [0x30010]
	checked
	mov	eax, cr2
	cmp	eax, 0x30010
	jne	failed
	expect	14, 2
	mov	[0x30ffe], eax
	checked
	expect	14, 2			# the second page of the access is the absent one
	mov	[0x2fffe], eax
	checked
	mov	eax, cr2
	cmp	eax, 0x30000
	jne	failed
	mov	eax, cr0
	or	eax, 0x10000
	mov	cr0, eax
	expect	14, 3
	mov	[0x31000], eax
	checked
	inc	dword ptr [step]	# accessed, and dirty only where it was written
	mov	eax, [PAGE_TABLE + 0x31 * 4]
	and	eax, 0x60
	cmp	eax, 0x60		# it was, above
	jne	failed
	mov	eax, [0x32000]
	mov	eax, [PAGE_TABLE + 0x32 * 4]
	and	eax, 0x60
	cmp	eax, 0x20
	jne	failed
	mov	eax, cr0
	and	eax, 0x7ffeffff
	mov	cr0, eax

# --- back to real mode
	inc	dword ptr [step]
	ljmp	CODE16, offset leave
	.code16
leave:	mov	ax, DATA16
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	fs, ax
	mov	gs, ax
	mov	eax, cr0
	and	al, 0xfe
	mov	cr0, eax
	ljmp	0, offset real
real:	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7000
	lidt	[ivt_pointer]
	sti
	mov	ax, 0x0e2b		# the BIOS still answers
	int	0x10
	quit	OK

	.code32
failed:	mov	ax, DATA
	mov	ds, ax
	mov	al, [step]
	out	0xe9, al
	mov	al, NOT_OK
	out	DEBUG_EXIT, al
1:	jmp	1b

gate_target:				# one parameter, taken off both stacks by RETF 4
	push	ds
	push	DATA
	pop	ds
	inc	dword ptr [gate_count]
	pop	ds
	.byte	0xca			# RETF 4
	.word	4

task:	mov	ebx, 0x22222222
	mov	[task_ran], ebx
	iret
	jmp	task

# The 64 vectors' handlers: push vector and a 0 where the CPU pushes no error code.
	.balign	16
handlers:
	.set	vector, 0
	.rept	0x22
	.balign	16
	.if	vector != 8 && (vector < 10 || vector > 14) && vector != 17
	push	0
	.endif
	push	vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:	cmp	dword ptr ss:[esp], 0x20
	je	to_kernel
	push	ds
	push	eax
	mov	ax, DATA
	mov	ds, ax
	mov	eax, [esp + 8]
	cmp	eax, [want]
	jne	failed
	mov	eax, [esp + 12]
	cmp	eax, [want_error]
	jne	failed
	mov	eax, [resume]
	mov	[esp + 16], eax
	pop	eax
	pop	ds
	add	esp, 8
	iret
to_kernel:
	mov	esp, KERNEL_STACK
	jmp	back

make_idt:
	mov	edi, offset idt
	mov	eax, offset handlers
	xor	ecx, ecx
1:	mov	[edi], ax
	mov	word ptr [edi + 2], CODE
	mov	word ptr [edi + 4], 0x8e00
	cmp	ecx, 0x20		# INT 20h may be used at privilege 3
	jne	2f
	mov	word ptr [edi + 4], 0xee00
2:	mov	edx, eax
	shr	edx, 16
	mov	[edi + 6], dx
	add	eax, 16
	add	edi, 8
	inc	ecx
	cmp	ecx, 0x22
	jne	1b
	ret

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00cf12000000ffff, 0x0040920000000fff
	.quad	0x00cf90000000ffff
	.word	tss_end - tss - 1, offset tss
	.long	0x00008900
	.word	offset gate_target, CODE
	.long	0x0000ec01
	.quad	0x00cffa000000ffff, 0x00cff2000000ffff
	.word	103, offset tss2
	.long	0x00008900
	.quad	0x0040960000000fff, 0x00cf98000000ffff
	.quad	0x00009a000000ffff, 0x000092000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
idt_pointer:
	.word	0x22 * 8 - 1
	.long	idt
ivt_pointer:
	.word	0x3ff
	.long	0
	.balign	4
bounds:	.long	0, 6
step:	.long	0
want:	.long	0
want_error:
	.long	0
resume:	.long	0
gate_count:
	.long	0
task_ran:
	.long	0
tss:	.long	0, KERNEL_STACK, DATA
	.space	0x66 - 12
	.word	bitmap - tss
bitmap:	.space	16
	.byte	0x01			# port 80h
	.space	4
	.byte	0xff
tss_end:
tss2:	.long	0
	.space	0x20 - 4
	.long	offset task, 2
	.long	0, 0, 0, 0, 0x6800, 0, 0, 0
	.long	DATA, CODE, DATA, DATA, 0, 0, 0
	.word	0, 104
idt:	.space	0x22 * 8
	.org	SECTORS * 512
