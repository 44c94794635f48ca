/*
 * The program's entry point.  No command exists yet: it says so.
 */
#include <stdio.h>

int
main(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "usage: %s boot [options] IMAGE\n", argv[0]);
	return (4);
}
