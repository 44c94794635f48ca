/* What GDB's command "monitor" can ask of a guest that stands. */
#ifndef INSPECT_GDB_MONITOR_H
#define INSPECT_GDB_MONITOR_H

#include <stdio.h>

#include "inspect/subject.h"

/* Do the command NAME for S, and print what comes of it to OUT; also that there is no such one. */
void gdb_monitor(FILE *out, const struct subject *s, const char *name);

#endif
