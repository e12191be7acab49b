/* check-case.h: one build of one plugin at given sizes, run once. Inside app/architecture only (tests excepted). */
#pragma once

#include "app/architecture/architecture-private.h"
#include "compute/compute.h"

G_BEGIN_DECLS

/* A probe as it came out. */
typedef struct
{
  FmModelProbe *row; /* owned */
  gfloat       *data;
} FmCheckProbe;

typedef struct
{
  /* What is built */
  const FmPlugin *plugin;
  gconstpointer   params;
  gint64   B, N, D, F, M;  /* M: length of the context, 0 = none */
  gint64   rows, columns;  /* grid, or 0 */
  gboolean causal, probes, gradients;
  const gint32 *lengths, *context_lengths; /* [B], or NULL */
  guint64  seed;
  gfloat  *x;       /* [B,N,D] */
  gfloat  *context; /* [B,M,D] */
  gdouble  shift;   /* every parameter is moved by shift * its direction (for differences) */
  const gint32 *prefix; /* [B]: of fm_check_case_decode(): tokens of each row that come at once, the rest one by one */

  /* What came out; owned */
  gfloat    *y; /* [B,N,D] */
  gdouble    loss; /* sum of y times fixed random weights */
  gfloat    *dx;
  gdouble    slope; /* product of parameter gradients and their directions */
  GPtrArray *found; /* FmCheckProbe */
} FmCheckCase;

gboolean fm_check_case_run   (FmCheckCase *c, const char *device, guint threads, GError **error);
/** fm_check_case_decode: y again, by PREFILL of the first @c->prefix tokens of each row and DECODE of the others. */
gboolean fm_check_case_decode (FmCheckCase *c, const char *device, guint threads, GError **error);
void     fm_check_case_clear (FmCheckCase *c);
gsize    fm_check_case_count (const FmCheckCase *c); /* B N D */
/* n numbers, mean 0 variance 1, from (seed, stream). */
gfloat  *fm_check_normals    (guint64 seed, guint64 stream, gsize n);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmCheckCase, fm_check_case_clear)

G_END_DECLS
