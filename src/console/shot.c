/* Screens kept as files. */
#include "console/shot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/picture.h"

#define NO_PNG "this build has no libpng, hence no PNG; PPM and text it has"

static const char *const names[] = {[SHOT_TXT] = "txt", [SHOT_PPM] = "ppm", [SHOT_PNG] = "png"};

/* FILE: WHY, in ERR. Of a long name the end is left out, never of the reason. */
static void
tell(char *err, size_t errlen, const char *file, const char *why)
{
	size_t taken = strlen(why) + sizeof(": ");

	snprintf(err, errlen, "%.*s: %s", errlen > taken ? (int)(errlen - taken) : 0, file, why);
}

int
shot_format(const char *name)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return ((int)i);
	return (-1);
}

const char *
shot_format_name(enum shot_format format)
{
	return (names[format]);
}

int
shot_format_of_file(const char *file, char *err, size_t errlen)
{
	const char *suffix = strrchr(file, '.');
	int format = suffix != NULL && suffix != file ? shot_format(suffix + 1) : -1;

	if (format < 0)
		tell(err, errlen, file, "a screen's name ends in .txt, .png or .ppm");
	if (format != SHOT_PNG || picture_has_png())
		return (format);
	tell(err, errlen, file, NO_PNG);
	return (-1);
}

static int
encode_text(const struct screen *screen, struct picture_file *out)
{
	out->data = screen_to_text(screen, &out->length);
	return (out->data != NULL ? 0 : -1);
}

/* SCREEN as the bytes of a file; 0, or -1 with errno. */
static int
encode(const struct screen *screen, enum shot_format format, struct picture_file *out)
{
	struct picture picture;
	int rc;

	if (format == SHOT_TXT)
		return (encode_text(screen, out));
	if (picture_draw(&picture, screen) != 0)
		return (-1);
	rc = format == SHOT_PNG ? picture_png(&picture, out) : picture_ppm(&picture, out);
	picture_free(&picture);
	return (rc);
}

/* Remove what was begun; of a symbolic link what it leads to. */
static void
remove_half(const char *file)
{
	char *real = realpath(file, NULL);

	if (real != NULL)
		unlink(real);
	free(real);
}

static int
write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t done = write(fd, data, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return (-1);
		data += done;
		length -= (size_t)done;
	}
	return (0);
}

/* Write DATA to FILE; 0, or -1 with errno, and then no half of it stays. */
static int
write_file(const char *file, const struct picture_file *data)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	bool regular;
	int rc, error;
	struct stat st;

	if (fd < 0)
		return (-1);
	regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	rc = write_all(fd, data->data, data->length);
	error = errno;
	/* Some file systems tell only now that there was no room. */
	if (close(fd) != 0 && rc == 0) {
		error = errno;
		rc = -1;
	}
	if (rc != 0 && regular)
		remove_half(file);
	errno = error;
	return (rc);
}

int
shot_write(const struct screen *screen, const char *file, enum shot_format format, char *err,
    size_t errlen)
{
	struct picture_file data;
	int rc;

	if (!screen->text && format == SHOT_TXT) {
		tell(err, errlen, file, "the screen is in a graphics mode, it has no text");
		return (-1);
	}
	if (encode(screen, format, &data) != 0) {
		tell(err, errlen, file, errno == ENOTSUP ? NO_PNG : strerror(errno));
		return (-1);
	}
	rc = write_file(file, &data);
	if (rc != 0)
		tell(err, errlen, file, strerror(errno));
	free(data.data);
	return (rc);
}
