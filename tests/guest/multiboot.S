# A multiboot kernel in its simplest form (Multiboot Specification 0.6.96, 3.2): checks what it is
# started with, and prints its module on the debug port E9h. Not a boot sector, though it has the
# size of one.
	.intel_syntax noprefix
	.code32
	.equ DEBUG_EXIT, 0xf4
	.text
	.globl _start
_start:	jmp	go
	.balign	4
header:	.long	0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	.long	header, _start, 0, 0, _start
go:	mov	esp, 0x7c00
	cmp	eax, 0x2badb002
	jne	bad
	mov	eax, cr0
	and	eax, 0x80000001		# protected, not paged
	cmp	eax, 1
	jne	bad
	pushfd
	pop	eax
	test	eax, 0x200
	jnz	bad
	mov	eax, [ebx]
	and	eax, 0x4d		# memory, command line, modules, map
	cmp	eax, 0x4d
	jne	bad
	cmp	dword ptr [ebx + 4], 639
	jne	bad
	cmp	dword ptr [ebx + 20], 1
	jne	bad
	mov	ebp, [ebx + 24]
	mov	esi, [ebp]
1:	cmp	esi, [ebp + 4]
	je	2f
	lodsb
	out	0xe9, al
	jmp	1b
2:	mov	esi, [ebx + 16]		# the words behind the kernel's name
3:	lodsb
	test	al, al
	jz	4f
	out	0xe9, al
	jmp	3b
4:	mov	al, 0x10
	out	DEBUG_EXIT, al
bad:	mov	al, 0x11
	out	DEBUG_EXIT, al
	.org	512
