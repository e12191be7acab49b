/* batch-private.h: a batch file between its text and its plan; app/batch alone. */
#pragma once

#include "app/batch/batch.h"
#include "app/batch/expect.h"
#include "app/batch/judging.h"
#include "app/batch/plan.h"

G_BEGIN_DECLS

/* One line KEY=VALUE. */
typedef struct
{
  char *group, *key, *value;
  guint line; /* from 1; 0: not from the file but from the command line */
} FmBatchEntry;

/* Numbers of [batch]; rows in batch.c. */
typedef struct
{
  gint64  layers, width, hidden, batch, warmup, schedule, evaluate, causal, optimizer, nesterov, accumulate, recompute;
  gdouble rate, decay, clip, momentum, average;
} FmBatchSettings;

extern const FmParam fm_batch_setting_params[];

/* One parameter with the values the matrix runs through: of [batch], of a plugin or of a task. */
typedef struct
{
  const char         *owner;  /* "" for [batch], else the section's name; no ownership */
  const FmParam      *params; /* the row's table */
  const char         *name;   /* of the parameter, as the table spells it */
  GPtrArray          *values; /* char *: canonical texts, all different, at least one; "4,8": a value per layer */
  const FmBatchEntry *entry;  /* no ownership */
} FmBatchAxis;

/* A mixer with a feed-forward; one name, or one a layer. */
typedef struct
{
  char              **mixers, **feedforwards; /* NULL-terminated */
  const FmBatchEntry *entry; /* no ownership: whom to blame */
} FmBatchPair;

/* A part of the matrix, as a label names it: "local-attention, window=16": every condition holds there. */
typedef struct
{
  char      *text;
  GPtrArray *conditions; /* char *: "local-attention", "pooling x mlp", "window=16" */
  guint      matched;    /* runs so far */
} FmBatchPattern;

/* What fixes how long a variant trains. */
typedef enum
{
  FM_LENGTH_STEPS,
  FM_LENGTH_EXAMPLES,
  FM_LENGTH_TOKENS,
  FM_LENGTH_FLOPS,
  FM_LENGTH_SECONDS,
  FM_N_LENGTHS
} FmBatchLength;

extern const char * const fm_batch_length_names[FM_N_LENGTHS];

/* What is held equal. */
typedef struct
{
  gboolean      parameters, bytes, trials;
  gdouble       parameters_tolerance, bytes_tolerance, length_tolerance; /* 0.01 is 1 % */
  gboolean      has_length; /* something that fixes the length of training was named */
  FmBatchLength length;
  const FmBatchEntry *entry; /* (nullable), no ownership */
} FmBatchHold;

/* A setting that trials choose, and the values that are tried. */
typedef struct
{
  const char *name;   /* key of [batch] */
  GPtrArray  *values; /* char *: canonical texts, all different */
} FmBatchTuned;

/* One line tune=. */
typedef struct
{
  const char         *owner; /* "" for [batch], else a plugin's section; no ownership */
  GPtrArray          *tuned; /* FmBatchTuned; empty: none */
  const FmBatchEntry *entry; /* no ownership */
} FmBatchTuning;

typedef struct _FmBatchSection FmBatchSection; /* [stage NAME] */

struct _FmBatchFile
{
  char      *name; /* absolute, or NULL */
  char      *text;
  GPtrArray *entries; /* FmBatchEntry */

  char      *title;
  GPtrArray *tasks;   /* char * */
  GPtrArray *pairs;   /* FmBatchPair */
  GPtrArray *devices; /* char *: "cpu", "vulkan", "vulkan:1" */
  GArray    *seeds;   /* gint64 */
  gdouble    budget;  /* of budget_unit; steps are whole numbers */
  FmBatchLength budget_unit;
  FmBatchHold hold;
  GPtrArray *axes;    /* FmBatchAxis */
  GPtrArray *tunings; /* FmBatchTuning */
  GPtrArray *include, *exclude; /* FmBatchPattern */
  GPtrArray *stages;  /* FmBatchSection: none: a run is one training */

  FmBatchJudging *judging;
  FmBatchClaim   *claim; /* (nullable): [paper] and [expect] */
  GPtrArray      *measure; /* char *: what is measured beside the forward pass: "decode:1024" */
};

/** fm_batch_scan: (transfer full) (element-type FmBatchEntry): sections, keys and their lines; nothing twice. */
GPtrArray *fm_batch_scan (const char *text, gsize length, const char *name, GError **error);

void fm_batch_entry_free (FmBatchEntry *entry);

/** fm_batch_find: (nullable): the line of @group that sets @key. */
const FmBatchEntry *fm_batch_find (FmBatchFile *file, const char *group, const char *key);

/** fm_batch_blame: puts "FILE, line N, [SECTION] " before what went wrong; returns FALSE. */
gboolean fm_batch_blame (FmBatchFile *file, const FmBatchEntry *entry, GError **error);
gboolean fm_batch_fail  (FmBatchFile *file, const FmBatchEntry *entry, GError **error, const char *format, ...)
  G_GNUC_PRINTF (4, 5);

/** fm_batch_parse_role: (transfer full): NAME, or NAME,NAME,... a layer each. */
char **fm_batch_parse_role (FmBatchFile *file, const FmBatchEntry *entry, FmRole role, const char *text,
                            GError **error);

/** fm_batch_split: (transfer full) (element-type char *): `a;b;` as two items; nothing empty, nothing twice. */
GPtrArray *fm_batch_split (FmBatchFile *file, const FmBatchEntry *entry, GError **error);

/** fm_batch_parse_mixture: "2*mqar+listops" as names (char *) and weights (gint64); FALSE where a weight is none. */
/** fm_batch_check_mixture: (transfer full): "2*mqar+listops" without spaces and needless weights; NULL with @error. */
char    *fm_batch_check_mixture (FmBatchFile *file, const FmBatchEntry *entry, const char *text, GError **error);
gboolean fm_batch_parse_mixture (const char *text, GPtrArray *ids, GArray *weights);

/* --- select.c -----------------------------------------------------------------------------------------------------*/

void     fm_batch_pattern_free (FmBatchPattern *pattern);
/** fm_batch_parse_patterns: reads include= and exclude= once pairs and axes are known. */
gboolean fm_batch_parse_patterns (FmBatchFile *file, GError **error);

/* One run of the matrix, to be asked for. */
typedef struct
{
  const char        *task, *device;
  const FmBatchPair *pair;
  GPtrArray         *axes;   /* FmBatchAxis: those that concern it */
  const guint       *chosen; /* index of a value for each of them */
  gint64             seed;
} FmBatchPoint;

void     fm_batch_reset_patterns (FmBatchFile *file);
/** fm_batch_wants: is @point included, and not excluded? Counts what matched. */
gboolean fm_batch_wants (FmBatchFile *file, const FmBatchPoint *point);
/** fm_batch_check_patterns: FALSE where a pattern matched nothing: a slip of a name would go unseen. */
gboolean fm_batch_check_patterns (FmBatchFile *file, GError **error);

/* --- measure-axes.c -----------------------------------------------------------------------------------------------*/

/** fm_batch_parse_measure: reads measure= once the axes are known. */
gboolean fm_batch_parse_measure (FmBatchFile *file, GError **error);

/* --- hold.c -------------------------------------------------------------------------------------------------------*/

gboolean fm_batch_parse_budget (FmBatchFile *file, const FmBatchEntry *entry, GError **error);
gboolean fm_batch_parse_hold   (FmBatchFile *file, const FmBatchEntry *entry, GError **error);
/** fm_batch_check_hold: do budget, hold and lists go together? */
gboolean fm_batch_check_hold   (FmBatchFile *file, GError **error);

/* One variant on its way to a plan. */
typedef struct
{
  FmTask          *task;
  const FmBatchSettings *settings;
  FmArchitecture *(*make) (gpointer data, gint64 hidden, GError **error); /* (transfer full): with another F */
  gpointer         data;
} FmBatchCandidate;

/** fm_batch_budget_steps: how many @budget of @unit are for @candidate. */
gboolean fm_batch_budget_steps (const FmBatchCandidate *candidate, FmArchitecture *architecture, FmBatchLength unit,
                                gdouble budget, gint64 *steps, GError **error);

/* What the baseline of a task and device has, and what a variant was given for it. */
typedef struct
{
  FmArchitecture *architecture;
  gint64          steps, hidden;
  gint64          parameters, parameters_by_n; /* -1: not counted (nothing asked), or no other length can be built */
  gdouble         amount;     /* of the length held: steps, tokens, FLOPs, ... */
  guint64         peak_bytes;
  char           *unmet;      /* (nullable): why it cannot be held equal */
} FmBatchChoice;

void     fm_batch_choice_free (FmBatchChoice *choice);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchChoice, fm_batch_choice_free)
/**
 * fm_batch_choose:
 * @baseline: (nullable): the first variant on the same task and device; NULL for itself
 * @architecture: with the F of the file
 *
 * Returns: (transfer full): F and steps that hold what the file holds, or why they cannot
 */
FmBatchChoice *fm_batch_choose (FmBatchFile *file, const FmBatchChoice *baseline, const FmBatchCandidate *candidate,
                                FmArchitecture *architecture, GError **error);

/* --- expect.c -----------------------------------------------------------------------------------------------------*/

gboolean      fm_batch_is_claim_section (const char *group);
/** fm_batch_claim_parse: (transfer full): of all lines of a file that has one of the two sections; @text finds columns. */
FmBatchClaim *fm_batch_claim_parse  (GPtrArray *entries, const char *text, const char *file, GError **error);
/** fm_batch_check_expect: does every side mean one variant of @plan, and may the two be compared? */
gboolean      fm_batch_check_expect (FmBatchPlan *plan, FmBatchFile *file, GError **error);

/* --- tune.c -------------------------------------------------------------------------------------------------------*/

#define FM_TUNING_MOST 1000 /* trials of a variant */

void     fm_batch_tuning_free (FmBatchTuning *tuning);
gboolean fm_batch_parse_tune  (FmBatchFile *file, const FmBatchEntry *entry, const char *owner, GError **error);
/** fm_batch_check_tune: do tune=, hold=, seeds= and the settings go together? */
gboolean fm_batch_check_tune  (FmBatchFile *file, GError **error);
/** fm_batch_tuning_find: @found (out) (nullable): what is tuned for @pair; FALSE where two sections disagree. */
gboolean fm_batch_tuning_find (FmBatchFile *file, const FmBatchPair *pair, const FmBatchTuning **found, GError **error);
/** fm_batch_tuning_count: trials; 0 for (nullable) @tuning NULL or none. */
guint    fm_batch_tuning_count (const FmBatchTuning *tuning);
/** fm_batch_tuning_value: of the @i-th setting in @trial, the last setting changing fastest. */
const char *fm_batch_tuning_value (const FmBatchTuning *tuning, guint trial, guint i);
gboolean fm_batch_tuning_has  (const FmBatchTuning *tuning, const char *name);

/* --- recipe.c -----------------------------------------------------------------------------------------------------*/

typedef struct
{
  FmArchitecture        *architecture;
  FmTask                *task;
  const char            *device;
  const char            *hardware; /* measuring only */
  gint64                 seed, steps;
  const FmBatchSettings *settings;
  const GPtrArray       *measure; /* char *; measuring only */
  const FmBatchTuning   *tuning; /* (nullable): with @trials: settings that they choose; training only */
  GPtrArray             *trials; /* (nullable): FmBatchStage, a combination each */
  /* Of a chain, training only: */
  const GPtrArray       *starts;  /* (nullable): FmBatchStage: whose models it starts from */
  const GPtrArray       *init;    /* char *: how, see app/run/init.h */
  const char * const    *trains;  /* (nullable): patterns of what is trained */
} FmRecipeParts;

/** fm_recipe_stage: (transfer full): the stage of @kind that starts from @input (nullable), or from the trials. */
FmBatchStage *fm_recipe_stage (const FmRecipeParts *parts, const char *kind, const FmBatchStage *input);
void          fm_batch_stage_free (FmBatchStage *stage);
/** fm_short_hash: (transfer full): first 20 hex digits of SHA-256. */
char         *fm_short_hash (const char *text);

/* --- stage-sections.c ---------------------------------------------------------------------------------------------*/

void     fm_batch_section_free     (FmBatchSection *section);
gboolean fm_batch_is_stage_section (const char *group);
/** fm_batch_parse_stages: reads [stage NAME] sections once the rest of the file is known. */
gboolean fm_batch_parse_stages     (FmBatchFile *file, GError **error);
/** fm_batch_stages_use: does a stage name the plugin or task @owner? Then its parameters are the run's, too. */
gboolean fm_batch_stages_use       (FmBatchFile *file, const char *owner);
/** fm_batch_stages_settle: what the last stage sets in place of [batch]. */
gboolean fm_batch_stages_settle    (FmBatchFile *file, FmBatchSettings *settings, GError **error);
/** fm_batch_check_stages: FALSE where a rule of init= was of no use to any variant. */
gboolean fm_batch_check_stages     (FmBatchFile *file, GError **error);

/* How the planner makes what a stage names; @pair: lists that it leaves NULL are the run's. */
typedef struct
{
  FmTask         *(*make_task)         (gpointer data, const char *id, GError **error);
  FmArchitecture *(*make_architecture) (gpointer data, const FmBatchSettings *settings, const FmBatchPair *pair,
                                        FmTask *task, GError **error);
  gpointer        data;
} FmBatchMaker;

typedef FmBatchStage *(*FmBatchKeepFunc) (gpointer data, FmBatchStage *stage);

/**
 * fm_batch_stages_prepare:
 * @base: settings of [batch] for this variant
 * @hidden: F of its stages
 * @last: what the run is scored on
 *
 * Returns: (transfer full): the stages of a variant, each checked against those it starts from
 */
GPtrArray    *fm_batch_stages_prepare (FmBatchFile *file, const FmBatchMaker *maker, const FmBatchSettings *base,
                                       gint64 hidden, const FmRecipeParts *last, GError **error);
/** fm_batch_stages_add: (transfer none): the last stage of a run; those before it go to @earlier. */
FmBatchStage *fm_batch_stages_add     (GPtrArray *prepared, const FmRecipeParts *last, GPtrArray *earlier,
                                       FmBatchKeepFunc keep, gpointer data);

G_END_DECLS
