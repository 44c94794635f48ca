# A far jump to a code segment whose P bit is 0.
# verdict: not present (P is 0)
	.include "deaths.inc"
	begin
	protected
	ljmp	ABSENT, 0
	tables
