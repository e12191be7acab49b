/* batch-private.h: a batch file between its text and its plan; app/batch alone. */
#pragma once

#include "app/batch/batch.h"
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
  GPtrArray          *values; /* char *: canonical texts, all different, at least one */
  const FmBatchEntry *entry;  /* no ownership */
} FmBatchAxis;

/* A mixer with a feed-forward; one name, or one a layer. */
typedef struct
{
  char              **mixers, **feedforwards; /* NULL-terminated */
  const FmBatchEntry *entry; /* no ownership: whom to blame */
} FmBatchPair;

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
  gint64     steps;
  GPtrArray *axes;    /* FmBatchAxis */

  FmBatchJudging *judging;
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

/* --- recipe.c -----------------------------------------------------------------------------------------------------*/

typedef struct
{
  FmArchitecture        *architecture;
  FmTask                *task;
  const char            *device;
  const char            *hardware; /* measuring only */
  gint64                 seed, steps;
  const FmBatchSettings *settings;
} FmRecipeParts;

/** fm_recipe_stage: (transfer full): the stage of @kind that starts from @input (nullable). */
FmBatchStage *fm_recipe_stage (const FmRecipeParts *parts, const char *kind, const FmBatchStage *input);
void          fm_batch_stage_free (FmBatchStage *stage);
/** fm_short_hash: (transfer full): first 20 hex digits of SHA-256. */
char         *fm_short_hash (const char *text);

G_END_DECLS
