/* What the dispatcher needs of the trace store beyond internal.h. */
#ifndef CPU_TRACE_H
#define CPU_TRACE_H

#include <stddef.h>

/* Bytes of the arena that holds the traces; mapped without being touched. */
size_t trace_arena_size(void);

#endif
