/*
 * Inside the built-in CPU: traces, the TLB, lazy flags, memory access. Only src/cpu includes this.
 *
 * A trace is a run of decoded instructions within one physical page, ended by a branch, by an
 * instruction that can leave the CPU or change its mode, or by its size. While a trace runs,
 * state->gpr.rip is the RIP of its first instruction and every op knows its own offset from
 * there; handlers that leave the trace set the real RIP.
 *
 * A handler returns the next trace, or NULL: "look again" (the dispatcher in run.c handles what
 * waits and finds the next trace). Within a trace a handler calls the next op's handler in tail
 * position; without tail calls the stack grows by at most TRACE_MAX frames.
 *
 * Invariants:
 *  - state->gpr.zero is 0; it is what an absent base or index register reads.
 *  - state's arithmetic flags are stale while running: use flags_get()/flags_set().
 *  - segc[], cpl, masks and mode_key follow the state's SREGS: cpu_sregs_changed().
 *  - a dropped trace has op_leave as handler of all its ops, so that links, the jump cache and a
 *    running handler chain fall out of it; its memory is reused only by a flush of everything.
 *  - handlers change no state before all accesses that can fault are done.
 */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/model.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define TRACE_MAX 32 /* instructions */
#define TLB_SIZE 1024
#define TLB_FILLED_MAX 64u
#define JCACHE_SIZE 2048
#define HASH_SIZE 8192
#define PAGE_HASH_SIZE 1024
#define CODE_CHUNK_SHIFT 7 /* code is noted per 128 bytes: 32 chunks a page */
#define INSN_MAX 15

struct trace;
struct op;
struct insn;

typedef const struct trace *op_fn(struct cpu *c, const struct op *op, struct vcpu_state *s);

/* What a plain handler (one that does not chain by itself) says. */
enum op_result {
	OP_NEXT,  /* go on with the next op */
	OP_FAULT, /* c->fault is to be delivered; nothing was changed */
	OP_END,	  /* done; something changed that ends the trace; RIP is behind the instruction */
	OP_JUMP,  /* done; state->gpr.rip is set */
	OP_AGAIN, /* interrupted in the middle (REP); RIP stays at the instruction */
	OP_EXIT,  /* leave cpu_run with c->exit; RIP stays at the instruction */
};
typedef enum op_result plain_fn(struct cpu *c, const struct op *op, struct vcpu_state *s);

enum op_kind { K_NONE, K_REG, K_MEM, K_IMM };
enum op_rep { REP_NONE, REP_E, REP_NE };

/* One decoded instruction. Registers are byte offsets into struct vcpu_state. */
struct op {
	op_fn *fn;
	union {
		plain_fn *plain;	  /* fn == op_plain */
		const struct trace *link; /* direct branches: the trace at the target */
	};
	const struct insn *insn;
	int64_t imm;
	int64_t disp;
	uint64_t amask; /* of the address; of RIP for near branches */
	uint16_t dst, src, base, index;
	uint16_t off;  /* from the trace's start */
	uint8_t scale; /* shift */
	uint8_t seg;
	uint8_t size; /* operand size in bytes */
	uint8_t len;
	uint8_t idx;	      /* in the trace */
	uint8_t cond;	      /* SETcc, CMOVcc: enum cond */
	uint8_t dkind, skind; /* enum op_kind of destination and source */
	uint8_t rep;	      /* enum op_rep */
	bool third;	      /* imm is a third operand */
};

#define NO_PAGE UINT64_MAX

/* In the list of a physical page: a trace with bytes in it. */
struct page_node {
	struct trace *trace;
	uint64_t page; /* physical page number */
	struct page_node *next;
};

struct trace {
	uint64_t pa;
	uint32_t mode;
	uint16_t len; /* bytes */
	uint8_t nops;
	bool dead;
	uint64_t pa2; /* physical page of the second part of a straddling instruction, or NO_PAGE */
	struct trace *hash_next;
	struct op ops[]; /* nops, and one more that leads on */
};

struct tlb_entry {
	uint64_t rtag; /* linear page that may be read; TLB_INVALID: none */
	uint64_t wtag;
	uintptr_t addend; /* host address = linear + addend */
	uint32_t *code;	  /* chunks of the physical page that hold decoded code */
};
#define TLB_INVALID 1u
/*
 * Supervisor; user; supervisor that may touch user pages (SMAP is on and RFLAGS.AC is set); user
 * with alignment checks, which stays empty so that every access is looked at.
 */
enum { TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_USER_ALIGNED, TLB_COUNT };

/* A segment for fast access: [0, rend) may be read, [0, wend) written, from base on. */
struct seg_cache {
	uint64_t base;
	uint64_t rend;
	uint64_t wend;
};
#define SEG_NONE 6 /* system accesses: base 0, no limit */

struct jcache_entry {
	uint64_t lin;
	uint64_t key; /* as struct cpu's */
	struct trace *trace;
};

/* A fault on its way. */
struct pending_fault {
	uint64_t address, limit;
	uint64_t cr2;
	uint32_t error;
	uint8_t vector;
	uint8_t cause;
	uint8_t seg;
	bool has_error;
};

enum attention {
	ATT_KICK = 1, /* cpu_kick */
	ATT_INTR = 2, /* INTR is high */
	ATT_NMI = 4,
	ATT_EVENT = 8, /* state->events holds something to deliver or a shadow; RFLAGS.RF */
	ATT_TRAP = 16, /* RFLAGS.TF */
	ATT_STOP = 32,
};

/* In struct cpu's key: code that privilege 3 may fetch is not what others may, and the reverse. */
#define KEY_USER 0x80u

enum mode_bits { MODE_D = 1, MODE_L = 2, MODE_PE = 4, MODE_VM = 8, MODE_STEP = 16 };

/* A branch as it is remembered: between linear addresses, and the mode at FROM. */
struct branch {
	uint64_t from, to;
	uint8_t mode;
};

/* A breakpoint (watch.h). */
struct watch {
	uint64_t lin; /* or port */
	uint32_t len;
	uint8_t kinds; /* enum watch_kind */
	uint8_t bits;  /* in DR6; 0: the debugger's */
};

#define MONITOR_LINE 64
#define NO_LINE UINT64_MAX

struct cpu {
	/* Hot. */
	int64_t left; /* instructions until the budget is used up */
	uint32_t attention;
	uint32_t fl_aux; /* lazy flags, flags.h */
	int64_t fl_res;
	struct tlb_entry *tlb; /* of the current privilege */
	struct seg_cache segc[SEG_NONE + 1];
	uint64_t lin_mask;
	uint64_t sys_mask;  /* lin_mask of accesses to the system's tables */
	uint64_t cs_end;    /* CS.limit + 1 */
	uint64_t sp_mask;   /* stack pointer width */
	uint64_t ip_mask;   /* where RIP wraps around */
	uint64_t key;	    /* generation << 8 | KEY_USER | mode: key_changed() */
	uint64_t mem_value; /* result of load_slow */
	uint8_t cpl;
	uint8_t mode;

	struct vcpu_state *s;
	struct memory *mem;
	struct bus *bus;
	struct cpu_config config;
	const struct cpu_traits *traits;
	struct jcache_entry *jcache;
	struct trace **hash;
	struct page_node **page_hash;
	uint8_t *arena;
	size_t arena_used;
	uint32_t *code_map; /* per physical page: chunks with code */
	uint64_t code_pages;
	struct tlb_entry *tlbs[TLB_COUNT];
	uint64_t generation;
	uint64_t paging[4];   /* CR0.PG/WP, CR3, CR4, EFER that the TLB was filled under */
	struct trace *single; /* for one instruction at a time */
	void *decoder;

	uint64_t budget;
	uint64_t count_base;
	uint64_t deliveries; /* in this run: they use up budget, but are no instructions */
	enum cpu_exit exit;
	bool intr;	   /* level of INTR */
	bool debugger_hit; /* one of the debugger's breakpoints, behind this instruction */
	bool ferr_told;	   /* the board has been told of the pending x87 exception */
	bool trap_cancel;  /* the instruction was an interrupt or fault: no single-step trap */
	struct pending_fault fault;
	uint64_t next_rip; /* behind the far transfer or IRET in progress */
	struct cpu_inout inout;
	uint64_t hole;
	const char *error;
	uint64_t monitored; /* physical address of MONITOR's line, or NO_LINE */
	uint64_t random;    /* RDRAND's state */

	struct cpu_fault faults[HISTORY_FAULTS];
	unsigned nfaults;
	struct branch branches[HISTORY_BRANCHES];
	unsigned nbranches;

	struct watch watch[4 + CPU_WATCH_MAX]; /* all that are enabled */
	unsigned nwatch;
	unsigned watch_kinds; /* of all together */
	struct watch debugger[CPU_WATCH_MAX];
	unsigned ndebugger;
	struct watch stopped_by;

	bool stop_varying;
	uint64_t written[CPU_WRITTEN_MAX];	  /* pages: cpu_written() */
	unsigned nwritten;			  /* more than fit: too many */
	struct tlb_entry *filled[TLB_FILLED_MAX]; /* since the last flush, while they are so few */
	unsigned nfilled;			  /* TLB_FILLED_MAX + 1: there are more */
};

/* --- registers by offset ------------------------------------------------------------------- */

static inline uint8_t *
reg_at(struct vcpu_state *s, uint16_t offset)
{
	return ((uint8_t *)s + offset);
}

/*
 * SIZE bytes at P. Each size is a load of its own: bytes put together in memory and then read as a
 * whole would wait for the stores each time.
 */
static inline __attribute__((always_inline)) uint64_t
bytes_get(const void *p, unsigned size)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	switch (size) {
	case 1:
		return (*(const uint8_t *)p);
	case 2:
		memcpy(&u16, p, sizeof(u16));
		return (u16);
	case 4:
		memcpy(&u32, p, sizeof(u32));
		return (u32);
	default:
		memcpy(&u64, p, sizeof(u64));
		return (u64);
	}
}

/* The same for stores; no call even where SIZE is not a constant. */
static inline __attribute__((always_inline)) void
bytes_put(void *p, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		memcpy(p, &value, 1);
		break;
	case 2:
		memcpy(p, &value, 2);
		break;
	case 4:
		memcpy(p, &value, 4);
		break;
	default:
		memcpy(p, &value, 8);
		break;
	}
}

static inline uint64_t
reg_get(struct vcpu_state *s, uint16_t offset, unsigned size)
{
	return (bytes_get(reg_at(s, offset), size));
}

/* 32-bit writes clear the upper half (SDM vol. 1, 3.4.1.1). */
static inline void
reg_set(struct vcpu_state *s, uint16_t offset, unsigned size, uint64_t value)
{
	if (size == 4)
		size = 8, value = (uint32_t)value;
	bytes_put(reg_at(s, offset), size, value);
}

#define MMX_OFFSET(n) \
	((uint16_t)(offsetof(struct vcpu_state, fpu.fxsave) + 32u + 16u * (unsigned)(n)))
#define XMM_OFFSET(n) \
	((uint16_t)(offsetof(struct vcpu_state, fpu.fxsave) + 160u + 16u * (unsigned)(n)))
#define GPR_OFFSET(n) ((uint16_t)(offsetof(struct vcpu_state, gpr.reg) + 8u * (unsigned)(n)))
#define RAX(s) ((s)->gpr.reg[GPR_RAX])
#define RCX(s) ((s)->gpr.reg[GPR_RCX])
#define RDX(s) ((s)->gpr.reg[GPR_RDX])
#define RBX(s) ((s)->gpr.reg[GPR_RBX])
#define RSP(s) ((s)->gpr.reg[GPR_RSP])
#define RBP(s) ((s)->gpr.reg[GPR_RBP])
#define RSI(s) ((s)->gpr.reg[GPR_RSI])
#define RDI(s) ((s)->gpr.reg[GPR_RDI])

static inline uint64_t
size_mask(unsigned size)
{
	return (size == 8 ? UINT64_MAX : (1ull << size * 8) - 1);
}

static inline int64_t
sign_extend(uint64_t value, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return ((int64_t)(value << shift) >> shift);
}

/* VALUE into the low SIZE bytes of *REG as instructions write registers. */
static inline void
gpr_write(uint64_t *reg, unsigned size, uint64_t value)
{
	uint64_t mask = size == 4 ? UINT64_MAX : size_mask(size);

	*reg = (*reg & ~mask) | (value & size_mask(size));
}

static inline bool
is_canonical(uint64_t lin)
{
	return ((uint64_t)((int64_t)(lin << 16) >> 16) == lin);
}

/* --- segments, memory ---------------------------------------------------------------------- */

enum page_access { PAGE_READ, PAGE_WRITE, PAGE_FETCH };
/* LIN's physical address for this access by the current TLB's privilege; false: #PF (paging.c). */
bool translate(struct cpu *c, uint64_t lin, enum page_access access, uint64_t *pa);
bool pdptes_valid(struct cpu *c, uint64_t cr3);
/* Privilege CPL from now on: which TLB serves. */
void set_cpl(struct cpu *c, unsigned cpl);
void tlb_choose(struct cpu *c);

/* The generation of the TLB, the mode or the privilege changed: jump cache entries hold by it. */
static inline void
key_changed(struct cpu *c)
{
	c->key = c->generation << 8 | (c->cpl == 3 ? KEY_USER : 0) | c->mode;
}

/* Slow paths (access.c): everything that the TLB does not know. load_slow leaves c->mem_value. */
bool load_slow(struct cpu *c, unsigned seg, uint64_t ea, unsigned size);
bool store_slow(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t value);
/* A store of SIZE bytes at linear LIN just hit a chunk with decoded code. */
void store_hit_code(struct cpu *c, const struct tlb_entry *entry, uint64_t lin, unsigned size);
/* May SIZE bytes at EA of segment SEG be read or written, as far as the segment goes? */
bool segment_check(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write);
/* Check that SIZE bytes at SEG:EA can be written, without writing (for read-modify-write). */
bool probe_write(struct cpu *c, unsigned seg, uint64_t ea, unsigned size);
/* The load of a read-modify-write failed: what the write would have found comes first. */
void rmw_fault(struct cpu *c, unsigned seg, uint64_t ea, unsigned size);

static inline struct tlb_entry *
tlb_slot(struct cpu *c, uint64_t lin)
{
	return (&c->tlb[(lin >> X86_PAGE_SHIFT) & (TLB_SIZE - 1)]);
}

/* Whether the first or the last of SIZE bytes at OFFSET in a page is in a chunk with code. */
static inline bool
code_at(uint32_t chunks, uint64_t offset, unsigned size)
{
	uint32_t hit = chunks >> (offset >> CODE_CHUNK_SHIFT);

	if (size > 1)
		hit |= chunks >> ((offset + size - 1) >> CODE_CHUNK_SHIFT);
	return (hit & 1);
}

/* Read SIZE bytes at SEG:EA into c->mem_value / the return of load_value. False: c->fault. */
static inline __attribute__((always_inline)) bool
load(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t *value)
{
	const struct seg_cache *sc = &c->segc[seg];
	uint64_t lin = (sc->base + ea) & c->lin_mask;
	const struct tlb_entry *e = tlb_slot(c, lin);

	if (likely(ea + size <= sc->rend && (lin & ~(uint64_t)X86_PAGE_MASK) == e->rtag &&
		(lin & X86_PAGE_MASK) <= X86_PAGE_SIZE - size)) {
		*value = bytes_get((const void *)(e->addend + lin), size);
		return (true);
	}
	if (!load_slow(c, seg, ea, size))
		return (false);
	*value = c->mem_value;
	return (true);
}

static inline __attribute__((always_inline)) bool
store(struct cpu *c, unsigned seg, uint64_t ea, unsigned size, uint64_t value)
{
	const struct seg_cache *sc = &c->segc[seg];
	uint64_t lin = (sc->base + ea) & c->lin_mask;
	const struct tlb_entry *e = tlb_slot(c, lin);

	if (likely(ea + size <= sc->wend && (lin & ~(uint64_t)X86_PAGE_MASK) == e->wtag &&
		(lin & X86_PAGE_MASK) <= X86_PAGE_SIZE - size)) {
		bytes_put((void *)(e->addend + lin), size, value);
		if (unlikely(code_at(*e->code, lin & X86_PAGE_MASK, size)))
			store_hit_code(c, e, lin, size);
		return (true);
	}
	return (store_slow(c, seg, ea, size, value));
}

static inline __attribute__((always_inline)) uint64_t
op_ea(const struct op *op, struct vcpu_state *s)
{
	return ((reg_get(s, op->base, 8) + (reg_get(s, op->index, 8) << op->scale) +
		    (uint64_t)op->disp) &
	    op->amask);
}

/* --- leaving a trace ------------------------------------------------------------------------ */

static inline uint64_t
op_rip(const struct op *op, const struct vcpu_state *s)
{
	return (s->gpr.rip + op->off);
}

static inline uint64_t
op_next_rip(const struct op *op, const struct vcpu_state *s)
{
	return (s->gpr.rip + op->off + op->len);
}

static inline __attribute__((always_inline)) const struct trace *
op_next(struct cpu *c, const struct op *op, struct vcpu_state *s)
{
	return (op[1].fn(c, op + 1, s));
}

/* Whether the chain of traces may go on by itself. Counts the ops up to and with OP. */
static inline bool
chain_on(struct cpu *c, const struct op *op)
{
	c->left -= op->idx + 1;
	return (likely((c->attention == 0) & (c->left >= TRACE_MAX)));
}

/* The trace at CS:RIP if the jump cache has it. */
static inline __attribute__((always_inline)) const struct trace *
jcache_find(struct cpu *c, uint64_t rip)
{
	uint64_t lin = (c->segc[SEG_CS].base + rip) & c->lin_mask;
	const struct jcache_entry *j = &c->jcache[(lin ^ lin >> 12) & (JCACHE_SIZE - 1)];

	if (likely(j->lin == lin && j->key == c->key) && rip + j->trace->len <= c->cs_end)
		return (j->trace);
	return (NULL);
}

static inline void
branch_note(struct cpu *c, uint64_t from, uint8_t mode, uint64_t to)
{
	c->branches[c->nbranches++ % HISTORY_BRANCHES] = (struct branch){from, to, mode};
}

/* Go to RIP, whose trace is not known: through the jump cache. */
static inline __attribute__((always_inline)) const struct trace *
go_to(struct cpu *c, const struct op *op, struct vcpu_state *s, uint64_t rip)
{
	s->gpr.rip = rip;
	return (chain_on(c, op) ? jcache_find(c, rip) : NULL);
}

/* Deliver c->fault at OP; NULL. */
const struct trace *op_fault(struct cpu *c, const struct op *op, struct vcpu_state *s);
op_fn op_plain, op_leave, op_end;

/* Before what varies: whether the run is to end here, with c->exit (identity.c). */
bool varies(struct cpu *c);
/* SIZE bytes at PA were written (access.c). */
void note_written(struct cpu *c, uint64_t pa, uint64_t size);
/* Somebody else wrote SIZE bytes at PA: does that end an MWAIT? monitor.c */
void monitor_written(struct cpu *c, uint64_t pa, uint64_t size);

/* --- faults (fault.c) ----------------------------------------------------------------------- */

/* Note a fault in c->fault; returns OP_FAULT / false so that callers can return it. */
enum op_result fault(struct cpu *c, unsigned vector, enum cpu_cause cause);
enum op_result fault_code(struct cpu *c, unsigned vector, uint32_t error, enum cpu_cause cause);
/* As fault_code, with what was checked against what. */
bool fault_at(struct cpu *c, unsigned vector, uint32_t error, enum cpu_cause cause,
    uint64_t address, uint64_t limit);
/* Deliver c->fault, whose instruction is at state->gpr.rip: to #DF and shutdown if need be. */
void fault_deliver(struct cpu *c);
/* Deliver an external interrupt or NMI. */
void interrupt_deliver(struct cpu *c, unsigned vector, bool nmi);
/* INT n, INT3, INTO (EVENT_SW_*), from instruction behind which RIP is NEXT_RIP. */
enum op_result interrupt_software(
    struct cpu *c, unsigned vector, enum vcpu_event_type type, uint64_t next_rip);
enum op_result interrupt_return(struct cpu *c, unsigned size);

/* --- segments (segment.c), far transfers (transfer.c) ---------------------------------------- */

/* Recompute everything that derives from SREGS and RFLAGS.VM. */
void cpu_sregs_changed(struct cpu *c);
void cpu_segment_changed(struct cpu *c, unsigned seg);
bool segment_load(struct cpu *c, unsigned seg, uint16_t selector);
struct stack;
/* Read the 8 bytes at SELECTOR in GDT or LDT; VECTOR is raised with the selector otherwise. */
bool descriptor_read(struct cpu *c, uint16_t selector, unsigned vector, uint64_t *descriptor);
bool descriptor_mark_accessed(struct cpu *c, uint16_t selector, uint64_t descriptor);
/* A data segment or SS from a checked descriptor into the cache. */
void segment_set(struct cpu *c, unsigned seg, const struct x86_segment *value);
void code_segment_set(struct cpu *c, const struct x86_segment *value, unsigned cpl);
bool stack_segment_check(
    struct cpu *c, uint16_t selector, unsigned cpl, unsigned vector, uint64_t *descriptor);
enum op_result far_jump(struct cpu *c, uint16_t selector, uint64_t offset, unsigned size);
enum op_result far_call(
    struct cpu *c, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_rip);
enum op_result far_return(struct cpu *c, unsigned size, unsigned release);

/* Return to CS:IP at this or an outer privilege, ST behind what was popped (RET, IRET). */
enum op_result return_to(struct cpu *c, struct stack *st, uint16_t selector, uint64_t ip,
    unsigned size, unsigned release);
/* After a return to less privilege: data segments that it may not see become null. */
void drop_privileged_segments(struct cpu *c);
/* What a load of SELECTOR leaves in real or virtual-8086 mode. */
void real_segment_set(struct cpu *c, unsigned seg, uint16_t selector);

/* System accesses, at privilege 0, linear addresses. */
bool sys_load(struct cpu *c, uint64_t lin, unsigned size, uint64_t *value);
bool sys_store(struct cpu *c, uint64_t lin, unsigned size, uint64_t value);

static inline bool
is_protected(const struct cpu *c)
{
	return ((c->mode & (MODE_PE | MODE_VM)) == MODE_PE);
}

/* --- stack ----------------------------------------------------------------------------------- */

/* May PORT..PORT+SIZE-1 be used (IOPL, I/O permission bitmap)? False: #GP(0). tss.c. */
bool io_allowed(struct cpu *c, uint16_t port, unsigned size);

/* A push in progress: SP moves only when all went well (stack_commit). */
struct stack {
	uint64_t sp;
};

static inline struct stack
stack_begin(const struct cpu *c)
{
	return ((struct stack){.sp = RSP(c->s)});
}

static inline bool
stack_push(struct cpu *c, struct stack *st, unsigned size, uint64_t value)
{
	st->sp = (st->sp & ~c->sp_mask) | ((st->sp - size) & c->sp_mask);
	return (store(c, SEG_SS, st->sp & c->sp_mask, size, value));
}

static inline bool
stack_pop(struct cpu *c, struct stack *st, unsigned size, uint64_t *value)
{
	if (!load(c, SEG_SS, st->sp & c->sp_mask, size, value))
		return (false);
	st->sp = (st->sp & ~c->sp_mask) | ((st->sp + size) & c->sp_mask);
	return (true);
}

/* SIZE bytes at OFFSET in what is to be popped. */
static inline bool
stack_peek(struct cpu *c, const struct stack *st, unsigned offset, unsigned size, uint64_t *value)
{
	return (load(c, SEG_SS, (st->sp + offset) & c->sp_mask, size, value));
}

static inline void
stack_skip(const struct cpu *c, struct stack *st, unsigned size)
{
	st->sp = (st->sp & ~c->sp_mask) | ((st->sp + size) & c->sp_mask);
}

static inline void
stack_commit(struct cpu *c, const struct stack *st)
{
	RSP(c->s) = st->sp;
}

/* Recompute c->attention from the state (RFLAGS, events, INTR). */
void attention_update(struct cpu *c);

/* --- traces (trace.c), decoding (decode.c) ---------------------------------------------------- */

/* The trace at CS:RIP; NULL when a fault is in c->fault. */
struct trace *trace_find(struct cpu *c);
/* A trace of one instruction at CS:RIP, not kept. */
struct trace *trace_single(struct cpu *c);
void trace_drop_range(struct cpu *c, uint64_t pa, uint64_t size);
/* The running trace is to end behind the instruction in progress: something waits. */
void trace_leave(struct cpu *c);
void trace_flush(struct cpu *c);
void tlb_flush(struct cpu *c);
/* Host pointer and physical address for fetching at linear LIN; false: c->fault. */
bool fetch_page(struct cpu *c, uint64_t lin, const uint8_t **host, uint64_t *pa);

/* Decode one instruction of at most AVAILABLE bytes into OP (all fields but off, idx).
 * Returns 1 done, 0 more bytes needed, -1 undefined, -2 too long. *ENDS: it must be the trace's last. */
int decode_op(struct cpu *c, const uint8_t *code, unsigned available, struct op *op, bool *ends);
void *decoder_create(void);

/* RFLAGS with arithmetic flags made real; setting from a whole value. */
uint64_t rflags_get(struct cpu *c);
/* RFLAGS as an interrupt or PUSHF stores it: in real mode bits 12-15 are the processor's. */
uint64_t rflags_stored(struct cpu *c);
/* Write RFLAGS bits of MASK from VALUE and take over what follows (TF, VM ...). */
void rflags_set(struct cpu *c, uint64_t value, uint64_t mask);

#endif
