# A read through a null selector.
# verdict: FS cannot be used: a null selector was loaded
	.include "deaths.inc"
	begin
	protected
	xor	eax, eax
	mov	fs, ax
	mov	eax, fs:[0]
	tables
