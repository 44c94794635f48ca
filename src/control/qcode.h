/* Keys by the names that QMP has for them ("QKeyCode"). */
#ifndef CONTROL_QCODE_H
#define CONTROL_QCODE_H

#include <stdbool.h>

#include "console/keys.h"

/* The key (as key_stroke() takes it) called NAME; 0: there is none. */
unsigned control_qcode(const char *name);
/* The key with QMP's number: a code of set 1, and 80h for those behind an E0; 0: there is none. */
unsigned control_key_number(long long number);
/* Append what KEY sends when it is pressed, or released. False: no room. */
bool control_key_codes(struct key_stroke *stroke, unsigned key, bool release);

#endif
