/* The ROM image as data of the program. */
	.section .rodata
	.balign	16
	.globl	bios_rom
bios_rom:
	.incbin	"pseudobios.bin"
	.section .note.GNU-stack, "", @progbits
