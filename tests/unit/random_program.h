/* Random programs for tests: each is known by its number, so that one that fails can be run alone. */
#ifndef TESTS_UNIT_RANDOM_PROGRAM_H
#define TESTS_UNIT_RANDOM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* A small generator of random numbers (xorshift64*): the same on each host. */
static inline uint64_t
random64(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (*seed * 0x2545f4914f6cdd1d);
}

/* The generator's start for program NUMBER. */
static inline uint64_t
random_seed(uint64_t number)
{
	return ((number + 1) * 0x9e3779b97f4a7c15);
}

/* A hash to compare what two runs leave by; SIZE is a multiple of 8. */
#define HASH_START 0xcbf29ce484222325u
static inline uint64_t
hash(uint64_t value, const void *data, size_t size)
{
	const uint64_t *words = data;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		value = ((value ^ words[i]) * 0x100000001b3) ^ (value >> 29);
	return (value);
}

/*
 * Half of the programs are bytes at random, most of which soon fault; in the other half opcodes
 * that lead somewhere are more frequent, INT and OUT among them.
 */
static inline void
random_program(uint64_t *seed, uint8_t *code, size_t size)
{
	static const uint8_t frequent[] = {0x0f, 0x66, 0x67, 0x26, 0x2e, 0xf0, 0xf2, 0xf3, 0x8e,
	    0x8c, 0x9a, 0xea, 0xcd, 0xcf, 0xca, 0xcb, 0xc8, 0xc9, 0x60, 0x61, 0x9c, 0x9d, 0xa4,
	    0xab, 0xff, 0xf7, 0xc4, 0xc5, 0xe6, 0xe8, 0xeb, 0x74, 0xe2, 0x50, 0x58, 0x89, 0x8b,
	    0xfb, 0x17, 0xb4, 0xb0, 0xb8, 0xba, 0xb9, 0xee, 0xec, 0xcd, 0x10, 0x13, 0x15, 0x16};
	bool favour = random64(seed) & 1;

	for (size_t i = 0; i < size; i++) {
		uint64_t r = random64(seed);

		code[i] = favour && r % 3 == 0 ? frequent[(r >> 16) % sizeof(frequent)]
					       : (uint8_t)(r >> 32);
	}
}

/* A number from the environment. */
static inline uint64_t
number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text == NULL ? otherwise : strtoull(text, NULL, 10));
}

#endif
