/*
 * What is shown: two snapshots, their difference, and the Gs in the order and the
 * choice that the user wants.  Knows no terminal.
 */
#ifndef TOOLS_GMP_TOP_MODEL_H
#define TOOLS_GMP_TOP_MODEL_H

#include "tools/gmp-top/graph.h"

enum sort { BYCPU, BYWAIT, BYAGE, BYSTACK, NSORTS };

/* Per second, between the two snapshots; 0 with the first one. */
struct rates {
	double created, ended, parks, switches, steals, handoffs, preempts;
	double netpolls, syscalls;
	double p50, p99; /* ns that runnable Gs waited; -1 when none was seen */
};

/* A G that is shown. */
struct row {
	const struct snapg *g;
	double cpu; /* CPUs used since the last snapshot */
};

/* Gs that wait for the same thing. */
struct waitfor {
	uint64_t addr;
	uint8_t reason;
	uint16_t flags;
	int32_t owner;	/* tid of who has it, or 0 */
	int32_t fd;	/* or -1 */
	size_t n;	/* who wait */
	uint32_t first; /* of them, by goid */
	uint64_t goid;
};

struct model {
	struct snapshot now;
	double seconds; /* since the one before; 0 with the first */
	struct rates rates;
	size_t nstatus[5]; /* Gs by snapg.status */
	size_t nreason[SNAPWAITPOLL + 1];

	/* By the user. */
	enum sort sort;
	char filter[64]; /* shown are Gs that have it somewhere; "" for all */

	struct row *rows;
	size_t nrows;
	struct waitfor *waits; /* most waiters first */
	size_t nwaits;
	struct graph graph;

	/* Of the snapshot before. */
	struct snaphdr before;
	struct snapp *pbefore;
	size_t npbefore;
	struct cputable *cpu;
};

void model_init(struct model *m);
void model_free(struct model *m);

/* Goes on to *s, which is the model's from then on.  False without memory. */
bool model_next(struct model *m, struct snapshot *s);

/* Takes the stacks of *s alone, which it frees. */
void model_stacks(struct model *m, struct snapshot *s);

/* After sort or filter were changed.  False without memory. */
bool model_arrange(struct model *m);

const char *sort_name(enum sort sort);

/* Turns of Gs that it gave per second. */
double model_ticks(const struct model *m, const struct snapp *p);

/* The G with that gettid(), or NULL. */
const struct snapg *model_bytid(const struct model *m, int32_t tid);

/* Nanoseconds that it has been in its state, alive; 0 when that is not known. */
uint64_t model_waited(const struct model *m, const struct snapg *g);
uint64_t model_age(const struct model *m, const struct snapg *g);

#endif
