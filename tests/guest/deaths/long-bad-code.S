# A code segment with both L and D.
# verdict: 64-bit code, DPL 0, present
	.include "deaths.inc"
	begin
	protected
	long_mode
	ljmp	[pointer]
pointer:
	.long	0x7c00
	.word	CODE_LD
	tables
