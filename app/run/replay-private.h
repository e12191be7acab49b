/* replay-private.h: between replay.c, which makes a replay, replay-compare.c, which judges it, and bundle.c. */
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

/** fm_remove_tree: a scratch folder with all that is in it. */
void     fm_remove_tree   (const char *path);
/** fm_file_has_hash: FALSE also where it cannot be read. */
gboolean fm_file_has_hash (const char *file, const char *sha256);

G_END_DECLS
