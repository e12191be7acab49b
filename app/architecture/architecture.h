/* architecture.h: an architecture as data, the models made of it, and their graphs.
 *
 * The standard skeleton (encoder): embedding of the task's main input (patches or tokens, learned positions), then L
 * blocks x += mixer (norm (x)); x += feedforward (norm (x)), then a final norm and one head a target (mean over visible
 * tokens for a class, every token for a sequence). A comparison differs in the roles alone. */
#pragma once

#include "app/architecture/plugins.h"
#include "data/task.h"

G_BEGIN_DECLS

typedef struct _FmArchitecture FmArchitecture;

/** fm_architecture_new: softmax-free shell: roles are set afterwards. L layers, D width, F hidden; all >= 1. */
FM_API FmArchitecture *fm_architecture_new   (gint64 layers, gint64 width, gint64 hidden, GError **error);
FM_API FmArchitecture *fm_architecture_ref   (FmArchitecture *a);
FM_API void            fm_architecture_unref (FmArchitecture *a);

/**
 * fm_architecture_set:
 * @layer: 0-based, or -1 for all
 * @params: (nullable): NULL-terminated pairs name, text, name, text, ...; the rest has its default
 */
FM_API gboolean fm_architecture_set (FmArchitecture *a, FmRole role, gint layer, const char *plugin_id,
                                     const char * const *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_architecture_set_causal: tokens see themselves and earlier ones only; FALSE at first. */
FM_API void     fm_architecture_set_causal (FmArchitecture *a, gboolean causal);

FM_API gint64          fm_architecture_get_layers (FmArchitecture *a);
FM_API gint64          fm_architecture_get_hidden (FmArchitecture *a);
FM_API const FmPlugin *fm_architecture_get_plugin (FmArchitecture *a, FmRole role, gint layer);
FM_API gconstpointer   fm_architecture_get_params (FmArchitecture *a, FmRole role, gint layer);

/** fm_architecture_identity: (transfer full): all that determines what is built: sizes, plugins with file hashes, parameters. */
FM_API char *fm_architecture_identity (FmArchitecture *a);
/** fm_architecture_to_json / _from_json: what a worker is sent; plugins by id and hash (another hash is an error). */
FM_API char           *fm_architecture_to_json   (FmArchitecture *a);
FM_API FmArchitecture *fm_architecture_from_json (const char *json, GError **error);

/** fm_architecture_check: can it be built for @task? Capabilities (causal, ragged), heads, required inputs. */
FM_API gboolean fm_architecture_check (FmArchitecture *a, FmTask *task, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_architecture_can_decode: is it causal, and does every part build for PREFILL and DECODE? The error says which does
 * not. */
FM_API gboolean fm_architecture_can_decode (FmArchitecture *a, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- Models and their graphs ---------------------------------------------------------------------------------------*/

/** fm_model_new: @name is the scope of its parameters; "" when there is one model. */
FM_API FmModel *fm_model_new  (FmArchitecture *a, FmTask *task, const char *name);
FM_API void     fm_model_free (FmModel *model);

/* How graphs of a model are built beside their optimizer; zero is the plain way. */
typedef struct
{
  gint64   recompute;  /* TRAIN: so many first layers are built again for the backward pass instead of kept */
  gint64   accumulate; /* TRAIN: parts of a batch that go through the model one after another; must divide it */
  gboolean averages;   /* EVALUATE: reads the averaged weights */
  gint64   times;      /* the main input is so many times as long (its grid has so many times the rows); 0 is 1 */
  gint64   length;     /* PREFILL: tokens of a row; the table of positions begins again where the task's length ends */
  gint64   capacity;   /* PREFILL, DECODE: most tokens a row can come to */
  const char * const *trains; /* TRAIN (nullable), no ownership: patterns (paths.h) of what is trained; the rest is frozen */
} FmModelOptions;
FM_API void     fm_model_set_options (FmModel *model, const FmModelOptions *options);

/* A number, or a few, that a builder logs: read output `output` of `count` floats after a training step. */
typedef struct
{
  char  *output; /* "@log:layers.0.feedforward.load" */
  char  *name;   /* "load", "dropped", "balance" */
  gint   layer;  /* or -1 */
  gint64 count;
} FmModelLog;

/* An open probe: read output `output` of `shape` after a run. */
typedef struct
{
  char   *output; /* "@probe:layers.0.mixer.attention" */
  char   *name;   /* "attention" */
  char   *axes;   /* "batch,head,query,key" */
  gint    layer;
  FmRole  role;
  FmType  type;
  FmShape shape;
} FmModelProbe;

typedef struct
{
  FmGraph   *graph;
  GPtrArray *logs;   /* FmModelLog */
  GPtrArray *probes; /* FmModelProbe */
  gint64     batch;
  gboolean   ragged; /* has the input "lengths" i32 [B] */
} FmModelGraph;

FM_API void fm_model_graph_free (FmModelGraph *mg);

/**
 * fm_model_graph_new:
 * @mode: FM_MODE_TRAIN builds loss, gradients and the optimizer step; FM_MODE_EVALUATE builds logits; FM_MODE_PREFILL
 *   logits after the first tokens of each row, FM_MODE_DECODE those after one more, see plugin.h
 * @batch: rows B
 * @optimizer: TRAIN only
 * @probes: open every probe of every plugin
 *
 * Inputs: the task's by name, "lengths" when ragged, "target:NAME" (TRAIN), "@rate", "@step" (TRAIN), "@seed" i32 [2]
 * where something is random; DECODE has "@position" i32 [B], counted from 0, in place of "lengths". PREFILL and DECODE
 * give the logits of the last token: [B,classes], or [B,1,classes] of a target with one a token. Outputs: "@loss",
 * "@norm", "@norms" (TRAIN), "logits:NAME" (else), logs, probes.
 * Use fm_program_has_input(): inputs that nothing reads are not there.
 */
FM_API FmModelGraph *fm_model_graph_new (FmModel *model, FmMode mode, gint64 batch, const FmOptimizer *optimizer,
                                         gboolean probes, GError **error);

/** fm_model_write_batch: puts a task's batch into the program's inputs (inputs, lengths, targets where wanted). */
FM_API gboolean fm_model_write_batch (FmModelGraph *mg, FmProgram *program, const FmBatch *batch,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_model_parameters: number of trainable parameters of @mg's graph. */
FM_API guint64 fm_model_parameters (FmModelGraph *mg);

/**
 * fm_architecture_count:
 * @parameters: (out): trainable ones whose shape does not depend on the length N of the main input
 * @by_n: (out): those whose shape does (position tables, mixers with a weight a place); -1 when no other length can be
 *   built, and all are in @parameters
 *
 * Builds the forward graph at N and at 2 N and compares.
 */
FM_API gboolean fm_architecture_count (FmArchitecture *a, FmTask *task, gint64 *parameters, gint64 *by_n, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmArchitecture, fm_architecture_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmModel, fm_model_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmModelGraph, fm_model_graph_free)

G_END_DECLS
