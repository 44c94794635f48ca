/* What every unit test includes: cmocka with its prerequisites, in the order it wants them. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Elements of an array. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
