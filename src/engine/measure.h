/* How fast an engine is on this host: what --engine auto chooses by. */
#ifndef ENGINE_MEASURE_H
#define ENGINE_MEASURE_H

#include "engine/engine.h"

/*
 * Run a loop with a port access now and then, as programs of the BIOS era do, in real mode on
 * engine OPS for a few milliseconds. Instructions per second; 0: it does not work here, and WHY of
 * SIZE bytes says what is wrong.
 */
uint64_t engine_measure(const struct engine_ops *ops, char *why, size_t size);

#endif
