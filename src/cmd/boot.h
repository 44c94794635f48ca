/* hyve86 boot: what was asked for, and the run itself. */
#ifndef CMD_BOOT_H
#define CMD_BOOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "block/block.h"
#include "cmd/engine.h"
#include "console/script.h"
#include "control/control.h"
#include "machine/machine.h"

#define BOOT_IMAGES_MAX 10

enum boot_console { CONSOLE_DEFAULT, CONSOLE_CURSES, CONSOLE_TEXT, CONSOLE_NONE };
enum boot_serial { SERIAL_DEFAULT, SERIAL_NONE, SERIAL_STDIO, SERIAL_FILE };
enum boot_image_kind { IMAGE_BY_CONTENT, IMAGE_FLOPPY, IMAGE_DISK };

struct boot_image {
	const char *path;
	enum boot_image_kind kind;
	bool readonly;
	struct block *block;
	uint8_t drive; /* as the BIOS numbers it */
};

struct boot_serial_port {
	enum boot_serial kind;
	const char *file;
};

struct boot_options {
	const char *command; /* boot or lockstep, for messages */
	uint64_t memory;
	char name[VM_MAX_NAMELEN];
	struct boot_image images[BOOT_IMAGES_MAX];
	unsigned nimages;
	char order; /* a, c, or 0: floppies first, then disks */
	enum machine_clock clock;
	struct engine_wish engine;
	int cpu_model; /* as struct engine_world's */
	bool ephemeral;
	bool no_reboot;
	bool help;
	enum boot_console console;
	struct boot_serial_port serial[MACHINE_COMS];
	unsigned nserial;
	struct script script;
	uint64_t timeout_ns; /* 0: none */
	int debug_exit_port; /* -1: none */
	const char *kernel, *initrd, *append;
	const char *stats;
	const char *gdb;
	const char *trace;
	struct lockstep *lockstep; /* hyve86 lockstep: the run is on two engines */
};

/*
 * Parse the command line of hyve86 boot, or of hyve86 lockstep if LOCKSTEP is not NULL, which then
 * gets its engines. STATUS_OK or STATUS_ERROR, told.
 */
int boot_parse(int argc, char **argv, struct lockstep *lockstep, struct boot_options *opts);
/* The option's help, of hyve86 boot or hyve86 lockstep. */
int boot_help(bool lockstep);
/* hyve86 boot and hyve86 lockstep: parse, run, clean up. The status to end with. */
int boot_main(int argc, char **argv, struct lockstep *lockstep);
/* Open the images and decide which drive each is; STATUS_OK or STATUS_ERROR, told. */
int boot_open_images(struct boot_options *opts);
void boot_close_images(struct boot_options *opts);

/* The run as the host sees it: console, serial lines, script, time-out. */
struct gdb;
struct tracer;
struct boot_run {
	struct boot_options *opts;
	struct machine machine;
	uint64_t started; /* host ns */
	int status;	  /* to end with, once decided */
	bool decided;
	bool script_done;
	int serial_fd[MACHINE_COMS];
	struct gdb *gdb;	 /* NULL: no --gdb */
	struct tracer *trace;	 /* NULL: no --trace */
	struct boot_host *host;	 /* boot_host.c's own */
	struct control *control; /* NULL: there is none */
};

/* Open what the console and the serial lines need; STATUS_OK or STATUS_ERROR, told. */
int boot_host_start(struct boot_run *run);
void boot_host_stop(struct boot_run *run);
struct machine_host boot_host_calls(struct boot_run *run);
/*
 * The end of a run on two engines that would have STATUS: compare what is left, and tell what came
 * of it on standard error. The status to end with.
 */
int boot_lockstep_end(const struct boot_run *run, int status);
/* Write --stats; STATUS_OK or STATUS_ERROR, told. */
int boot_write_stats(const struct boot_run *run);
/* Why a run ended badly, and the registers, to standard error. */
void boot_failure_dump(const struct boot_run *run, const char *why);

#endif
