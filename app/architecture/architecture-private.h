/* architecture-private.h: inside app/architecture only (tests excepted). */
#pragma once

#include "app/architecture/architecture.h"

G_BEGIN_DECLS

#define FM_N_LAYER_ROLES 3 /* mixer, feedforward, block */

typedef struct
{
  const FmPlugin *plugin; /* no ref: plugins live as long as the process */
  gpointer        params; /* owned */
} FmPart;

struct _FmArchitecture
{
  gint     refs;
  gint64   layers, width, hidden;
  gboolean causal;
  FmPart  *parts[FM_N_LAYER_ROLES]; /* by layer */
};

struct _FmValues
{
  GPtrArray *names;   /* char * */
  GPtrArray *tensors; /* FmTensor, no ref */
};

FmValues *fm_values_new  (void);
void      fm_values_set  (FmValues *values, const char *name, FmTensor *t);
void      fm_values_free (FmValues *values);

typedef struct
{
  char     *name;
  gint      layer;
  FmTensor *tensor;
} FmShare;

struct _FmModel
{
  FmArchitecture *architecture; /* owned ref */
  FmTask         *task;         /* owned ref */
  char           *name;
  FmModelOptions  options;

  /* While a graph is being built */
  FmGraph   *graph;
  guint      applications;
  gboolean   probes;  /* are they open? */
  FmTensor  *lengths; /* i32 [B], or NULL */
  FmTensor  *positions; /* DECODE: i32 [B], else NULL */
  FmTensor  *loss_terms; /* summed so far, [1], or NULL */
  GPtrArray *shares;  /* FmShare of the application being built */
  GPtrArray *outputs; /* FmValues of every application; owned */
  GPtrArray *logs, *found_probes; /* of the graph being built, owned by FmModelGraph afterwards */
};

struct _FmBuildHost
{
  FmModel        *model;
  FmGraph        *graph;
  const FmPlugin *plugin;
  const FmValues *inputs;
  gint            layer;
};

/** fm_index_modulo: of i32 @x from 0 to 2^22. */
FmTensor *fm_index_modulo (FmGraph *g, FmTensor *x, gint64 n);

void fm_model_log_free   (gpointer log);
void fm_model_probe_free (gpointer probe);
void fm_model_begin_graph (FmModel *model, FmGraph *g, gboolean probes, FmTensor *lengths);

G_END_DECLS
