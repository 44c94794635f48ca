/* What commands share: options as tables, numbers, error lines. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "vmm/vmm.h"

const char *
cmd_getopt_string(const struct cmd_option *options, char *buf, size_t size)
{
	size_t n = 0;

	buf[n++] = ':'; /* the caller reports what is missing */
	for (; options->letter != 0 && n + 3 < size; options++) {
		buf[n++] = options->letter;
		if (options->argument != NULL)
			buf[n++] = ':';
	}
	buf[n] = '\0';
	return (buf);
}

int
cmd_help(const char *synopsis, const struct cmd_option *options)
{
	printf("usage: %s\n", synopsis);
	for (; options->letter != 0; options++) {
		char left[40];

		snprintf(left, sizeof(left), "-%c %s", options->letter,
		    options->argument != NULL ? options->argument : "");
		printf("  %-22s %s\n", left, options->help);
	}
	return (STATUS_OK);
}

int
cmd_usage(const char *command, const char *synopsis)
{
	return (cmd_error(command, "usage: %s", synopsis));
}

int
cmd_error(const char *command, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return (STATUS_ERROR);
}

int
cmd_fail(const char *command, const struct vmm_error *err)
{
	return (cmd_error(command, "%s", err->text));
}

bool
cmd_parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return (false);
	errno = 0;
	*value = strtoull(text, &end, 0);
	return (errno == 0 && *end == '\0');
}

bool
cmd_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	unsigned shift = 20;
	const char *suffix;
	uint64_t number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return (false);
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return (false);
	if (*end != '\0') {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (suffix == NULL || end[1] != '\0')
			return (false);
		shift = 10 * ((unsigned)(suffix - suffixes) + 1);
	}
	if (number > UINT64_MAX >> shift)
		return (false);
	*bytes = number << shift;
	return (true);
}

int
cmd_parse_memory(char letter, const char *text, uint64_t *bytes, struct vmm_error *err)
{
	if (!cmd_parse_size(text, bytes) || *bytes % X86_PAGE_SIZE != 0)
		return (vmm_fail(err, EINVAL, "-%c %s: not a memory size", letter, text));
	if (*bytes == 0 || *bytes > VMM_MEMORY_MAX)
		return (vmm_fail(err, EINVAL, "-%c %s: guest memory is from 4K to %lluG", letter,
		    text, (unsigned long long)(VMM_MEMORY_MAX >> 30)));
	return (0);
}
