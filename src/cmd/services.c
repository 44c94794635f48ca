/* hyve86 services: the BIOS services there are, as a table for people and for docs/. */
#include <stdio.h>
#include <string.h>

#include "bios/services.h"
#include "cmd/cmd.h"

#define VECTORS 256

static void
print_service(unsigned vector, const struct bios_service *service)
{
	char function[16];

	snprintf(function, sizeof(function), service->whole ? "AX=%04Xh" : "AH=%02Xh",
	    service->function);
	printf("| %02Xh | %s | %s | %s |\n", vector, function, service->name,
	    service->handler != NULL ? "built" : "not built yet");
}

static void
print_interrupt(unsigned vector, const struct bios_interrupt *interrupt)
{
	if (interrupt->services == NULL) {
		printf("| %02Xh | | %s | built |\n", vector, interrupt->name);
		return;
	}
	for (const struct bios_service *s = interrupt->services; s->name != NULL; s++)
		print_service(vector, s);
}

int
cmd_services(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		printf(
		    "usage: hyve86 services\nList the BIOS services, built and not built yet.\n");
		return (STATUS_OK);
	}
	if (argc > 1)
		return (cmd_usage("services", "hyve86 services"));
	printf("| interrupt | function | service | |\n| --- | --- | --- | --- |\n");
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		const struct bios_interrupt *interrupt = bios_interrupt_of(vector);

		if (interrupt != NULL)
			print_interrupt(vector, interrupt);
	}
	return (STATUS_OK);
}
