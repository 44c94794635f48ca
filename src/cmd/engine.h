/* Which CPU engine a run gets. */
#ifndef CMD_ENGINE_H
#define CMD_ENGINE_H

#include <stdbool.h>

#include "engine/engine.h"

enum engine_word { ENGINE_AUTO, ENGINE_SOFT, ENGINE_KVM };

struct engine_wish {
	int word;		/* enum engine_word */
	const char *needs_soft; /* what only the built-in CPU can do: "--clock icount"; or NULL */
	const char *likes_soft; /* what it does better, so that auto takes it; or NULL */
	bool verbose;		/* tell in one line what was chosen, and why */
};

/* The word on a command line; -1: none of them. */
int cmd_engine_word(const char *text);
/*
 * Choose. Auto takes the faster one, by a measurement that is made once per start of the host and
 * kept beside the VMs. STATUS_OK, or STATUS_ERROR, told as COMMAND.
 */
int cmd_choose_engine(
    const char *command, const struct engine_wish *wish, const struct engine_ops **engine);

#endif
