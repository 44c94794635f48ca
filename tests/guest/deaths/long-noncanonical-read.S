# A read from an address that is not canonical.
# verdict: is not canonical (bits 63 to 47
	.include "deaths.inc"
	begin
	protected
	long_mode
	mov	rax, 0x800000000000
	mov	eax, [rax]
	tables
