# The local APIC from a program's side (SDM vol. 3A, chapter 10): CPUID and IA32_APIC_BASE, the
# timer in all its modes, interrupts to oneself with priorities and EOI, NMI, errors, the 8259's
# interrupts through LINT0, CR8 in 64-bit mode, x2APIC mode. The first step that goes wrong is
# printed by its number on the debug port E9h (and as NOT OK). QEMU's TCG (-cpu max) agrees with it
# assembled with --defsym LENIENT=1: it takes an NMI no sooner than at a branch, does not look
# for illegal vectors, and masks the 8259 for good when the APIC is off.
	.include "guest.inc"
	.equ SECTORS, 14

	.equ CODE, 0x08
	.equ DATA, 0x10
	.equ CODE_64, 0x18
	.equ APIC, 0xfee00000
	.equ ID, 0x20
	.equ VERSION, 0x30
	.equ TPR, 0x80
	.equ PPR, 0xa0
	.equ EOI, 0xb0
	.equ SVR, 0xf0
	.equ ISR, 0x100
	.equ IRR, 0x200
	.equ ESR, 0x280
	.equ ICR, 0x300
	.equ ICR_HIGH, 0x310
	.equ LVT_TIMER, 0x320
	.equ LVT_LINT0, 0x350
	.equ LVT_ERROR, 0x370
	.equ INITIAL, 0x380
	.equ CURRENT, 0x390
	.equ DIVIDE, 0x3e0
	.equ BASE_MSR, 0x1b
	.equ DEADLINE_MSR, 0x6e0
	.equ IDT, 0x9000
	.equ PAGE_TABLES, 0x10000

	begin_large

	.set	number, 0
# check CC: the next step; go on if the condition CC holds.
	.macro check cc
	.set	number, number + 1
	mov	dword ptr [step], number
	j\cc	7f
	jmp	failed
7:
	.endm
# take VECTOR: let interrupts in; exactly this one came.
	.macro take vector
	mov	dword ptr [last], 0
	mov	dword ptr [count], 0
	sti
	nop
	nop
	cli
	cmp	dword ptr [last], \vector
	check	e
	cmp	dword ptr [count], 1
	check	e
	.endm
	.macro none
	mov	dword ptr [count], 0
	sti
	nop
	nop
	cli
	cmp	dword ptr [count], 0
	check	e
	.endm
	.macro put register, value
	mov	dword ptr [APIC + \register], \value
	.endm

go:	cli
	mov	al, 0xff		# the 8259s are silent
	out	0x21, al
	out	0xa1, al
	to_protected 0x7c00
	mov	edi, IDT		# all gates lead to handlers of 8 bytes each
	mov	eax, offset handlers
	mov	ecx, 256
1:	mov	[edi], ax
	mov	word ptr [edi + 2], CODE
	mov	word ptr [edi + 4], 0x8e00
	mov	word ptr [edi + 6], 0
	add	eax, 8
	add	edi, 8
	loop	1b
	lidt	[idt_pointer]

	# What there is.
	mov	eax, 1
	cpuid
	mov	[features], ecx
	test	edx, 1 << 9
	check	nz
	mov	ecx, BASE_MSR
	rdmsr
	and	eax, 0xfffffd00
	cmp	eax, APIC + 0x900	# enabled, of the boot processor
	check	e
	cmp	dword ptr [APIC + ID], 0
	check	e
	mov	eax, [APIC + VERSION]
	and	eax, 0xff
	cmp	eax, 0x14
	check	e
	put	SVR, 0x1ff
	put	LVT_LINT0, 0x10000
	put	TPR, 0
	cmp	dword ptr [APIC + PPR], 0
	check	e

	# Interrupts to oneself.
	put	ICR, 0x40041
	take	0x41
	put	ICR_HIGH, 0
	put	ICR, 0x00042
	take	0x42
	cmp	dword ptr [APIC + ISR + 0x20], 0
	check	e
	put	ICR, 0x40043		# two wait: the higher comes first, then the other
	put	ICR, 0x40053
	cmp	dword ptr [APIC + IRR + 0x20], 1 << 3 | 1 << 19
	check	e
	mov	dword ptr [count], 0
	sti
	nop
	nop
	nop
	nop
	cli
	cmp	dword ptr [count], 2
	check	e
	cmp	dword ptr [last], 0x43
	check	e
	put	TPR, 0x50		# below the task's priority
	put	ICR, 0x4005f
	none
	cmp	dword ptr [APIC + PPR], 0x50
	check	e
	put	TPR, 0x4f
	take	0x5f
	put	TPR, 0
	mov	byte ptr [no_eoi], 1	# in service: nothing of its class or below
	put	ICR, 0x40062
	take	0x62
	put	ICR, 0x40066
	none
	cmp	dword ptr [APIC + ISR + 0x30], 1 << 2
	check	e
	mov	byte ptr [no_eoi], 0
	put	ICR, 0x40070
	take	0x70
	put	EOI, 0
	take	0x66
	put	ICR, 0x04400		# NMI, which CLI does not hold back
	.ifdef LENIENT
	jmp	1f
1:
	.endif
	cmp	dword ptr [last], 2
	check	e

	# The timer: one-shot, periodic.
	put	DIVIDE, 0xb
	put	LVT_TIMER, 0x44
	put	INITIAL, 0x80000000
	mov	eax, [APIC + CURRENT]
	mov	ebx, [APIC + CURRENT]
	cmp	eax, 0x80000000
	check	be
	mov	ecx, 1000
1:	loop	1b
	cmp	[APIC + CURRENT], eax
	check	b
	put	INITIAL, 20000
	call	wait
	cmp	dword ptr [last], 0x44
	check	e
	cmp	dword ptr [APIC + CURRENT], 0
	check	e
	put	LVT_TIMER, 0x20045
	put	INITIAL, 20000
	mov	edi, 5
2:	call	wait
	cmp	dword ptr [last], 0x45
	check	e
	dec	edi
	jnz	2b
	put	INITIAL, 0
	put	LVT_TIMER, 0x10000
	sti				# one may have been on its way
	nop
	nop
	cli

	# And by the time stamp counter.
	test	dword ptr [features], 1 << 24
	jz	3f
	put	LVT_TIMER, 0x40046
	rdtsc
	add	eax, 100000
	adc	edx, 0
	mov	ecx, DEADLINE_MSR
	wrmsr
	call	wait
	cmp	dword ptr [last], 0x46
	check	e
	rdmsr
	or	eax, edx
	check	z
	rdtsc				# this instant: comes before the next instruction
	wrmsr
	take	0x46
	put	LVT_TIMER, 0x10000
3:
	.ifndef LENIENT
	put	LVT_ERROR, 0x47
	put	ICR, 0x40005
	take	0x47
	put	ESR, 0
	cmp	dword ptr [APIC + ESR], 0x20
	check	e
	.endif

	# The 8259's timer through LINT0: masked, as ExtINT, and with the APIC switched off.
	mov	al, 0xfe
	out	0x21, al
	put	LVT_LINT0, 0x700
	call	wait
	cmp	dword ptr [last], 8
	check	e
	put	LVT_LINT0, 0x10000
	mov	al, 0x20		# the 8259's own end of interrupt
	out	0x20, al
	mov	ecx, BASE_MSR
	rdmsr
	and	eax, 0xfffff7ff
	wrmsr
	mov	byte ptr [no_eoi], 1
	.ifndef LENIENT
	call	wait
	cmp	dword ptr [last], 8
	check	e
	.endif
	mov	al, 0xff
	out	0x21, al
	mov	al, 0x20
	out	0x20, al
	mov	eax, 1
	cpuid
	test	edx, 1 << 9
	check	z
	mov	ecx, BASE_MSR
	rdmsr
	or	eax, 0x800
	wrmsr
	mov	byte ptr [no_eoi], 0
	put	SVR, 0x1ff

	# 64-bit mode: CR8 is the task priority.
	mov	edi, PAGE_TABLES
	mov	ecx, 6 * 1024
	xor	eax, eax
	rep	stosd
	mov	dword ptr [PAGE_TABLES], PAGE_TABLES + 0x1003
	mov	ecx, 4
	mov	edi, PAGE_TABLES + 0x1000
	mov	eax, PAGE_TABLES + 0x2003
1:	mov	[edi], eax
	add	edi, 8
	add	eax, 0x1000
	loop	1b
	mov	ecx, 2048
	mov	edi, PAGE_TABLES + 0x2000
	mov	eax, 0x83
1:	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	loop	1b
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
back32:	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	cmp	byte ptr [result], 1
	check	e

	# x2APIC mode: registers are MSRs, and the page is gone.
	test	dword ptr [features], 1 << 21
	jz	4f
	mov	ecx, BASE_MSR
	rdmsr
	or	eax, 0xc00
	wrmsr
	mov	ecx, 0x802
	rdmsr
	or	eax, edx
	check	z
	mov	ecx, 0x83f		# self IPI
	xor	edx, edx
	mov	eax, 0x48
	wrmsr
	mov	ecx, 0x822
	rdmsr
	cmp	eax, 1 << 8
	check	e
	mov	byte ptr [no_eoi], 1
	take	0x48
	mov	ecx, 0x80b
	xor	eax, eax
	wrmsr
	mov	ecx, 0x812
	rdmsr
	cmp	eax, 0
	check	e
	cmp	dword ptr [APIC + VERSION], -1
	check	e
4:	mov	al, OK
	out	DEBUG_EXIT, al

failed:	mov	eax, [step]
	xor	ebx, ebx
1:	xor	edx, edx
	mov	ecx, 10
	div	ecx
	add	dl, '0'
	push	edx
	inc	ebx
	test	eax, eax
	jnz	1b
2:	pop	eax
	out	0xe9, al
	dec	ebx
	jnz	2b
	mov	al, NOT_OK
	out	DEBUG_EXIT, al

# Wait for one interrupt.
wait:	mov	dword ptr [count], 0
1:	sti
	hlt
	cli
	cmp	dword ptr [count], 0
	je	1b
	ret

	.balign	8
handlers:
	.set	i, 0
	.rept	256
	.byte	0x6a, i			# push
	jmp	handler
	.balign	8
	.set	i, i + 1
	.endr
handler:
	push	eax
	movzx	eax, byte ptr [esp + 4]
	mov	[last], eax
	inc	dword ptr [count]
	cmp	eax, 0x20
	jb	1f			# not from the APIC
	cmp	byte ptr [no_eoi], 0
	jne	1f
	put	EOI, 0
1:	pop	eax
	add	esp, 4
	iretd

	.code64
start64:
	mov	edi, APIC
	mov	eax, 3
	mov	cr8, rax
	cmp	dword ptr [rdi + TPR], 0x30
	sete	bl
	mov	dword ptr [rdi + TPR], 0x7f
	mov	rax, cr8
	cmp	eax, 7
	sete	bh
	and	bl, bh
	xor	eax, eax
	mov	cr8, rax
	mov	esi, offset resume
	mov	[rsi + 6], bl
	jmp	fword ptr [rsi]
	.code32

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00209b0000000000
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
idt_pointer:
	.word	0x7ff
	.long	IDT
step:	.long	0
last:	.long	0
count:	.long	0
features:
	.long	0
resume:	.long	back32
	.word	CODE
result:	.byte	0
no_eoi:	.byte	0
	.org	SECTORS * 512
