# SS loaded with a null selector.
# verdict: selector 0000h is null
	.include "deaths.inc"
	begin
	protected
	xor	eax, eax
	mov	ss, ax
	tables
