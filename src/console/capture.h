/* A picture of what a machine's display adapter shows. */
#ifndef CONSOLE_CAPTURE_H
#define CONSOLE_CAPTURE_H

#include "console/screen.h"
#include "machine/machine.h"

void screen_capture_machine(struct screen *screen, const struct machine *m);

#endif
