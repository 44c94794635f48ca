/* Files for the loaders. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/loader.h"

#define CHUNK 65536u

/* Read all of FD, SIZE bytes, into FILE. */
static int
read_all(struct loader_file *file, int fd, size_t size, struct vmm_error *err)
{
	size_t at = 0;

	file->data = malloc(size);
	if (file->data == NULL)
		return (vmm_fail(err, ENOMEM, "%s: out of memory", file->path));
	while (at < size) {
		ssize_t n = read(fd, file->data + at, size - at);

		if (n <= 0) {
			free(file->data);
			file->data = NULL;
			return (vmm_fail(err, EIO, "%s: %s", file->path,
			    n == 0 ? "it became shorter" : strerror(errno)));
		}
		at += (size_t)n;
	}
	file->size = size;
	return (0);
}

int
loader_open(struct loader_file *file, const char *path, struct vmm_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int error;

	*file = (struct loader_file){.path = path};
	if (fd < 0)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		error = vmm_fail(err, EINVAL, "%s: not a file", path);
	else if (st.st_size == 0)
		error = vmm_fail(err, EINVAL, "%s: it is empty", path);
	else if ((uint64_t)st.st_size > LOADER_FILE_MAX)
		error = vmm_fail(err, EFBIG, "%s: it is too large", path);
	else
		error = read_all(file, fd, (size_t)st.st_size, err);
	close(fd);
	return (error);
}

void
loader_close(struct loader_file *file)
{
	free(file->data);
	file->data = NULL;
}

int
loader_copy(struct vmctx *ctx, const struct loader_file *file, uint64_t gpa, size_t offset,
    uint64_t size, uint64_t memory_size, struct vmm_error *err)
{
	static const uint8_t zeros[CHUNK];
	struct memory *mem = vmm_memory(ctx, err);

	if (mem == NULL)
		return (-1);
	if (offset > file->size || size > file->size - offset)
		return (vmm_fail(err, ENOEXEC, "%s: it is cut", file->path));
	if (size > memory_size)
		size = memory_size;
	if (gpa + memory_size < gpa || memory_size > VMM_MEMORY_MAX)
		return (vmm_fail(err, ENOEXEC, "%s: it makes no sense: %#llx bytes at %#llx",
		    file->path, (unsigned long long)memory_size, (unsigned long long)gpa));
	if (size > 0 && !memory_load(mem, gpa, file->data + offset, size))
		return (vmm_fail(err, ENOMEM,
		    "%s: it does not fit into guest memory (%#llx..%#llx)", file->path,
		    (unsigned long long)gpa, (unsigned long long)(gpa + memory_size)));
	for (uint64_t at = size; at < memory_size;) {
		size_t part = memory_size - at < CHUNK ? (size_t)(memory_size - at) : CHUNK;

		if (!memory_load(mem, gpa + at, zeros, part))
			return (vmm_fail(err, ENOMEM,
			    "%s: it does not fit into guest memory (%#llx..%#llx)", file->path,
			    (unsigned long long)gpa, (unsigned long long)(gpa + memory_size)));
		at += part;
	}
	return (0);
}
