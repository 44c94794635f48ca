/* The screen as dots, and these as a file: portable pixmap (PPM) or PNG. */
#ifndef CONSOLE_PICTURE_H
#define CONSOLE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/screen.h"

struct picture {
	unsigned width, height; /* in dots */
	uint8_t *rgb;		/* three bytes a dot, from the top left one on */
};

/* Bytes of a file, to be freed. */
struct picture_file {
	char *data;
	size_t length;
};

/*
 * Draw SCREEN as a VGA does: cells of 8 or 9 columns, the cursor, colours, and what blinks is there;
 * or the dots of a graphics mode. 0, or -1 with errno (ENOMEM). To be given up by picture_free().
 */
int picture_draw(struct picture *picture, const struct screen *screen);
void picture_free(struct picture *picture);

/* PICTURE as a file of the kind P6 (netpbm's ppm(5)). 0, or -1 with errno. */
int picture_ppm(const struct picture *picture, struct picture_file *file);
/* Whether this build has libpng. */
bool picture_has_png(void);
/* As PNG, by libpng. 0, or -1 with errno: ENOTSUP in a build without libpng. */
int picture_png(const struct picture *picture, struct picture_file *file);

#endif
