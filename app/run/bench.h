/* bench.h: the engine against a peer: pieces of work with a name, timed in turns with another program that does the same.
 *
 * Cases: "T1", "T2", "T3" (a training step), "softmax-N", "linear-N" (attention forward, B1 H4 d64), "decode-N" (a token
 * after N - 1 cached ones). docs/speed.md says what each is, and which ratio is wanted. */
#pragma once

#include "app/architecture/architecture.h"

G_BEGIN_DECLS

typedef struct _FmBenchCase FmBenchCase;

typedef struct
{
  const char *device;      /* "cpu", "vulkan:0" */
  guint       threads;     /* of the CPU; 0 = all */
  const char *mixer;       /* of a training step; NULL = softmax-attention */
  const char *feedforward; /* NULL = mlp */
} FmBenchOptions;

/** fm_bench_names: names of the cases of @kind ("step", "attention", "decode", "all"), ended by NULL; NULL for another kind. */
FM_API const char * const *fm_bench_names (const char *kind);

/** fm_bench_case_new: builds the work and fills its inputs; nothing has run. The nearest name is offered. */
FM_API FmBenchCase *fm_bench_case_new  (const char *name, const FmBenchOptions *options, GError **error);
FM_API void         fm_bench_case_free (FmBenchCase *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBenchCase, fm_bench_case_free)

FM_API const char *fm_bench_case_get_title   (const FmBenchCase *c); /* "causal LM, train: L2 D64 ..." */
FM_API gdouble     fm_bench_case_get_bar     (const FmBenchCase *c); /* ratio wanted, NAN for none */
FM_API FmCost      fm_bench_case_get_cost    (const FmBenchCase *c); /* by formula: what the work needs, not what we do */
FM_API FmProgram  *fm_bench_case_get_program (FmBenchCase *c);       /* (transfer none) */
FM_API FmDevice   *fm_bench_case_get_device  (FmBenchCase *c);       /* (transfer none) */
/** fm_bench_case_run: @n times, the mean in @ms. */
FM_API gboolean    fm_bench_case_run (FmBenchCase *c, guint n, gdouble *ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  gdouble ours_ms, ours_low_ms, ours_high_ms; /* median and quartiles */
  gdouble peer_ms;                            /* median; NAN without a peer, as below */
  gdouble ratio, ratio_low, ratio_high;       /* median over rounds of ours / peer, with a 95% interval */
  char   *peer;                               /* what the peer says it is, or NULL */
} FmBenchResult;

/**
 * fm_bench_compare:
 * @peer_argv: (nullable): a command that says in a line what it is, then answers each line "N" with the mean
 *   milliseconds of N runs
 *
 * Warms up, then @rounds rounds of about a fifth of a second a side, in turns.
 */
FM_API gboolean fm_bench_compare (FmBenchCase *c, const char * const *peer_argv, guint rounds, FmBenchResult *result,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void     fm_bench_result_clear (FmBenchResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmBenchResult, fm_bench_result_clear)

/* A fresh process that runs a case a few times. */
typedef struct
{
  gdouble ready_ms;                /* from its start until the first run can begin; median */
  gdouble start_ms, peer_start_ms; /* from its start to the end of the first run; medians; NAN without a peer */
  gint64  resident_bytes;          /* most that was resident; the last process's, as all below */
  gdouble peer_resident_bytes;     /* NAN without a peer */
  gint64  growth_bytes;            /* of what was resident, since just before the program was made */
  gint64  planned_bytes;           /* variables, inputs and arena */
  gint64  arena_bytes, touched_bytes; /* planned, and up to the highest byte that a run writes; 0 on a GPU */
} FmBenchProcess;

/** fm_bench_process: @rounds processes on each side, in turns. */
FM_API gboolean fm_bench_process (const char *name, const FmBenchOptions *options, const char * const *peer_argv,
                                  guint rounds, FmBenchProcess *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_bench_probe: the inside of such a process of ours: answers with one line of JSON on standard output. */
FM_API gboolean fm_bench_probe   (const char *name, const FmBenchOptions *options, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
