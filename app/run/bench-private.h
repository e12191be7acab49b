/* bench-private.h: what the benchmark's files share: the peer as a process, and a case's memory. */
#pragma once

#include "app/run/bench.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  GSubprocess      *process;
  GDataInputStream *answers;
  GOutputStream    *questions; /* no ref */
} FmBenchPeer;

/** fm_bench_peer_start: @what: (out): the line in which it says what it is. */
gboolean fm_bench_peer_start (FmBenchPeer *peer, const char * const *argv, char **what, GError **error);
/** fm_bench_peer_ask: a line, and the number that is the answer. */
gboolean fm_bench_peer_ask   (FmBenchPeer *peer, const char *word, gdouble *answer, GError **error);
void     fm_bench_peer_clear (FmBenchPeer *peer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmBenchPeer, fm_bench_peer_clear)

gdouble  fm_bench_median (gdouble *values, guint n); /* sorts them */

/* Resident bytes of this process just before its program was made. */
gint64   fm_bench_case_get_rss_before (const FmBenchCase *c);

G_END_DECLS
