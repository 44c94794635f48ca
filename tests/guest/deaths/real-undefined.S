# An undefined instruction, and no vector for it.
# verdict: ud2 is undefined here
	.include "deaths.inc"
	begin
	no_idt
	ud2
	tables
