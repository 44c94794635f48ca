/* Reading and writing state files. */
#include "vmm/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

static const char magic[8] = {'H', 'Y', 'V', 'E', '8', '6', 'V', 'M'};

struct header {
	char magic[8];
	uint32_t version;
	uint32_t flags;
	uint32_t count;
	uint32_t crc;
	uint64_t length;
};

struct entry {
	char id[SECTION_ID_MAX];
	uint32_t version;
	uint32_t length;
	uint32_t crc;
	uint32_t zero;
};

_Static_assert(sizeof(struct header) == STATEFILE_HEADER_SIZE, "layout of the file");
_Static_assert(sizeof(struct entry) == 32, "layout of the file");

/* The CRC of a header, its own field taken as 0, and TABLE. */
static uint32_t
header_crc(const struct header *header, const void *table)
{
	struct header copy = *header;
	uint32_t crc;

	copy.crc = 0;
	crc = crc32_update(0, &copy, sizeof(copy));
	return (crc32_update(crc, table, copy.count * sizeof(struct entry)));
}

/* Copy the header out of BYTES and check it against SIZE. */
static int
parse_header(struct header *header, const uint8_t *bytes, size_t size, struct vmm_error *err)
{
	if (size < sizeof(*header))
		return (vmm_fail(err, EBADMSG, "the file is cut: %zu bytes are no header", size));
	memcpy(header, bytes, sizeof(*header));
	if (memcmp(header->magic, magic, sizeof(magic)) != 0)
		return (vmm_fail(err, EBADMSG, "the file is damaged: it does not begin as one"));
	if (header->version != STATEFILE_VERSION)
		return (vmm_fail(err, EBADMSG, "it is of version %u, this program reads version %u",
		    header->version, STATEFILE_VERSION));
	if (header->count > STATEFILE_SECTIONS_MAX ||
	    sizeof(*header) + header->count * sizeof(struct entry) > size)
		return (vmm_fail(err, EBADMSG, "the file is cut within its table of sections"));
	if (header_crc(header, bytes + sizeof(*header)) != header->crc)
		return (vmm_fail(err, EBADMSG, "the file is damaged: wrong CRC of its header"));
	if (size < header->length)
		return (vmm_fail(err, EBADMSG, "the file is cut: %zu of %llu bytes", size,
		    (unsigned long long)header->length));
	if (size > header->length)
		return (vmm_fail(err, EBADMSG, "the file is damaged: %llu bytes too long",
		    (unsigned long long)(size - header->length)));
	return (0);
}

static int
parse_sections(struct statefile *state, const struct header *header, const uint8_t *bytes,
    size_t size, struct vmm_error *err)
{
	size_t at = sizeof(*header) + header->count * sizeof(struct entry);

	for (unsigned i = 0; i < header->count; i++) {
		struct statefile_entry *out = &state->entries[i];
		struct entry entry;

		memcpy(&entry, bytes + sizeof(*header) + i * sizeof(entry), sizeof(entry));
		memcpy(out->id, entry.id, sizeof(entry.id));
		out->id[SECTION_ID_MAX] = '\0';
		if (entry.length > size - at)
			return (vmm_fail(
			    err, EBADMSG, "the file is damaged: section %s is too long", out->id));
		if (crc32_update(0, bytes + at, entry.length) != entry.crc)
			return (vmm_fail(
			    err, EBADMSG, "the file is damaged: wrong CRC of section %s", out->id));
		out->version = entry.version;
		out->size = entry.length;
		out->data = bytes + at;
		at += entry.length;
		state->count = i + 1;
	}
	if (at != size)
		return (vmm_fail(err, EBADMSG, "the file is damaged: bytes behind its sections"));
	return (0);
}

int
statefile_parse(struct statefile *state, uint8_t *bytes, size_t size, struct vmm_error *err)
{
	struct header header;

	state->bytes = bytes;
	state->count = 0;
	if (parse_header(&header, bytes, size, err) != 0 ||
	    parse_sections(state, &header, bytes, size, err) != 0) {
		statefile_free(state);
		return (-1);
	}
	state->flags = header.flags;
	return (0);
}

/* The whole file, malloc'ed. */
static uint8_t *
read_whole(int fd, size_t *size, struct vmm_error *err)
{
	struct stat st;
	uint8_t *bytes;
	ssize_t n;

	if (fstat(fd, &st) != 0 || st.st_size > FILE_MAX) {
		vmm_fail(err, EBADMSG, "the file is damaged: far too long");
		return (NULL);
	}
	bytes = malloc((size_t)st.st_size + 1);
	n = bytes == NULL ? -1 : read(fd, bytes, (size_t)st.st_size);
	if (n < 0) {
		vmm_fail(err, errno, "%s", strerror(errno));
		free(bytes);
		return (NULL);
	}
	*size = (size_t)n;
	return (bytes);
}

int
statefile_read(struct statefile *state, int dirfd, const char *name, struct vmm_error *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;
	size_t size;

	state->bytes = NULL;
	if (fd < 0)
		return (vmm_fail(err, errno == ENOENT ? EBADMSG : errno, "%s", strerror(errno)));
	bytes = read_whole(fd, &size, err);
	close(fd);
	if (bytes == NULL)
		return (-1);
	return (statefile_parse(state, bytes, size, err));
}

int
statefile_peek(uint8_t header[STATEFILE_HEADER_SIZE], int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return (-1);
	n = read(fd, header, STATEFILE_HEADER_SIZE);
	close(fd);
	return (n == STATEFILE_HEADER_SIZE ? 0 : -1);
}

void
statefile_free(struct statefile *state)
{
	free(state->bytes);
	state->bytes = NULL;
	state->count = 0;
}

const struct statefile_entry *
statefile_find(const struct statefile *state, const char *id)
{
	for (unsigned i = 0; i < state->count; i++)
		if (strncmp(state->entries[i].id, id, SECTION_ID_MAX) == 0)
			return (&state->entries[i]);
	return (NULL);
}

int
statefile_restore(
    const struct statefile *state, const struct section *section, struct vmm_error *err)
{
	const struct statefile_entry *entry = statefile_find(state, section->id);

	if (entry == NULL)
		return (0);
	if (entry->version != section->version)
		return (vmm_fail(err, EBADMSG,
		    "its section %s is of version %u, this program reads version %u", entry->id,
		    entry->version, section->version));
	if (entry->size != section->size)
		return (vmm_fail(err, EBADMSG, "its section %s has %u bytes, this program reads %u",
		    entry->id, entry->size, section->size));
	memcpy(section->data, entry->data, entry->size);
	if (section->restored != NULL && section->restored(section->owner) != 0)
		return (vmm_fail(err, EBADMSG, "its section %s makes no sense", entry->id));
	return (1);
}

uint8_t *
statefile_build(const struct section *sections, unsigned count, uint32_t flags, size_t *size)
{
	struct header header = {.version = STATEFILE_VERSION, .flags = flags, .count = count};
	size_t at = sizeof(header) + count * sizeof(struct entry);
	uint8_t *bytes, *table;

	header.length = at;
	for (unsigned i = 0; i < count; i++)
		header.length += sections[i].size;
	bytes = malloc(header.length);
	if (bytes == NULL)
		return (NULL);
	table = bytes + sizeof(header);
	for (unsigned i = 0; i < count; i++) {
		struct entry entry = {.version = sections[i].version, .length = sections[i].size};

		memcpy(entry.id, sections[i].id, sizeof(entry.id));
		entry.crc = crc32_update(0, sections[i].data, sections[i].size);
		memcpy(table + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(bytes + at, sections[i].data, sections[i].size);
		at += sections[i].size;
	}
	memcpy(header.magic, magic, sizeof(magic));
	header.crc = header_crc(&header, table);
	memcpy(bytes, &header, sizeof(header));
	*size = header.length;
	return (bytes);
}

int
statefile_write(int dirfd, const char *name, const void *bytes, size_t size)
{
	char temporary[64];
	int fd, saved;
	ssize_t n;

	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return (-1);
	n = write(fd, bytes, size);
	if (n == (ssize_t)size && close(fd) == 0 && renameat(dirfd, temporary, dirfd, name) == 0)
		return (0);
	saved = n >= 0 && n != (ssize_t)size ? ENOSPC : errno;
	if (n != (ssize_t)size)
		close(fd);
	unlinkat(dirfd, temporary, 0);
	errno = saved;
	return (-1);
}
