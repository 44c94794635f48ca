/*
 * Where VMs live: one directory per VM, by name, with the files
 *
 *	memory	guest memory, file offset = guest-physical address
 *	state	all else (vmm/statefile.h)
 *	lock	flock: shared by readers, exclusive for changes and for the whole of a run; while
 *		a VM runs it holds the runner's process id
 *
 * The directory of VMs is $HYVE86_DIR, else the first of /run/hyve86 (root only),
 * $XDG_RUNTIME_DIR/hyve86 and /dev/shm/hyve86-UID that lies on tmpfs, mode 0700.
 */
#ifndef VMM_STORE_H
#define VMM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/error.h"

#define STORE_NAME_MAX 32 /* with the NUL */
#define STORE_MEMORY "memory"
#define STORE_STATE "state"
#define STORE_LOCK "lock"

/* One VM's directory, opened. */
struct store_vm {
	char name[STORE_NAME_MAX];
	int dirfd;
	int lockfd;
};

enum store_lock { STORE_UNLOCKED, STORE_SHARED, STORE_EXCLUSIVE };

/* The directory of VMs, made if it does not exist. 0, or -1 with ERR. */
int store_root(char *path, size_t size, struct vmm_error *err);
/* Whether NAME may name a VM. 0, or -1 with ERR. */
int store_check_name(const char *name, struct vmm_error *err);
/* Make NAME's directory with a lock and STATE's SIZE bytes as its state file: whole, or not at
 * all. */
int store_create(const char *name, const void *state, size_t size, struct vmm_error *err);
int store_open(const char *name, struct store_vm *vm, struct vmm_error *err);
void store_close(struct store_vm *vm);
/*
 * Take the lock, or give it back. A lock that stays taken for a moment's wait fails with EBUSY; ERR
 * then names the runner. A VM destroyed in the meantime: ENOENT.
 */
int store_lock(struct store_vm *vm, enum store_lock lock, struct vmm_error *err);
/* Note in the lock file, which is held exclusively, that this process runs the VM; or no more. */
void store_set_runner(struct store_vm *vm, bool running);
/* Process id of the runner that holds the lock now, 0 when none. */
pid_t store_runner(struct store_vm *vm);
/* Remove the directory of VM, whose lock is held exclusively, with all that is in it. */
int store_remove(struct store_vm *vm, struct vmm_error *err);
/* Call EACH for every VM's name, in alphabetical order. The number of VMs, or -1 with ERR. */
int store_each(void (*each)(void *opaque, const char *name), void *opaque, struct vmm_error *err);
/* Bytes free in the file system of VM. */
uint64_t store_free(const struct store_vm *vm);

#endif
