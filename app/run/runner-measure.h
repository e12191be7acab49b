/* runner-measure.h: what runner-measure.c and runner-rows.c share. */
#pragma once

#include "app/batch/judging.h"
#include "app/run/runner-private.h"

G_BEGIN_DECLS

/* Stages that are one row of the table: a variant's seeds on a task and a device. */
typedef struct
{
  const char *variant, *ground; /* no ref; ground is interned: what is compared shares it */
  GPtrArray  *members;          /* FmMeasuredMember, no ref; by seed */
  GArray     *log_us;           /* gdouble: log of the median of each block, NAN where there was none */
  gboolean    compared;         /* some comparison of the session has it, ... */
  gboolean    precise_once;     /* ... one of them is known well enough, ... */
  gboolean    wide;             /* ... and one is not */
  gboolean    wanted;           /* in the next block */
  gboolean    unstable;
} FmMeasuredRow;

/* One stage of the session. */
typedef struct
{
  FmRunnerStage *stage; /* no ref */
  FmMeasuredRow *row;   /* no ref */
  FmStageResult *result; /* NULL before its first process has ended */
  gboolean       dropped; /* failed, or its data is absent: settled already */
  guint          place;  /* in the order of this block */
} FmMeasuredMember;

void fm_measured_row_free    (gpointer row);
void fm_measured_member_free (gpointer member);

/** fm_measured_rows_find: (transfer none): the row of @stage, made when it is the first. */
FmMeasuredRow    *fm_measured_rows_find (FmRunner *runner, GPtrArray *rows, const FmRunnerStage *stage);
/** fm_measured_row_pick: (nullable): the stage that stands for the row in @block. */
FmMeasuredMember *fm_measured_row_pick  (const FmMeasuredRow *row, guint block);
/**
 * fm_measured_rows_look:
 * @blocks: that have ended
 *
 * Looks at every comparison of the session and sets what rows say of themselves.
 *
 * Returns: TRUE when no row wants another block
 */
gboolean fm_measured_rows_look (FmRunner *runner, GPtrArray *rows, const FmBatchJudging *judging, guint blocks);

/** fm_measured_member_take: (transfer full) @found: what a process told; its numbers get the block's number here, whatever
 * it calls itself. */
void fm_measured_member_take     (FmMeasuredMember *member, FmStageResult *found, guint block);
/** fm_measured_member_complete: the result becomes that of the stage. */
void fm_measured_member_complete (FmMeasuredMember *member);

G_END_DECLS
