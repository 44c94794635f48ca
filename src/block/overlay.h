/*
 * Sectors kept in memory over an image: what the guest wrote under BLOCK_EPHEMERAL. A hash table
 * of chunks of eight sectors, each with a mask of those that were written; it never holds more
 * than the image's size, since only sectors of the image can be written.
 */
#ifndef BLOCK_OVERLAY_H
#define BLOCK_OVERLAY_H

#include <stdint.h>

struct overlay;

/* NULL: out of memory. */
struct overlay *overlay_new(void);
void overlay_free(struct overlay *overlay);
/* The sector's bytes, NULL when it was never written. */
const uint8_t *overlay_get(const struct overlay *overlay, uint64_t lba);
/* Keep a copy of DATA (512 bytes) as sector LBA: 0 or ENOMEM. */
int overlay_put(struct overlay *overlay, uint64_t lba, const void *data);

#endif
