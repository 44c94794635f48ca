/*
 * From cells to dots (IBM VGA Technical Reference, "Alphanumeric modes", "Attribute controller"),
 * and to files of dots.
 */
#include "console/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hyve86_config.h"

#ifdef HAVE_LIBPNG
#include <png.h>
#endif

#define RGB 3u

/* --- dots ------------------------------------------------------------------------------------------- */

/* The dots of a cell's scan line: bit 8 is the leftmost. */
static unsigned
cell_line(
    const struct screen *screen, const struct screen_cell *cell, unsigned line, bool under_cursor)
{
	const struct screen_face *face = &screen->face;
	unsigned dots = (unsigned)face->glyphs[cell->attr >> 3 & 1][cell->ch][line] << 1;

	if (under_cursor && line >= screen->cursor_first && line <= screen->cursor_last)
		return (0x1ff);
	if (line == face->underline && (cell->attr & 0x77) == 0x01)
		return (0x1ff);
	if (face->line_graphics && cell->ch >= 0xc0 && cell->ch <= 0xdf)
		dots |= dots >> 1 & 1;
	return (dots);
}

static uint8_t *
put_dot(uint8_t *at, uint32_t colour, unsigned times)
{
	for (; times > 0; times--) {
		*at++ = (uint8_t)(colour >> 16);
		*at++ = (uint8_t)(colour >> 8);
		*at++ = (uint8_t)colour;
	}
	return (at);
}

/* One scan line of a row of cells. */
static void
draw_line(const struct screen *screen, unsigned row, unsigned line, uint8_t *at)
{
	const struct screen_face *face = &screen->face;

	for (unsigned column = 0; column < screen->columns; column++) {
		const struct screen_cell *cell = &screen->cells[row][column];
		bool under_cursor = screen->cursor_on && row == screen->cursor_row &&
		    column == screen->cursor_column;
		unsigned dots = cell_line(screen, cell, line, under_cursor);
		uint32_t colours[2] = {screen->colours[cell->attr >> 4 & (screen->blink ? 7 : 15)],
		    screen->colours[cell->attr & 15]};

		for (unsigned i = 0; i < face->dots; i++)
			at = put_dot(at, colours[dots >> (8 - i) & 1], face->wide ? 2 : 1);
	}
}

/* A graphics mode: its dots as they are. */
static int
draw_graphics(struct picture *picture, const struct screen_graphics *graphics)
{
	uint32_t *line = malloc(graphics->width * sizeof(*line));
	uint8_t *at;

	*picture = (struct picture){.width = graphics->width, .height = graphics->height};
	picture->rgb = at = malloc((size_t)picture->width * picture->height * RGB);
	for (unsigned y = 0; line != NULL && at != NULL && y < picture->height; y++) {
		graphics->line(graphics->opaque, y, line);
		for (unsigned x = 0; x < picture->width; x++)
			at = put_dot(at, line[x], 1);
	}
	if (line == NULL)
		picture_free(picture);
	free(line);
	return (picture->rgb != NULL ? 0 : -1);
}

static int
draw_text(struct picture *picture, const struct screen *screen)
{
	const struct screen_face *face = &screen->face;
	unsigned times = face->tall ? 2 : 1;
	size_t pitch;
	uint8_t *at;

	picture->width = screen->columns * face->dots * (face->wide ? 2 : 1);
	picture->height = screen->rows * screen->cell_height * times;
	pitch = (size_t)picture->width * RGB;
	picture->rgb = at = malloc(pitch * picture->height);
	if (at == NULL)
		return (-1);
	for (unsigned y = 0; y < screen->rows * screen->cell_height; y++) {
		draw_line(screen, y / screen->cell_height, y % screen->cell_height, at);
		at += pitch;
		if (times == 2) {
			memcpy(at, at - pitch, pitch);
			at += pitch;
		}
	}
	return (0);
}

int
picture_draw(struct picture *picture, const struct screen *screen)
{
	if (screen->text)
		return (draw_text(picture, screen));
	return (draw_graphics(picture, &screen->graphics));
}

void
picture_free(struct picture *picture)
{
	free(picture->rgb);
	picture->rgb = NULL;
}

/* --- files ------------------------------------------------------------------------------------------ */

int
picture_ppm(const struct picture *picture, struct picture_file *file)
{
	size_t size = (size_t)picture->width * picture->height * RGB;
	char head[64];
	size_t length = (size_t)snprintf(
	    head, sizeof(head), "P6\n%u %u\n255\n", picture->width, picture->height);

	file->data = malloc(length + size);
	if (file->data == NULL)
		return (-1);
	memcpy(file->data, head, length);
	memcpy(file->data + length, picture->rgb, size);
	file->length = length + size;
	return (0);
}

#ifdef HAVE_LIBPNG
bool
picture_has_png(void)
{
	return (true);
}

int
picture_png(const struct picture *picture, struct picture_file *file)
{
	png_image image = {
	    .version = PNG_IMAGE_VERSION,
	    .width = picture->width,
	    .height = picture->height,
	    .format = PNG_FORMAT_RGB,
	    .flags = PNG_IMAGE_FLAG_FAST, /* a running guest waits for it */
	};
	png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);

	file->data = malloc(size);
	if (file->data == NULL)
		return (-1);
	if (!png_image_write_to_memory(&image, file->data, &size, 0, picture->rgb, 0, NULL)) {
		free(file->data);
		errno = ENOMEM; /* nothing else can fail */
		return (-1);
	}
	file->length = size;
	return (0);
}
#else
bool
picture_has_png(void)
{
	return (false);
}

int
picture_png(const struct picture *picture, struct picture_file *file)
{
	(void)picture;
	(void)file;
	errno = ENOTSUP;
	return (-1);
}
#endif
