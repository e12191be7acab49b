/* replay-private.h: between replay.c, which makes a replay, and replay-compare.c, which judges it. */
#pragma once

#include "app/run/replay.h"
#include "app/run/run-private.h"

G_BEGIN_DECLS

typedef struct
{
  gint64   run; /* number in the store it is of */
  char    *stage;
  gboolean other_hardware; /* measuring: than the recipe names */
} FmReplayItem;

struct _FmReplay
{
  FmStore   *then; /* no ref */
  FmStore   *now;
  char      *folder;
  gint64     batch;
  GPtrArray *items;   /* FmReplayItem */
  GPtrArray *changes; /* char * */
};

G_END_DECLS
