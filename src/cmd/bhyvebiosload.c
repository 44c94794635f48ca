/* bhyvebiosload: make a VM and load a pseudo BIOS into it. It lives on, by name, for bhyve -b. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/load.h"
#include "loader/loader.h"

#define COMMAND "bhyvebiosload"
#define SYNOPSIS COMMAND " [-m MB] [-M MB] [-h DIR] [-d FILE]... VM"
#define BIOS_NAME "pseudobios.bin"

static const struct cmd_option options[] = {
    {'m', "MB", "memory from 0 on (default 256)"},
    {'M', "MB", "memory from 4 GB on (default 0)"},
    {'h', "DIR", "load DIR/" BIOS_NAME " (default: the built-in pseudo BIOS)"},
    {'d', "FILE[,ro]", "a disk image: BIOS drive 80h, the next one 81h, ..."},
    {0, NULL, NULL},
};

struct arguments {
	struct load_target target;
	const char *directory;
	const char *drives[VMM_DRIVES_MAX];
	unsigned ndrives;
};

static int
parse(int argc, char **argv, struct arguments *args)
{
	char letters[2 * sizeof(options)];
	struct vmm_error err;
	int c;

	cmd_getopt_string(options, letters, sizeof(letters));
	while ((c = getopt(argc, argv, letters)) != -1) {
		switch (c) {
		case 'm':
		case 'M':
			if (cmd_parse_memory((char)c, optarg,
				c == 'm' ? &args->target.low_size : &args->target.high_size,
				&err) != 0)
				return (cmd_fail(COMMAND, &err));
			break;
		case 'h':
			args->directory = optarg;
			break;
		case 'd':
			if (args->ndrives == VMM_DRIVES_MAX)
				return (cmd_error(COMMAND, "more than %d drives", VMM_DRIVES_MAX));
			args->drives[args->ndrives++] = optarg;
			break;
		default:
			return (cmd_usage(COMMAND, SYNOPSIS));
		}
	}
	if (optind != argc - 1)
		return (cmd_usage(COMMAND, SYNOPSIS));
	args->target.name = argv[optind];
	return (STATUS_OK);
}

static int
open_bios(
    const char *directory, char *path, size_t size, struct loader_file *file, struct vmm_error *err)
{
	size_t len;

	if (directory == NULL) {
		if (!loader_builtin_bios(file))
			return (vmm_fail(err, ENOMEM, "out of memory"));
		return (0);
	}
	len = strlen(directory);
	snprintf(path, size, "%s%s" BIOS_NAME, directory,
	    len > 0 && directory[len - 1] == '/' ? "" : "/");
	return (loader_open(file, path, err));
}

static int
load(struct arguments *args, const struct loader_file *file, struct vmm_error *err)
{
	struct vmctx *ctx;
	int error;

	/* Before a VM is made for nothing. */
	if (loader_check_bios(file, err) != 0 || load_begin(&args->target, err) != 0)
		return (-1);
	ctx = args->target.ctx;
	error = loader_bios(ctx, file, err);
	for (unsigned i = 0; i < args->ndrives && error == 0; i++)
		error = load_drive(ctx, args->drives[i], err);
	if (error != 0) {
		load_end(&args->target, false, NULL);
		return (-1);
	}
	return (load_end(&args->target, true, err));
}

int
cmd_bhyvebiosload(int argc, char **argv)
{
	struct arguments args = {0};
	struct loader_file file = {0};
	struct vmm_error err;
	char path[PATH_MAX];
	int error, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return (cmd_help(SYNOPSIS, options));
	status = parse(argc, argv, &args);
	if (status != STATUS_OK)
		return (status);
	error = open_bios(args.directory, path, sizeof(path), &file, &err);
	if (error == 0)
		error = load(&args, &file, &err);
	loader_close(&file);
	return (error == 0 ? STATUS_OK : cmd_fail(COMMAND, &err));
}
