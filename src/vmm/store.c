/* The directory of VMs and the locks on them. */
#include "vmm/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ROOT_MAX 512
#define LOCK_TRIES 40
#define LOCK_PAUSE_US 10000
#define REMOVE_TRIES 100

static bool
on_tmpfs(const char *path)
{
	struct statfs fs;

	return (statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC));
}

/* Make PATH, and see that it is a directory of this user's that nobody else can enter. */
static int
make_private_dir(const char *path, struct vmm_error *err)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	if (lstat(path, &st) != 0)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return (vmm_fail(err, EPERM, "%s: not a directory of this user's", path));
	if ((st.st_mode & 077) != 0 && chmod(path, 0700) != 0)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	return (0);
}

/* The directory that the user named: made if missing, else taken as it is. */
static int
use_named_dir(const char *path, struct vmm_error *err)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return (vmm_fail(err, errno, "HYVE86_DIR=%s: %s", path, strerror(errno)));
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return (vmm_fail(err, ENOTDIR, "HYVE86_DIR=%s: not a directory", path));
	return (0);
}

int
store_root(char *path, size_t size, struct vmm_error *err)
{
	const char *dir = getenv("HYVE86_DIR");
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (dir != NULL && dir[0] != '\0') {
		if ((size_t)snprintf(path, size, "%s", dir) >= size)
			return (vmm_fail(err, ENAMETOOLONG, "HYVE86_DIR is too long"));
		return (use_named_dir(path, err));
	}
	if (geteuid() == 0 && on_tmpfs("/run")) {
		snprintf(path, size, "/run/hyve86");
		return (make_private_dir(path, err));
	}
	if (runtime != NULL && runtime[0] == '/' && on_tmpfs(runtime) &&
	    (size_t)snprintf(path, size, "%s/hyve86", runtime) < size)
		return (make_private_dir(path, err));
	if (on_tmpfs("/dev/shm")) {
		snprintf(path, size, "/dev/shm/hyve86-%u", (unsigned)geteuid());
		return (make_private_dir(path, err));
	}
	return (vmm_fail(err, ENOENT,
	    "no place for VMs: neither /run, $XDG_RUNTIME_DIR nor /dev/shm "
	    "is on tmpfs (set HYVE86_DIR)"));
}

int
store_check_name(const char *name, struct vmm_error *err)
{
	size_t len = strlen(name);

	if (len == 0)
		return (vmm_fail(err, EINVAL, "the name of a VM may not be empty"));
	if (len >= STORE_NAME_MAX)
		return (vmm_fail(err, ENAMETOOLONG, "%.40s: a VM's name has at most %d characters",
		    name, STORE_NAME_MAX - 1));
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x80 && (isalnum(c) || c == '_' || (i > 0 && (c == '.' || c == '-'))))
			continue;
		return (vmm_fail(err, EINVAL,
		    "%s: a VM's name has letters, digits, and after the first . _ -", name));
	}
	return (0);
}

static int
open_root(struct vmm_error *err)
{
	char path[ROOT_MAX];
	int fd;

	if (store_root(path, sizeof(path), err) != 0)
		return (-1);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		vmm_fail(err, errno, "%s: %s", path, strerror(errno));
	return (fd);
}

static int
write_file(int dirfd, const char *name, const void *data, size_t size)
{
	const char *at = data;
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int saved;

	if (fd < 0)
		return (-1);
	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0) {
			saved = errno;
			close(fd);
			errno = saved;
			return (-1);
		}
		at += n;
		size -= (size_t)n;
	}
	return (close(fd));
}

/* Remove the directory NAME of ROOT and the files in it. */
static int
remove_dir(int root, const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL)
		return (-1);
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(fd, entry->d_name, 0);
	closedir(dir);
	return (unlinkat(root, name, AT_REMOVEDIR));
}

int
store_create(const char *name, const void *state, size_t size, struct vmm_error *err)
{
	char temporary[64];
	int root, dir = -1, error = 0;

	if (store_check_name(name, err) != 0)
		return (-1);
	root = open_root(err);
	if (root < 0)
		return (-1);
	/* Built aside and renamed, so that nobody meets half a VM. */
	snprintf(temporary, sizeof(temporary), ".new-%ld-%s", (long)getpid(), name);
	if (mkdirat(root, temporary, 0700) != 0 ||
	    (dir = openat(root, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    write_file(dir, STORE_LOCK, "", 0) != 0 ||
	    write_file(dir, STORE_STATE, state, size) != 0 ||
	    write_file(dir, STORE_MEMORY, "", 0) != 0 ||
	    renameat(root, temporary, root, name) != 0) {
		error = errno == ENOTEMPTY ? EEXIST : errno;
		remove_dir(root, temporary);
	}
	if (dir >= 0)
		close(dir);
	close(root);
	if (error == EEXIST)
		return (vmm_fail(err, error, "%s: there is a VM of that name", name));
	if (error != 0)
		return (vmm_fail(err, error, "%s: cannot make the VM: %s", name, strerror(error)));
	return (0);
}

int
store_open(const char *name, struct store_vm *vm, struct vmm_error *err)
{
	int root;

	*vm = (struct store_vm){.dirfd = -1, .lockfd = -1};
	if (store_check_name(name, err) != 0)
		return (-1);
	root = open_root(err);
	if (root < 0)
		return (-1);
	vm->dirfd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(root);
	if (vm->dirfd < 0)
		return (vmm_fail(
		    err, errno, errno == ENOENT ? "%s: no such VM" : "%s: not a VM", name));
	vm->lockfd = openat(vm->dirfd, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (vm->lockfd < 0) {
		vmm_fail(err, errno, "%s: cannot open its lock: %s", name, strerror(errno));
		close(vm->dirfd);
		return (-1);
	}
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	return (0);
}

void
store_close(struct store_vm *vm)
{
	if (vm->lockfd >= 0)
		close(vm->lockfd);
	if (vm->dirfd >= 0)
		close(vm->dirfd);
	vm->lockfd = vm->dirfd = -1;
}

/* The process id in the lock file, 0 when it is empty. */
static pid_t
noted_runner(struct store_vm *vm)
{
	char text[16] = "";
	ssize_t n = pread(vm->lockfd, text, sizeof(text) - 1, 0);

	return (n > 0 ? (pid_t)strtol(text, NULL, 10) : 0);
}

/* Whether the process that is noted as runner exists (a killed one leaves its note). */
static bool
runner_alive(struct store_vm *vm)
{
	pid_t runner = noted_runner(vm);

	return (runner > 0 && (kill(runner, 0) == 0 || errno == EPERM));
}

static int
busy(struct store_vm *vm, struct vmm_error *err)
{
	pid_t runner = noted_runner(vm);

	if (runner_alive(vm))
		return (vmm_fail(
		    err, EBUSY, "%s: it is running (process %ld)", vm->name, (long)runner));
	return (vmm_fail(err, EBUSY, "%s: another command works on it", vm->name));
}

int
store_lock(struct store_vm *vm, enum store_lock lock, struct vmm_error *err)
{
	static const int operation[] = {LOCK_UN, LOCK_SH, LOCK_EX};
	struct stat st;

	for (int i = 0; flock(vm->lockfd, operation[lock] | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK)
			return (vmm_fail(err, errno, "%s: %s", vm->name, strerror(errno)));
		/* A command holds it for a moment, a runner for long. */
		if (i == LOCK_TRIES || runner_alive(vm))
			return (busy(vm, err));
		usleep(LOCK_PAUSE_US);
	}
	if (lock != STORE_UNLOCKED && (fstat(vm->lockfd, &st) != 0 || st.st_nlink == 0)) {
		flock(vm->lockfd, LOCK_UN);
		return (vmm_fail(err, ENOENT, "%s: no such VM", vm->name));
	}
	return (0);
}

void
store_set_runner(struct store_vm *vm, bool running)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(vm->lockfd, 0) == 0 && running && pwrite(vm->lockfd, text, (size_t)n, 0) != n)
		return; /* only the message about who runs it is lost */
}

pid_t
store_runner(struct store_vm *vm)
{
	struct store_vm probe = {.lockfd = openat(vm->dirfd, STORE_LOCK, O_RDWR | O_CLOEXEC)};
	pid_t runner = 0;

	if (probe.lockfd < 0)
		return (0);
	if (flock(probe.lockfd, LOCK_SH | LOCK_NB) != 0)
		runner = noted_runner(&probe);
	close(probe.lockfd);
	return (runner);
}

int
store_remove(struct store_vm *vm, struct vmm_error *err)
{
	char aside[64];
	int root = open_root(err);
	int error = 0;

	if (root < 0)
		return (-1);
	/* The name is free at once; who looks at the VM just now may still make its lock anew. */
	snprintf(aside, sizeof(aside), ".old-%ld-%s", (long)getpid(), vm->name);
	if (renameat(root, vm->name, root, aside) != 0)
		error = errno;
	for (int i = 0; error == 0 && remove_dir(root, aside) != 0; i++)
		if (errno != ENOTEMPTY || i == REMOVE_TRIES)
			error = errno;
	close(root);
	if (error != 0)
		return (
		    vmm_fail(err, error, "%s: cannot destroy it: %s", vm->name, strerror(error)));
	return (0);
}

int
store_each(void (*each)(void *opaque, const char *name), void *opaque, struct vmm_error *err)
{
	struct dirent **entries;
	char path[ROOT_MAX];
	int n, vms = 0;

	if (store_root(path, sizeof(path), err) != 0)
		return (-1);
	n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return (vmm_fail(err, errno, "%s: %s", path, strerror(errno)));
	for (int i = 0; i < n; i++) {
		struct stat st;
		char file[ROOT_MAX + 300];

		snprintf(file, sizeof(file), "%s/%s/" STORE_STATE, path, entries[i]->d_name);
		if (store_check_name(entries[i]->d_name, NULL) == 0 && stat(file, &st) == 0) {
			each(opaque, entries[i]->d_name);
			vms++;
		}
		free(entries[i]);
	}
	free(entries);
	return (vms);
}

uint64_t
store_free(const struct store_vm *vm)
{
	struct statvfs fs;

	if (fstatvfs(vm->dirfd, &fs) != 0)
		return (UINT64_MAX);
	return ((uint64_t)fs.f_bavail * fs.f_frsize);
}
