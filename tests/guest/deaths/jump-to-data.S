# A far jump to a data segment.
# verdict: writable data, DPL 0, present; what uses it (jmp
	.include "deaths.inc"
	begin
	protected
	ljmp	DATA32, 0
	tables
