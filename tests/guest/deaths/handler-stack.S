# An interrupt while the stack has no room for its frame.
# verdict: the stack at SS:
	.include "deaths.inc"
	begin
	protected
	one_gate 0x20, CODE32, 0x8e
	mov	ax, SMALL
	mov	ss, ax
	mov	esp, 0x2000
	int	0x20
	tables
