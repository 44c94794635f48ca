/* Screens kept as files: formats by name, what is written, and what stays when that fails. */
#include "unit.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/picture.h"
#include "console/shot.h"

static struct screen screen;
static char folder[64], path[96], err[256];

static int
setup(void **state)
{
	(void)state;
	memset(&screen, 0, sizeof(screen));
	screen.text = true;
	screen.columns = 80;
	screen.rows = 25;
	screen.cell_height = 16;
	screen.face.dots = 9;
	for (unsigned i = 0; i < 5; i++)
		screen.cells[0][i].ch = (uint8_t) "boot:"[i];
	screen.cells[1][0].ch = 0xb0;
	strcpy(folder, "/tmp/test_shot.XXXXXX");
	return (mkdtemp(folder) != NULL ? 0 : -1);
}

static int
teardown(void **state)
{
	(void)state;
	return (rmdir(folder)); /* nothing was left in it */
}

static const char *
in_folder(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return (path);
}

static int
write_to(const char *name, enum shot_format format)
{
	return (shot_write(&screen, in_folder(name), format, err, sizeof(err)));
}

static void
names(void **state)
{
	(void)state;
	assert_int_equal(shot_format_of_file("a.txt", err, sizeof(err)), SHOT_TXT);
	assert_int_equal(shot_format_of_file("a.b.ppm", err, sizeof(err)), SHOT_PPM);
	if (picture_has_png())
		assert_int_equal(shot_format_of_file("a.png", err, sizeof(err)), SHOT_PNG);
	assert_int_equal(shot_format_of_file("a.jpg", err, sizeof(err)), -1);
	assert_string_equal(err, "a.jpg: a screen's name ends in .txt, .png or .ppm");
	assert_int_equal(shot_format_of_file(".txt", err, sizeof(err)), -1);
	assert_int_equal(shot_format_of_file("txt", err, sizeof(err)), -1);
	assert_int_equal(shot_format("ppm"), SHOT_PPM);
	assert_int_equal(shot_format("gif"), -1);
	assert_string_equal(shot_format_name(SHOT_PNG), "png");
}

static void
text_file(void **state)
{
	char got[64] = "";
	FILE *file;

	(void)state;
	assert_int_equal(write_to("screen.txt", SHOT_TXT), 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(got, 1, sizeof(got) - 1, file), 10);
	fclose(file);
	assert_string_equal(got, "boot:\n\xe2\x96\x91\n");
	unlink(path);
}

static void
picture_files(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(write_to("screen.ppm", SHOT_PPM), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 15 + 720 * 400 * 3);
	unlink(path);
	if (!picture_has_png()) {
		assert_int_equal(write_to("screen.png", SHOT_PNG), -1);
		assert_non_null(strstr(err, "libpng"));
		return;
	}
	assert_int_equal(write_to("screen.png", SHOT_PNG), 0);
	unlink(path);
}

static void
no_folder(void **state)
{
	(void)state;
	assert_int_equal(write_to("nothing/screen.txt", SHOT_TXT), -1);
	assert_non_null(strstr(err, "nothing/screen.txt: No such file or directory"));
}

static void
line(const void *opaque, unsigned y, uint32_t *rgb)
{
	assert_ptr_equal(opaque, &screen);
	rgb[0] = y << 16 | 0x000001;
	rgb[1] = y << 16 | 0x000100;
	rgb[2] = y << 16 | 0x000200;
}

static void
graphics_mode(void **state)
{
	char got[64];
	FILE *file;

	(void)state;
	screen.text = false;
	assert_int_equal(write_to("screen", SHOT_TXT), -1);
	assert_non_null(strstr(err, "graphics mode"));
	screen.graphics = (struct screen_graphics){3, 2, line, &screen};
	assert_int_equal(write_to("screen", SHOT_PPM), 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(got, 1, sizeof(got), file), 11 + 18);
	fclose(file);
	assert_memory_equal(got, "P6\n3 2\n255\n\0\0\1\0\1\0\0\2\0", 20);
	assert_memory_equal(got + 20, "\1\0\1\1\1\0\1\2\0", 9);
	unlink(path);
}

static void
full_device(void **state)
{
	(void)state;
	assert_int_equal(symlink("/dev/full", in_folder("full.ppm")), 0);
	assert_int_equal(write_to("full.ppm", SHOT_PPM), -1);
	assert_non_null(strstr(err, "full.ppm: No space left on device"));
	assert_int_equal(unlink(path), 0); /* a device's name is not removed */
}

/* A disk that gets full in the middle of the file NAME. */
static void
fill_disk(const char *name)
{
	struct rlimit before, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 1000, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(write_to(name, SHOT_PPM), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

/* No half file stays. */
static void
full_disk(void **state)
{
	(void)state;
	fill_disk("half.ppm");
	assert_non_null(strstr(err, "half.ppm: File too large"));
	assert_int_equal(access(path, F_OK), -1);
}

/* Nor one that a link leads to; the link does. */
static void
full_disk_by_a_link(void **state)
{
	(void)state;
	assert_int_equal(symlink("half.ppm", in_folder("link.ppm")), 0);
	fill_disk("link.ppm");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(access(in_folder("half.ppm"), F_OK), -1);
}

/* The reason is told however long the name is. */
static void
a_long_name(void **state)
{
	char name[400];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(shot_write(&screen, name, SHOT_TXT, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "xxx: File name too long"));
	assert_int_equal(shot_format_of_file(name, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "xxx: a screen's name ends in .txt, .png or .ppm"));
}

/* A pipe that nobody reads holds nobody up. */
static void
a_pipe(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in_folder("pipe.txt"), 0600), 0);
	assert_int_equal(write_to("pipe.txt", SHOT_TXT), -1);
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(names),
	    CASE(text_file),
	    CASE(picture_files),
	    CASE(no_folder),
	    CASE(graphics_mode),
	    CASE(full_device),
	    CASE(full_disk),
	    CASE(full_disk_by_a_link),
	    CASE(a_long_name),
	    CASE(a_pipe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
