/* Code page 437, the PC's character set, with the glyphs that its control characters show. */
#ifndef CONSOLE_CP437_H
#define CONSOLE_CP437_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_MAX 4

/* The Unicode character that CH looks like on the screen; 0, 20h and FFh are blanks. */
uint32_t cp437_glyph(uint8_t ch);
/* Write CODE as UTF-8 into OUT, which has room for UTF8_MAX bytes; returns how many it took. */
size_t utf8_put(uint32_t code, char *out);
/* The character at *TEXT, which moves past it; a byte that is no UTF-8 gives 0xDC00 + byte, which
 * is no character. 0 at the end. */
uint32_t utf8_get(const char **text);

#endif
