/* builders.h: every builder of compute.h and ops.h, callable without knowing its arguments; the calls are generated. */
#pragma once

#include "compute/compute-private.h"

typedef struct _FmArguments FmArguments;

typedef struct
{
  const char *name;
  FmTensor *(*call) (FmGraph *g, FmArguments *a);
} FmBuilder;

extern const FmBuilder fm_builders[];            /* ended by a row without a name */
extern const char * const fm_builders_unknown[]; /* those whose arguments the generator does not know; ended by NULL */

/* Where arguments come from. */
struct _FmArguments
{
  GPtrArray *pool;   /* FmTensor, to choose from */
  FmRandom  random;
  gboolean  nasty;   /* NULL, huge, negative, of the wrong type, too */
  gint      axes[FM_MAX_RANK];
  gint64    sizes[FM_MAX_RANK];
  FmAttentionMask mask;
  FmConvWindow  window;
  FmTensor *last;    /* tensor given last: axes are made for it */
};

#define FM_ARGUMENT_LIST 4

FmTensor     *fm_argument_tensor (FmArguments *a);
guint         fm_argument_list   (FmArguments *a, FmTensor **list);
gint          fm_argument_axis   (FmArguments *a);
guint         fm_argument_flags  (FmArguments *a);
guint         fm_argument_count  (FmArguments *a); /* of the axes given before */
gint64        fm_argument_size   (FmArguments *a);
gdouble       fm_argument_real   (FmArguments *a);
gboolean      fm_argument_truth  (FmArguments *a);
const char   *fm_argument_name   (FmArguments *a);
FmShape       fm_argument_shape  (FmArguments *a);
FmType        fm_argument_type   (FmArguments *a);
FmInit        fm_argument_init   (FmArguments *a);
const gint   *fm_argument_axes   (FmArguments *a);
const gint64 *fm_argument_sizes  (FmArguments *a);
const FmAttentionMask *fm_argument_mask (FmArguments *a);
const FmConvWindow *fm_argument_window (FmArguments *a);
