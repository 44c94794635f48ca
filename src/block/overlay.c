/* Sectors kept in memory over an image: open addressing, linear probing, at most half full. */
#include "block/overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"

#define CHUNK_SECTORS 8u
#define FIRST_SLOTS 64u

struct chunk {
	uint64_t number; /* lba / CHUNK_SECTORS */
	uint8_t valid;	 /* bit per sector */
	uint8_t data[CHUNK_SECTORS][BLOCK_SECTOR];
};

struct overlay {
	struct chunk **slots;
	size_t nslots; /* a power of two */
	size_t used;
};

struct overlay *
overlay_new(void)
{
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (overlay == NULL)
		return (NULL);
	overlay->nslots = FIRST_SLOTS;
	overlay->slots = calloc(FIRST_SLOTS, sizeof(struct chunk *));
	if (overlay->slots == NULL) {
		free(overlay);
		return (NULL);
	}
	return (overlay);
}

void
overlay_free(struct overlay *overlay)
{
	if (overlay == NULL)
		return;
	for (size_t i = 0; i < overlay->nslots; i++)
		free(overlay->slots[i]);
	free(overlay->slots);
	free(overlay);
}

/* The slot that holds chunk NUMBER, or the free one where it belongs. */
static size_t
find_slot(struct chunk *const *slots, size_t nslots, uint64_t number)
{
	/* Fibonacci hashing: neighbours spread, the top bits are the good ones. */
	size_t i = (size_t)(number * 0x9e3779b97f4a7c15ull >> 32) & (nslots - 1);

	while (slots[i] != NULL && slots[i]->number != number)
		i = (i + 1) & (nslots - 1);
	return (i);
}

static int
grow(struct overlay *overlay)
{
	size_t nslots = overlay->nslots * 2;
	struct chunk **slots = calloc(nslots, sizeof(struct chunk *));

	if (slots == NULL)
		return (ENOMEM);
	for (size_t i = 0; i < overlay->nslots; i++)
		if (overlay->slots[i] != NULL)
			slots[find_slot(slots, nslots, overlay->slots[i]->number)] =
			    overlay->slots[i];
	free(overlay->slots);
	overlay->slots = slots;
	overlay->nslots = nslots;
	return (0);
}

const uint8_t *
overlay_get(const struct overlay *overlay, uint64_t lba)
{
	const struct chunk *chunk =
	    overlay->slots[find_slot(overlay->slots, overlay->nslots, lba / CHUNK_SECTORS)];

	if (chunk == NULL || (chunk->valid >> lba % CHUNK_SECTORS & 1) == 0)
		return (NULL);
	return (chunk->data[lba % CHUNK_SECTORS]);
}

int
overlay_put(struct overlay *overlay, uint64_t lba, const void *data)
{
	struct chunk **slot;

	if (overlay->used * 2 >= overlay->nslots && grow(overlay) != 0)
		return (ENOMEM);
	slot = &overlay->slots[find_slot(overlay->slots, overlay->nslots, lba / CHUNK_SECTORS)];
	if (*slot == NULL) {
		*slot = malloc(sizeof(struct chunk));
		if (*slot == NULL)
			return (ENOMEM);
		(*slot)->number = lba / CHUNK_SECTORS;
		(*slot)->valid = 0;
		overlay->used++;
	}
	memcpy((*slot)->data[lba % CHUNK_SECTORS], data, BLOCK_SECTOR);
	(*slot)->valid = (uint8_t)((*slot)->valid | 1u << lba % CHUNK_SECTORS);
	return (0);
}
