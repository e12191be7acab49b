/* onnx-ops.h: from a node of ONNX to a graph of ours. */
#pragma once

#include "compute/compute-private.h"
#include "onnx.h"

typedef struct
{
  FmTensor           *t;    /* built when it is asked for */
  const FmOnnxTensor *host; /* (nullable): what is known before running: an input, an initializer, a constant */
} Value;

typedef struct
{
  FmGraph          *g;
  GHashTable       *values; /* name -> Value */
  GPtrArray        *made;   /* FmOnnxTensor, values that were known while building */
  const FmOnnxNode *node;
  char             *why;    /* what is not covered, NULL so far */
} Import;

typedef struct
{
  const char *op;
  FmTensor *(*build) (Import *m); /* the node's first output */
} FmOnnxOperator;

extern const FmOnnxOperator fm_onnx_math[], fm_onnx_movement[], fm_onnx_windows[]; /* ended by a row without a name */

/* What builders ask. */
void      put       (Import *m, const char *name, FmTensor *t, const FmOnnxTensor *host_value);
/* A tensor of numbers known before running; owned by @m. */
const FmOnnxTensor *made_tensor (Import *m, FmOnnxType type, guint rank, const gint64 *dims, const gdouble *values);
/* The same as a tensor of the graph. */
FmTensor *numbers   (Import *m, FmOnnxType type, FmShape shape, const gdouble *values);
FmTensor *uncovered (Import *m, const char *format, ...) G_GNUC_PRINTF (2, 3);
FmShape   shape_of  (const FmOnnxTensor *t);
gboolean  given     (Import *m, guint k);
FmTensor *in        (Import *m, guint k);
/* Numbers that shape the graph: they must be known before it runs. */
const FmOnnxTensor *host (Import *m, guint k); /* (nullable) */
gint64      integer (Import *m, const char *name, gint64 otherwise);
gdouble     real    (Import *m, const char *name, gdouble otherwise);
const char *word    (Import *m, const char *name, const char *otherwise);
/* (transfer full): whole numbers from an attribute or, in newer operators, from input @k; NULL where neither is given. */
GArray     *integers (Import *m, const char *name, guint k);
gint        axis_of (FmTensor *x, gint64 axis);
FmTensor   *number  (Import *m, gdouble value);
FmTensor   *without_axes (FmGraph *g, FmTensor *x, const gboolean *gone);

#define AT(array, i) g_array_index (array, gint64, i)
