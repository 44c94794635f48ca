/*
 * The pseudo BIOS ROM: 64 KB at F0000. Every service is a slot of 8 bytes:
 *
 *	wait:	STI; HLT; NOP; NOP	where a waiting call goes to let interrupts in
 *	trap:	OUT TRAP_PORT, AL	the host serves the call here (src/bios/dispatch.c)
 *		NOP; IRET
 *
 * What needs guest code between two traps (INT 1Ch in the tick, INT 15h/4Fh in the keyboard
 * interrupt) is written out below. The classic entry points stand where programs expect them.
 * Slot numbers: 0-255 are the interrupt vectors, those from 256 on are in layout.h.
 */
#include "bios/layout.h"

	.code16
	.text
	.org	0
rom:

	.org	ROM_SLOTS
	.rept	ROM_SLOT_COUNT
	sti
	hlt
	nop
	nop
	out	%al, $TRAP_PORT
	nop
	iret
	.endr

/* Call a slot as INT would, so that its IRET comes back here. */
	.macro	trap slot
	pushfw
	pushw	%cs
	call	rom + ROM_SLOTS + \slot * 8 + 4
	.endm

/* Go on in the slot of a vector. */
	.macro	serve vector
	jmp	rom + ROM_SLOTS + \vector * 8 + 4
	.endm

	.org	ROM_CODE
/* Nothing left to boot: wait for ever, with interrupts on. */
	.globl	rom_idle
	.org	ROM_IDLE
1:	sti
	hlt
	jmp	1b

/* IRQ 0-7 and 8-15 that nobody handles: the host sends the EOI. */
	.org	ROM_IRQ_LOW
	trap	SLOT_IRQ_LOW
	iret
	.org	ROM_IRQ_HIGH
	trap	SLOT_IRQ_HIGH
	iret
/* IRQ 8, the RTC: periodic and alarm interrupts; INT 4Ah when the alarm went off (CF = 0). */
	.org	ROM_IRQ_RTC
	pushw	%ax
	trap	SLOT_RTC
	jc	1f
	int	$0x4a
1:	popw	%ax
	iret
/* IRQ 9 is the old IRQ 2 (IBM AT BIOS). */
	.org	ROM_IRQ_REDIRECT
	trap	SLOT_IRQ9
	int	$0x0a
	iret
/* IRQ 13: the x87's error, sent on as NMI (IBM AT BIOS). */
	.org	ROM_IRQ_FPU
	pushw	%ax
	xorb	%al, %al
	outb	%al, $0xf0
	movb	$0x20, %al
	outb	%al, $0xa0
	outb	%al, $0x20
	popw	%ax
	int	$0x02
	iret

/* The glyphs (src/bios/font). */
	.org	ROM_FONT_8X16
	.incbin	"8x16.bin"
	.org	ROM_FONT_8X14
	.incbin	"8x14.bin"
	.org	ROM_FONT_8X8
	.incbin	"8x8.bin"
	.org	ROM_FONT_9X16
	.incbin	"9x16.bin"
	.org	ROM_FONT_9X14
	.incbin	"9x14.bin"

/* POST: the host sets up vectors, BIOS data and chips; then the boot. */
	.org	ROM_POST_ENTRY
	cli
	cld
	fninit
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$ROM_STACK, %sp
	trap	SLOT_POST
	sti
	int	$0x19
	jmp	rom + ROM_IDLE

	.org	0xe2c3		/* NMI */
	serve	0x02
	.org	0xe3fe		/* hard disk */
	serve	0x13
	.org	0xe6f2		/* boot */
	serve	0x19

	.org	ROM_CONFIG_TABLE	/* INT 15h/C0h */
	.word	8
	.byte	ROM_MODEL, 0, 0	/* model FCh, submodel, revision */
	.byte	0x74		/* second 8259, RTC, INT 15h/4Fh, EBDA */
	.byte	0x40, 0, 0, 0	/* INT 16h/09h */

	.org	0xe729		/* baud rate divisors for 110 .. 9600 */
	.word	1047, 768, 384, 192, 96, 48, 24, 12
	.org	0xe739
	serve	0x14
	.org	0xe82e
	serve	0x16

	.org	0xe987		/* IRQ 1, keyboard */
	pushw	%ax
	inb	$0x60, %al
	movb	$0x4f, %ah
	stc
	int	$0x15		/* may change or swallow the code */
	jnc	1f
	trap	SLOT_KEY	/* AL: the code; ZF = 0 when a function follows, in AH */
	jz	1f
	cmpb	$KEY_PRINT, %ah
	je	2f
	cmpb	$KEY_BREAK, %ah
	je	3f
	cmpb	$KEY_SYSREQ, %ah
	je	4f
1:	movb	$0x20, %al
	outb	%al, $0x20
	popw	%ax
	iret
2:	movb	$0x20, %al
	outb	%al, $0x20
	int	$0x05
	popw	%ax
	iret
3:	int	$0x1b
	jmp	1b
4:	movb	$0x20, %al
	outb	%al, $0x20
	movw	$0x8500, %ax
	int	$0x15
	popw	%ax
	iret

	.org	0xec59
	serve	0x40
	.org	0xef57		/* IRQ 6, floppy */
	trap	SLOT_FLOPPY_IRQ
	iret
	.org	0xefc7		/* diskette parameter table (1.44 MB) */
	.byte	0xdf, 0x02, 0x25, 0x02, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08
	.org	0xefd2
	serve	0x17
	.org	0xf065
	serve	0x10
	.org	0xf0a4		/* video parameters of modes 0-3 (CRTC values), lengths, columns */
	.byte	0x38, 0x28, 0x2d, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0
	.byte	0x71, 0x50, 0x5a, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0
	.byte	0x38, 0x28, 0x2d, 0x0a, 0x7f, 6, 0x64, 0x70, 2, 1, 6, 7, 0, 0, 0, 0
	.byte	0x61, 0x50, 0x52, 0x0f, 0x19, 6, 0x19, 0x19, 2, 13, 11, 12, 0, 0, 0, 0
	.org	0xf841
	serve	0x12
	.org	0xf84d
	serve	0x11
	.org	0xf859
	serve	0x15
	.org	ROM_FONT_OLD
	.incbin	"8x8.bin", 0, 1024
	.org	0xfe6e
	serve	0x1a

	.org	0xfea5		/* IRQ 0, timer */
	pushw	%ds
	pushw	%ax
	pushw	%dx
	trap	SLOT_TICK
	int	$0x1c
	cli
	movb	$0x20, %al
	outb	%al, $0x20
	popw	%dx
	popw	%ax
	popw	%ds
	iret

	.org	ROM_IRET	/* vectors nobody uses */
	iret
	.org	0xff54		/* print screen */
	serve	0x05

	.org	0xfff0
	ljmp	$0xf000, $ROM_POST_ENTRY
	.org	0xfff5
	.ascii	"11/22/26"
	.org	0xfffe
	.byte	ROM_MODEL, 0
