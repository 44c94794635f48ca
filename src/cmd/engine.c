/* --engine: soft, kvm, or the faster one. */
#include "cmd/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "engine/measure.h"
#include "vmm/store.h"

#define CACHE ".engine" /* in the directory of VMs */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define DEVICE "/dev/kvm"
#define PATH_SIZE 4200

/* What was measured, in instructions per second. */
struct speeds {
	char boot[40]; /* of which start of the host */
	uint64_t soft;
	uint64_t kvm;  /* 0: it does not work */
	char why[160]; /* then: the reason */
};

int
cmd_engine_word(const char *text)
{
	static const char *const words[] = {"auto", "soft", "kvm"};

	for (int i = 0; i < 3; i++)
		if (strcmp(words[i], text) == 0)
			return (i);
	return (-1);
}

/* Which start of the host this is; false when it does not tell. */
static bool
boot_id(char id[40])
{
	FILE *f = fopen(BOOT_ID, "re");
	bool ok = f != NULL && fscanf(f, "%39s", id) == 1;

	if (f != NULL)
		fclose(f);
	return (ok);
}

static bool
cache_path(char *path, size_t size)
{
	char root[PATH_SIZE - sizeof(CACHE) - 1];

	return (store_root(root, sizeof(root), NULL) == 0 &&
	    snprintf(path, size, "%s/%s", root, CACHE) < (int)size);
}

/*
 * What is kept. A KVM that could not be opened is tried again: permission may have been given in
 * the meantime, and trying costs nothing.
 */
static bool
read_cache(struct speeds *s)
{
	char path[PATH_SIZE], now[40];
	FILE *f;
	bool ok;

	if (!boot_id(now) || !cache_path(path, sizeof(path)) || (f = fopen(path, "re")) == NULL)
		return (false);
	ok = fscanf(f, "%39s %" SCNu64 " %" SCNu64 " %159[^\n]", s->boot, &s->soft, &s->kvm,
		 s->why) >= 3;
	fclose(f);
	return (ok && strcmp(s->boot, now) == 0 && s->kvm != 0);
}

/* Keep S, whole or not at all; who cannot measures again next time. */
static void
write_cache(const struct speeds *s)
{
	char path[PATH_SIZE], other[PATH_SIZE + 24];
	bool ok;
	FILE *f;
	int fd;

	if (s->boot[0] == '\0' || !cache_path(path, sizeof(path)))
		return;
	snprintf(other, sizeof(other), "%s.%ld", path, (long)getpid());
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	f = fdopen(fd, "w");
	if (f == NULL) {
		close(fd);
		unlink(other);
		return;
	}
	ok = fprintf(f, "%s %" PRIu64 " %" PRIu64 " %s\n", s->boot, s->soft, s->kvm, s->why) > 0;
	ok = fclose(f) == 0 && ok;
	if (!ok || rename(other, path) != 0)
		unlink(other);
}

/* Measure, unless that was done since the host started. */
static void
get_speeds(struct speeds *s)
{
	memset(s, 0, sizeof(*s));
	if (access(DEVICE, R_OK | W_OK) != 0) {
		snprintf(s->why, sizeof(s->why), "%s: %s", DEVICE, strerror(errno));
		return;
	}
	if (read_cache(s))
		return;
	memset(s, 0, sizeof(*s));
	s->kvm = engine_measure(&engine_kvm, s->why, sizeof(s->why));
	if (s->kvm == 0)
		return;
	s->soft = engine_measure(&engine_soft, s->why, sizeof(s->why));
	if (!boot_id(s->boot))
		s->boot[0] = '\0';
	write_cache(s);
}

static const struct engine_ops *
choose_auto(const char *command, bool verbose)
{
	struct speeds s;

	get_speeds(&s);
	/* Permission is what its user can do something about. */
	if (s.kvm == 0 && (verbose || access(DEVICE, F_OK) == 0)) {
		cmd_error(command, "%s; going on with the built-in CPU%s", s.why,
		    access(DEVICE, F_OK) == 0 && access(DEVICE, R_OK | W_OK) != 0
			? " (for KVM become a member of its group, or say --engine soft)"
			: "");
		return (&engine_soft);
	}
	if (verbose && s.kvm != 0)
		cmd_error(command,
		    "engine %s: real mode at %.0f million instructions a second on KVM, %.0f on "
		    "the built-in CPU",
		    s.kvm > s.soft ? "kvm" : "soft", (double)s.kvm / 1e6, (double)s.soft / 1e6);
	return (s.kvm > s.soft ? &engine_kvm : &engine_soft);
}

int
cmd_choose_engine(
    const char *command, const struct engine_wish *wish, const struct engine_ops **engine)
{
	const char *soft = wish->needs_soft != NULL ? wish->needs_soft : wish->likes_soft;

	if (wish->word == ENGINE_KVM && wish->needs_soft != NULL)
		return (
		    cmd_error(command, "--engine kvm: %s: use --engine soft", wish->needs_soft));
	if (wish->word == ENGINE_KVM)
		*engine = &engine_kvm;
	else if (wish->word == ENGINE_SOFT || soft != NULL)
		*engine = &engine_soft;
	else
		*engine = choose_auto(command, wish->verbose);
	if (wish->verbose && wish->word == ENGINE_AUTO && soft != NULL)
		cmd_error(command, "engine soft: %s", soft);
	return (STATUS_OK);
}
