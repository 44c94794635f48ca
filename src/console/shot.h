/* Screens kept as files: .txt, .ppm, .png. */
#ifndef CONSOLE_SHOT_H
#define CONSOLE_SHOT_H

#include "console/screen.h"

enum shot_format { SHOT_TXT, SHOT_PPM, SHOT_PNG };

/* The format called NAME ("txt", ...), or -1. */
int shot_format(const char *name);
const char *shot_format_name(enum shot_format format);
/* The format that FILE's name ends in, or -1 and a line in ERR. */
int shot_format_of_file(const char *file, char *err, size_t errlen);
/*
 * Write SCREEN to FILE. Returns 0, or -1 and a line in ERR; half a file is removed. It waits for
 * nobody: a pipe without a reader is an error.
 */
int shot_write(const struct screen *screen, const char *file, enum shot_format format, char *err,
    size_t errlen);

#endif
