/* See vm.h. */
#include "vm.h"

#include <ftw.h>
#include <unistd.h>

#include "fuzz.h"

static char folder[] = "/tmp/hyve86-fuzz-XXXXXX";

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return (remove(path));
}

static void
remove_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void
fuzz_folder(void)
{
	FUZZ_CHECK(mkdtemp(folder) != NULL && setenv("HYVE86_DIR", folder, 1) == 0);
	atexit(remove_folder);
}
