# A stack in memory that is not mapped, and an exception.
# verdict: writes linear 3fffffch
	.include "deaths.inc"
	begin
	protected
	one_gate 14, CODE32, 0x8e
	identity
	paging_on
	mov	esp, 0x4000000
	push	eax
	tables
