/*
 * Runs a corpus through a fuzz target, and packs or unpacks it. A corpus is one file of inputs, each
 * with its length before it (16 bits, little-endian).
 *
 * usage: replay CORPUS | replay --unpack CORPUS DIR | replay --pack CORPUS FILE...
 */
#include "fuzz.h"

#include <string.h>

#define INPUT_MAX 0xffffu

/* The next input of CORPUS, malloc'ed at its exact size so that a sanitizer sees reads beyond. */
static uint8_t *
next_input(FILE *corpus, size_t *size)
{
	uint8_t head[2], *data;

	if (fread(head, 1, 2, corpus) != 2)
		return (NULL);
	*size = (size_t)(head[0] | head[1] << 8);
	data = malloc(*size != 0 ? *size : 1);
	if (data == NULL || fread(data, 1, *size, corpus) != *size) {
		fprintf(stderr, "the corpus is cut\n");
		exit(1);
	}
	return (data);
}

static FILE *
open_or_die(const char *path, const char *how)
{
	FILE *f = fopen(path, how);

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	return (f);
}

static int
replay(const char *path)
{
	FILE *corpus = open_or_die(path, "rb");
	unsigned n = 0;
	uint8_t *data;
	size_t size;

	for (; (data = next_input(corpus, &size)) != NULL; n++) {
		(void)LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	fclose(corpus);
	printf("%u inputs\n", n);
	return (n == 0);
}

static int
unpack(const char *path, const char *dir)
{
	FILE *corpus = open_or_die(path, "rb"), *out;
	uint8_t *data;
	size_t size;
	char name[4096];

	for (unsigned n = 0; (data = next_input(corpus, &size)) != NULL; n++) {
		snprintf(name, sizeof(name), "%s/%05u", dir, n);
		out = open_or_die(name, "wb");
		fwrite(data, 1, size, out);
		fclose(out);
		free(data);
	}
	fclose(corpus);
	return (0);
}

static int
pack(const char *path, int count, char **files)
{
	FILE *corpus = open_or_die(path, "wb"), *in;
	static uint8_t data[INPUT_MAX];

	for (int i = 0; i < count; i++) {
		uint8_t head[2];
		size_t size;

		in = open_or_die(files[i], "rb");
		size = fread(data, 1, sizeof(data), in);
		fclose(in);
		head[0] = (uint8_t)size;
		head[1] = (uint8_t)(size >> 8);
		fwrite(head, 1, 2, corpus);
		fwrite(data, 1, size, corpus);
	}
	return (fclose(corpus) != 0);
}

int
main(int argc, char **argv)
{
	if (argc == 2)
		return (replay(argv[1]));
	if (argc == 4 && strcmp(argv[1], "--unpack") == 0)
		return (unpack(argv[2], argv[3]));
	if (argc > 3 && strcmp(argv[1], "--pack") == 0)
		return (pack(argv[2], argc - 3, argv + 3));
	fprintf(stderr,
	    "usage: replay CORPUS | replay --unpack CORPUS DIR | replay --pack CORPUS FILE...\n");
	return (2);
}
