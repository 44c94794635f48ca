# Debug exceptions as the SDM (vol. 3B, chapter 17) has them: single steps, breakpoints on
# instructions, data and ports, general detect, RF, the shadow of MOV SS; alignment checks (vol. 3A,
# 6.15, #AC) at privilege 3. Each step says where #DB must come, how often, and what DR6 says; the
# first one that comes out otherwise is printed by its number on port E9h (and as NOT OK).
# QEMU's TCG (7.2) has no alignment checks and no general detect, stops at an instruction behind
# MOV SS, tells of a step and a data breakpoint behind one instruction one by one, stays at a REP
# that hit a breakpoint in its last iteration, and shows a step behind ICEBP: assembled with
# --defsym LENIENT=1, without these, it passes there too.
# Linux's KVM does an intercepted OUT itself and passes over breakpoints on its port, and does not know of those
# that MOV SS holds back: --defsym KVM=1 leaves them out.
	.include "guest.inc"
	.equ SECTORS, 9

	.equ CODE, 0x08
	.equ DATA, 0x10
	.equ TSS, 0x18
	.equ USER_CODE, 0x23
	.equ USER_DATA, 0x2b
	.equ STACK, 0x7000
	.equ USER_STACK, 0x6000
	.equ VECTORS, 0x22
	.equ word_1, 0xa008		# data, not in a page with code

	begin_large

# arm DR7: the step begins. #DB counts from here on.
	.macro arm dr7
	inc	dword ptr [step]
	mov	dword ptr [hits], 0
	mov	dword ptr [got_eip], 0
	mov	eax, \dr7
	mov	dr7, eax
	.endm

# hit COUNT, BITS, EIP: so many #DB came, the last one at EIP with BITS in DR6.
	.macro hit count, bits=0, eip=0
	xor	eax, eax
	mov	dr7, eax
	cmp	dword ptr [hits], \count
	jne	failed
	.if	\count
	cmp	dword ptr [got_eip], offset \eip
	jne	failed
	cmp	dword ptr [got_dr6], 0xffff0ff0 | \bits
	jne	failed
	.endif
	.endm


	.macro set_tf			# single steps begin behind the next instruction
	pushfd
	or	dword ptr [esp], 0x100
	popfd
	.endm

go:	cli
	lidt	[idt_pointer]
	to_protected STACK
	call	make_idt
	mov	ax, TSS
	ltr	ax
	mov	eax, cr4		# DE: port breakpoints
	or	eax, 8
	mov	cr4, eax

# --- single steps
	arm	0
	set_tf
	nop
1:	hit	1, 0x4000, 1b

	arm	0			# MOV SS: none behind it, one behind the next
	mov	ax, DATA
	set_tf
	mov	ss, ax
	nop
1:	hit	1, 0x4000, 1b

	arm	0			# a step behind each iteration
	mov	dword ptr [steps], 3
	mov	ecx, 3
	mov	esi, offset bytes
	set_tf
	rep	lodsb
1:	hit	3, 0x4000, 1b

	arm	0			# POPF that ends it is still stepped
	mov	dword ptr [steps], 9
	pushfd
	set_tf
	popfd
1:	hit	1, 0x4000, 1b
	mov	dword ptr [steps], 1

# --- breakpoints on instructions: before them, once thanks to RF
	mov	eax, offset 1f
	mov	dr0, eax
	mov	eax, offset 2f
	mov	dr3, eax
	arm	0x402
	nop
1:	nop
	hit	1, 1, 1b
	arm	0x480			# global, the fourth
	mov	ecx, 3
2:	loop	2b
	hit	3, 8, 2b
	mov	eax, offset 1f
	mov	dr0, eax
	arm	0x400			# not enabled
1:	nop
	hit	0

	.ifndef LENIENT
	mov	eax, offset 1f
	mov	dr1, eax
	arm	0x408			# not behind MOV SS
	mov	ax, DATA
	mov	ss, ax
1:	nop
	hit	0
	.endif

# --- data: behind the access
	mov	eax, offset word_1
	mov	dr0, eax
	arm	0x000d0402		# 4 bytes, written
	mov	eax, [word_1]
	mov	[word_1], eax
1:	nop
	hit	1, 1, 1b
	arm	0x000f0402		# read or written
	mov	eax, [word_1]
1:	nop
	hit	1, 1, 1b
	arm	0x000f0402
	push	dword ptr [word_1 + 3]	# overlaps
1:	pop	eax
	hit	1, 1, 1b
	arm	0x000f0402
	mov	eax, [word_1 + 4]	# beside
	mov	[word_1 - 4], eax
	hit	0
	arm	0x00010402		# 1 byte
	mov	byte ptr [word_1 + 1], 1
	hit	0
	.ifndef LENIENT
	arm	0x00010402
	mov	edi, offset word_1 - 2
	mov	ecx, 2
	rep	stosw			# the second iteration writes it
1:	nop
	hit	1, 1, 1b
	.endif
	mov	eax, offset word_1 + 4
	mov	dr1, eax
	arm	0x00d10408		# L1/G1: 1 byte of dr0 is not enabled
	inc	dword ptr [word_1 + 4]
1:	nop
	hit	1, 2, 1b
	.ifndef LENIENT
	arm	0x000d0402		# with a step: one #DB tells both
	set_tf
	mov	[word_1], eax
1:	hit	1, 0x4001, 1b
	.endif

	.ifndef KVM
# --- ports
	mov	eax, 0x80
	mov	dr2, eax
	arm	0x02000420
	out	0x80, al
1:	nop
	hit	1, 4, 1b
	arm	0x02000420
	out	0x84, al
	hit	0
	.endif

	.ifndef LENIENT
# --- general detect: any access to a debug register, before it
	arm	0x2400
1:	mov	eax, dr3
	hit	1, 0x2000, 1b
	inc	dword ptr [step]	# and the handler finds GD clear
	mov	eax, [dr7_in_handler]
	test	eax, 0x2000
	jnz	failed
	.endif

# --- DR4 and DR5 do not exist with DE
	expect	6
	.byte	0x0f, 0x21, 0xe0	# mov eax, dr4
	checked

	.ifndef LENIENT
# --- ICEBP: #DB behind it, nothing in DR6
	arm	0
	.byte	0xf1
1:	nop
	hit	1, 0, 1b
	.ifndef KVM
# --- a breakpoint of MOV SS that waits for ICEBP is one with it
	mov	eax, word_1
	mov	dr0, eax
	mov	word ptr [word_1], DATA
	arm	0x000f0402
	mov	ss, [word_1]
	.byte	0xf1
1:	nop
	hit	1, 0, 1b
	.endif
	.endif

# --- alignment checks: at privilege 3, with CR0.AM and RFLAGS.AC
	.ifndef LENIENT
	mov	eax, cr0
	or	eax, 0x40000
	mov	cr0, eax
	pushfd
	or	dword ptr [esp], 0x40000
	popfd
	mov	eax, [word_1 + 1]	# not at privilege 0
	push	USER_DATA
	push	USER_STACK
	push	0x40002			# AC
	push	USER_CODE
	push	offset user
	iretd
user:	mov	ax, USER_DATA
	mov	ds, ax
	mov	es, ax
	mov	eax, [word_1]
	mov	al, [word_1 + 1]
	mov	ax, [word_1 + 2]
	expect	17, 0
	mov	eax, [word_1 + 2]
	checked
	expect	17, 0
	mov	ax, [word_1 + 1]
	checked
	expect	17, 0
	mov	[word_1 + 1], eax
	checked
	expect	17, 0
	inc	dword ptr [word_1 + 1]
	checked
	fld	qword ptr [word_1 + 8]	# word_1 lies at a multiple of 8
	expect	17, 0
	fld	qword ptr [word_1 + 4]
	checked
	expect	17, 0
	sub	esp, 2
	push	eax
	checked
	mov	esp, USER_STACK
	pushfd				# AC off: nothing
	and	dword ptr [esp], 0xfffbffff
	popfd
	mov	eax, [word_1 + 1]
	int	0x20
	.endif
	jmp	passed
passed:	quit	OK

failed:	mov	ax, DATA
	mov	ds, ax
	quit_failed

# --- vectors 0 to 21h: each pushes an error code (its own or 0) and its number
	.balign	16
handlers:
	vectors	VECTORS
common:	push	eax
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	cmp	dword ptr [esp + 4], 1
	je	debug
	cmp	dword ptr [esp + 4], 0x20
	je	passed
	mov	eax, [esp + 4]
	cmp	eax, [want]
	jne	failed
	mov	eax, [esp + 8]
	cmp	eax, [want_error]
	jne	failed
	mov	eax, [resume]
	mov	[esp + 12], eax
	mov	dword ptr [want], -1
	jmp	9f
debug:	inc	dword ptr [hits]
	mov	eax, dr7
	mov	[dr7_in_handler], eax
	mov	eax, [esp + 12]
	mov	[got_eip], eax
	mov	eax, dr6
	mov	[got_dr6], eax
	mov	eax, 0xffff0ff0
	mov	dr6, eax
	or	dword ptr [esp + 20], 0x10000	# RF
	mov	eax, [hits]
	cmp	eax, [steps]
	jb	9f
	and	dword ptr [esp + 20], 0xfffffeff	# TF
9:	cmp	word ptr [esp + 16], USER_CODE
	jne	1f
	mov	ax, USER_DATA
	mov	ds, ax
	mov	es, ax
1:	pop	eax
	add	esp, 8
	iretd

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

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff, 0x00cf92000000ffff
	.word	103, offset tss
	.long	0x00008900
	.quad	0x00cffa000000ffff, 0x00cff2000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
idt_pointer:
	.word	VECTORS * 8 - 1
	.long	idt
bytes:	.byte	1, 2, 3, 0
step:	.long	0
steps:	.long	1
hits:	.long	0
got_eip:
	.long	0
got_dr6:
	.long	0
dr7_in_handler:
	.long	0
want:	.long	-1
want_error:
	.long	0
resume:	.long	0
tss:	.long	0, STACK, DATA
	.space	0x66 - 12
	.word	0x68
idt:	.space	VECTORS * 8
	.org	SECTORS * 512
