/* bhyveload: make a VM and load a kernel or a flat program into it, for bhyve. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/load.h"
#include "loader/loader.h"

#define COMMAND "bhyveload"
#define SYNOPSIS COMMAND " [-m MB] [-M MB] [-h DIR] [-d FILE]... [-a ADDRESS] [-e ARGS] -k FILE VM"

static const struct cmd_option options[] = {
    {'m', "MB", "memory from 0 on (default 256)"},
    {'M', "MB", "memory from 4 GB on (default 0)"},
    {'k', "FILE", "what to load: a multiboot kernel, an ELF file, or else a flat program"},
    {'h', "DIR", "the folder that FILE is in"},
    {'a', "ADDRESS", "where a flat program goes and is entered (default 0x100000)"},
    {'e', "ARGS", "the command line of a multiboot kernel"},
    {'d', "FILE[,ro]", "a disk image"},
    {0, NULL, NULL},
};

struct arguments {
	struct load_target target;
	const char *directory;
	const char *kernel;
	const char *cmdline;
	uint64_t flat_address;
	const char *drives[VMM_DRIVES_MAX];
	unsigned ndrives;
};

static int
take_option(int c, struct arguments *args)
{
	struct vmm_error err;

	switch (c) {
	case 'm':
	case 'M':
		if (cmd_parse_memory((char)c, optarg,
			c == 'm' ? &args->target.low_size : &args->target.high_size, &err) != 0)
			return (cmd_fail(COMMAND, &err));
		return (STATUS_OK);
	case 'k':
		args->kernel = optarg;
		return (STATUS_OK);
	case 'h':
		args->directory = optarg;
		return (STATUS_OK);
	case 'a':
		if (!cmd_parse_number(optarg, &args->flat_address) ||
		    args->flat_address > UINT32_MAX)
			return (cmd_error(COMMAND, "-a %s: not an address below 4 GB", optarg));
		return (STATUS_OK);
	case 'e':
		args->cmdline = optarg;
		return (STATUS_OK);
	case 'd':
		if (args->ndrives == VMM_DRIVES_MAX)
			return (cmd_error(COMMAND, "more than %d drives", VMM_DRIVES_MAX));
		args->drives[args->ndrives++] = optarg;
		return (STATUS_OK);
	default:
		return (cmd_usage(COMMAND, SYNOPSIS));
	}
}

static int
parse(int argc, char **argv, struct arguments *args)
{
	char letters[2 * sizeof(options)];
	int c, status;

	cmd_getopt_string(options, letters, sizeof(letters));
	while ((c = getopt(argc, argv, letters)) != -1) {
		status = take_option(c, args);
		if (status != STATUS_OK)
			return (status);
	}
	if (optind != argc - 1 || args->kernel == NULL)
		return (cmd_usage(COMMAND, SYNOPSIS));
	args->target.name = argv[optind];
	return (STATUS_OK);
}

static int
load(struct arguments *args, const struct loader_file *file, struct loader_kernel *kernel,
    struct vmm_error *err)
{
	struct vmctx *ctx;
	int error;

	if (load_begin(&args->target, err) != 0)
		return (-1);
	ctx = args->target.ctx;
	error = loader_kernel(ctx, file, args->flat_address, args->cmdline, kernel, err);
	for (unsigned i = 0; i < args->ndrives && error == 0; i++)
		error = load_drive(ctx, args->drives[i], err);
	if (error != 0) {
		load_end(&args->target, false, NULL);
		return (-1);
	}
	return (load_end(&args->target, true, err));
}

int
cmd_bhyveload(int argc, char **argv)
{
	struct arguments args = {.flat_address = LOADER_FLAT_ADDRESS};
	struct loader_kernel kernel;
	struct loader_file file = {0};
	struct vmm_error err;
	char path[PATH_MAX];
	int error, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return (cmd_help(SYNOPSIS, options));
	status = parse(argc, argv, &args);
	if (status != STATUS_OK || args.kernel == NULL)
		return (status);
	if (args.directory != NULL && args.kernel[0] != '/')
		snprintf(path, sizeof(path), "%s/%s", args.directory, args.kernel);
	else
		snprintf(path, sizeof(path), "%s", args.kernel);
	error = loader_open(&file, path, &err);
	if (error == 0)
		error = load(&args, &file, &kernel, &err);
	loader_close(&file);
	if (error != 0)
		return (cmd_fail(COMMAND, &err));
	return (STATUS_OK);
}
