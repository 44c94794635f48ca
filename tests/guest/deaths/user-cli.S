# CLI at privilege 3.
# verdict: cli is not allowed here: privilege 3, IOPL 0
	.include "deaths.inc"
	begin
	protected
	to_user
	cli
	tables
