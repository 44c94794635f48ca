/* Reading MOO files; see file.h. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "file.h"

/* What is left of a chunk's data. */
struct reader {
	const uint8_t *at, *end;
};

/* Registers by their bit in the mask of a REGS or RG32 chunk. */
static const uint8_t order_16[] = {REG_AX, REG_BX, REG_CX, REG_DX, REG_CS, REG_SS, REG_DS, REG_ES,
    REG_SP, REG_BP, REG_SI, REG_DI, REG_IP, REG_FLAGS};
static const uint8_t order_32[] = {REG_CR0, REG_CR3, REG_AX, REG_BX, REG_CX, REG_DX, REG_SI, REG_DI,
    REG_BP, REG_SP, REG_CS, REG_DS, REG_ES, REG_FS, REG_GS, REG_SS, REG_IP, REG_FLAGS, REG_DR6,
    REG_DR7};

static const uint8_t *
take(struct reader *r, size_t count)
{
	const uint8_t *start = r->at;

	if ((size_t)(r->end - r->at) < count)
		errx(4, "the file ends in the middle of a test");
	r->at += count;
	return (start);
}

static uint32_t
take_number(struct reader *r, unsigned bytes)
{
	const uint8_t *p = take(r, bytes);
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)p[i] << (8 * i);
	return (value);
}

/* The next chunk's id and data; false at the end. */
static bool
take_chunk(struct reader *r, char id[5], struct reader *data)
{
	uint32_t length;

	if (r->at == r->end)
		return (false);
	memcpy(id, take(r, 4), 4);
	id[4] = '\0';
	length = take_number(r, 4);
	data->at = take(r, length);
	data->end = data->at + length;
	return (true);
}

/* Registers of BYTES each, those of the mask's bits in ORDER, which has COUNT. */
static void
read_regs(
    struct reader *r, struct moo_state *s, unsigned bytes, const uint8_t *order, unsigned count)
{
	uint32_t mask = take_number(r, bytes);

	for (unsigned i = 0; i < bytes * 8; i++) {
		uint32_t value;

		if ((mask >> i & 1) == 0)
			continue;
		value = take_number(r, bytes);
		if (i >= count)
			continue;
		s->has[order[i]] = true;
		s->reg[order[i]] = value;
	}
}

static void
read_ram(struct reader *r, struct moo_state *s)
{
	s->nram = take_number(r, 4);
	if (s->nram > RAM_MAX)
		errx(4, "a test with %u bytes of memory", s->nram);
	for (unsigned i = 0; i < s->nram; i++) {
		s->ram[i].address = take_number(r, 4);
		s->ram[i].value = (uint8_t)take_number(r, 1);
	}
}

static void
read_state(struct reader *r, struct moo_state *s)
{
	struct reader data;
	char id[5];

	memset(s->has, 0, sizeof(s->has));
	s->nram = 0;
	while (take_chunk(r, id, &data)) {
		if (strcmp(id, "REGS") == 0)
			read_regs(&data, s, 2, order_16, sizeof(order_16));
		else if (strcmp(id, "RG32") == 0)
			read_regs(&data, s, 4, order_32, sizeof(order_32));
		else if (strcmp(id, "RAM ") == 0)
			read_ram(&data, s);
	}
}

/* A u32 length and so many bytes, of which at most ROOM are taken; returns how many. */
static unsigned
read_bytes(struct reader *r, void *to, unsigned room)
{
	uint32_t length = take_number(r, 4);
	const uint8_t *bytes = take(r, length);

	if (length > room)
		length = room;
	memcpy(to, bytes, length);
	return (length);
}

static void
read_test(struct reader *r, struct moo_test *t)
{
	struct reader data;
	char id[5];

	take(r, 4); /* its index, which the 8086's files leave 0 */
	t->exception = false;
	t->name[0] = '\0';
	t->nbytes = 0;
	memset(t->hash, 0, sizeof(t->hash));
	while (take_chunk(r, id, &data)) {
		if (strcmp(id, "NAME") == 0)
			t->name[read_bytes(&data, t->name, sizeof(t->name) - 1)] = '\0';
		else if (strcmp(id, "BYTS") == 0)
			t->nbytes = read_bytes(&data, t->bytes, sizeof(t->bytes));
		else if (strcmp(id, "INIT") == 0)
			read_state(&data, &t->before);
		else if (strcmp(id, "FINA") == 0)
			read_state(&data, &t->after);
		else if (strcmp(id, "HASH") == 0)
			memcpy(t->hash, take(&data, sizeof(t->hash)), sizeof(t->hash));
		else if (strcmp(id, "EXCP") == 0) {
			t->exception = true;
			t->vector = (uint8_t)take_number(&data, 1);
		}
	}
}

void
moo_open(struct moo_file *f, const char *path)
{
	gzFile file = gzopen(path, "rb");
	size_t room = 1 << 20, size = 0;
	int count;

	if (file == NULL)
		err(4, "%s", path);
	f->data = malloc(room);
	while (f->data != NULL &&
	    (count = gzread(file, f->data + size, (unsigned)(room - size))) > 0) {
		size += (size_t)count;
		if (size == room)
			f->data = realloc(f->data, room *= 2);
	}
	if (f->data == NULL || count < 0)
		errx(4, "%s: cannot be read", path);
	gzclose(file);
	memset(f->cpu, 0, sizeof(f->cpu));
	f->count = 0;
	f->at = f->data;
	f->end = f->data + size;
}

bool
moo_next(struct moo_file *f, struct moo_test *t)
{
	struct reader r = {f->at, f->end}, data;
	char id[5];
	bool found = false;

	while (!found && take_chunk(&r, id, &data)) {
		if (strcmp(id, "MOO ") == 0) {
			take(&data, 8);
			memcpy(f->cpu, take(&data, 4), 4);
		} else if (strcmp(id, "TEST") == 0) {
			read_test(&data, t);
			t->index = f->count++;
			found = true;
		}
	}
	f->at = r.at;
	return (found);
}

void
moo_close(struct moo_file *f)
{
	free(f->data);
	f->data = NULL;
}
