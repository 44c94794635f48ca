# A jump to an address that is not canonical.
# verdict: which is not canonical
	.include "deaths.inc"
	begin
	protected
	long_mode
	mov	rax, 0x800000000000
	jmp	rax
	tables
