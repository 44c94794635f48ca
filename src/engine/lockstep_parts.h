/* Inside engine_lockstep: only lockstep*.c include this. */
#ifndef ENGINE_LOCKSTEP_PARTS_H
#define ENGINE_LOCKSTEP_PARTS_H

#include "bus/bus.h"
#include "bus/memory.h"
#include "engine/lockstep.h"

#define LOG_MAX 256 /* accesses of one instruction */
#define RANGES_MAX 64
#define WRITTEN_MAX 1024
#define PAGE 4096u

struct pair;

/* A region of one side's memory map that is a device. */
struct window {
	struct pair *pair;
	unsigned side;
	unsigned region; /* in the machine's map */
};

/* One of the two engines, with its view of the world. */
struct side {
	struct vcpu vcpu;
	struct vcpu_state own; /* the follower's */
	struct vmx vmx;	       /* the follower's */
	struct memory mem;
	struct bus bus; /* all of its ports are one chip: the pair */
	struct window windows[MEMORY_REGIONS_MAX];
};

/* What the world outside changed that the follower does not have yet. */
struct changes {
	unsigned groups;	 /* of STATE */
	struct vcpu_state state; /* of the leader, as it was pushed */
	bool map;
	unsigned nranges; /* of memory, written by others than the CPU */
	struct {
		uint64_t gpa, size;
	} range[RANGES_MAX];
};

/* How far the follower is. */
enum lag {
	LAG_NONE, /* both have met */
	LAG_FREE, /* the leader is at some instruction, and may go on before they meet */
	LAG_DUE,  /* the leader waits: it made an access, or came to an exit */
};

struct pair {
	struct vcpu *outer; /* the machine's vCPU */
	struct lockstep *ls;
	struct side side[2];
	int fd[2];	      /* memory of the follower, and as it was when they last met */
	struct memory shadow; /* the latter */

	enum lag lag;
	struct vcpu_state start;  /* when they last met */
	uint64_t start_count[2];  /* instructions of each, then */
	struct vcpu_state point;  /* where the leader is */
	struct vcpu_state before; /* GPR, SREGS: of the leader at its last access */
	uint64_t given_up; /* instructions of the leader from START to where they could not */
	uint64_t waited;   /* host ns that the follower has run since they met */

	struct lockstep_access log[LOG_MAX]; /* that the leader made since they met */
	unsigned nlog, next;		     /* next: to be made by the follower */
	bool overflow;			     /* they were more */
	bool nested;			     /* the leader runs on at an access of the follower */

	bool own;	       /* what is pushed is what the leader's CPU wrote itself */
	bool in_access;	       /* the leader is on the machine's bus */
	struct changes during; /* an access of the leader */
	struct changes after;  /* while it waited */

	bool intr; /* level */
	bool nmi;
	uint64_t window; /* instructions for which INTR has waited */
	/* Pages written since they met, not compared yet; more than fit: all are to be. */
	uint64_t written[WRITTEN_MAX];
	unsigned nwritten;
	uint64_t scanned; /* exits, when all of memory was last compared */
};

/* lockstep_world.c */
int lockstep_world_init(struct pair *p);
void lockstep_world_fini(struct pair *p);
/* From now on the follower has CHANGES, which are emptied. */
void lockstep_apply(struct pair *p, struct changes *changes);
/* Groups of the leader's state were changed from outside. */
void lockstep_pushed(struct pair *p, unsigned groups);
/* Copy GROUPS of a state. */
void lockstep_copy_groups(struct vcpu_state *to, const struct vcpu_state *from, unsigned groups);

/* lockstep_compare.c */
/* What differs of GROUPS, as far as it is compared, apart from the IGNORE'd register; NULL: nothing. */
const struct lockstep_register *lockstep_differs(
    const struct vcpu_state *a, const struct vcpu_state *b, unsigned groups);
/* Compare what was written since they last met, or all. True, or false and the report filled. */
bool lockstep_same_memory(struct pair *p, bool all);
/* As that for what was written, without a report: the follower may be on its way still. */
bool lockstep_seems_same(struct pair *p);

/* The next piece of MEM from FROM on that holds anything: [*FROM, *TO). False: none. */
bool lockstep_data(const struct memory *mem, uint64_t *from, uint64_t *to);

/* lockstep.c */
static inline struct vcpu *
lockstep_leader(struct pair *p)
{
	return (&p->side[LOCKSTEP_LEADER].vcpu);
}

static inline struct vcpu *
lockstep_follower(struct pair *p)
{
	return (&p->side[LOCKSTEP_FOLLOWER].vcpu);
}

/* Whether they were found to differ. */
static inline bool
lockstep_is_found(const struct pair *p)
{
	return (p->ls->report.what != LOCKSTEP_SAME);
}

/* Let the leader go on, and see where it has come to. */
void lockstep_run_leader(struct pair *p, uint64_t budget);
/* Instructions that the leader has made since they met. */
uint64_t lockstep_distance(struct pair *p);

/* lockstep_follow.c */
void lockstep_found(struct pair *p, enum lockstep_what what);
/* The follower is at an access: as the leader's, or a difference. */
struct lockstep_access lockstep_follow(struct pair *p, struct lockstep_access access);
/* Let the follower come to the leader. True: there, or a difference was found; false: not yet. */
bool lockstep_meet(struct pair *p);

/* lockstep_step.c */
#define SLICE_INSNS 1000000u /* of a run of the follower */
/* Run one instruction alone. */
void lockstep_step(struct vcpu *vcpu);
/* Run until a breakpoint at POINT's RIP, not counting where it stands, or what else ends the run. */
void lockstep_run_to(struct vcpu *vcpu, const struct vcpu_state *point, uint64_t budget);
/* The same until it is there, for a while. */
void lockstep_come_to(struct vcpu *vcpu, const struct vcpu_state *point);
/* The leader executes what it has stopped before, since its answer varies. */
void lockstep_step_varying(struct vcpu *leader);
/* And FOLLOWER, which was as BEFORE too, gets the registers that it wrote. */
void lockstep_take_results(
    const struct vcpu_state *before, const struct vcpu_state *leader, struct vcpu *follower);

/* lockstep_narrow.c */
/* Fill in the report's steps: run both again, from where they last met, one by one. */
void lockstep_narrow(struct pair *p);

#endif
