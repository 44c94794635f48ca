# Writes one byte into each page of the second megabyte's first 64 KB (A20 is on), no more; then
# stays there, so that the process can be looked at.
	.include "guest.inc"
	begin
	mov	ax, 0xffff
	mov	es, ax
	mov	di, 0x10
	mov	cx, 15
1:	mov	byte ptr es:[di], 1
	add	di, 4096
	loop	1b
	say	text
2:	hlt
	jmp	2b
text:	.asciz	"TOUCHED"
	end
