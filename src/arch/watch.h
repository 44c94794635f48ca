/* A debugger's breakpoints. */
#ifndef ARCH_WATCH_H
#define ARCH_WATCH_H

#include <stdint.h>

/* What a breakpoint stops at: bits. */
enum watch_kind { WATCH_EXEC = 1, WATCH_WRITE = 2, WATCH_READ = 4, WATCH_PORT = 8 };

/* BYTES bytes from ADDRESS (linear, or a port). */
struct cpu_watch {
	uint64_t address;
	uint32_t bytes;
	uint32_t kinds; /* enum watch_kind */
};
#define CPU_WATCH_MAX 64

#endif
