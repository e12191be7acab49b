/* plugin.h: the whole contract of an architecture plugin, inside this tree or outside it.
 *
 * A plugin is data first: a constant descriptor, then one function that reads like its paper. It keeps no state outside
 * the graph, allocates nothing, starts no thread. Struct fields are only ever appended; `size` tells how far they go.
 *
 * Letters: B batch, N length, D width, H heads, d = D/H, F feed-forward width, E experts. Activations are f32 [B,N,D]. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

#define FM_PLUGIN_ABI 1

typedef enum
{
  FM_ROLE_MIXER,       /* self-attention inside a block: [B,N,D] -> [B,N,D] */
  FM_ROLE_FEEDFORWARD, /* the MLP inside a block; experts live here */
  FM_ROLE_BLOCK,       /* a whole block, norms and residuals included */
  FM_ROLE_HEAD,        /* scores, loss and decision */
  FM_ROLE_MODEL,       /* everything from named inputs to one output a target */
  FM_ROLE_METHOD,      /* how models are trained, adapted, compressed, merged, searched or decoded */
} FmRole;

/* Promises that the catalogue test keeps. */
typedef enum
{
  FM_CAP_CAUSAL        = 1 << 0, /* honours FmBuild.causal: no output depends on a later token */
  FM_CAP_BIDIRECTIONAL = 1 << 1, /* may look both ways */
  FM_CAP_CROSS         = 1 << 2, /* reads FmBuild.context; x may have other rows than it */
  FM_CAP_RAGGED        = 1 << 3, /* honours FmBuild.lengths: padding never reaches a visible token */
  FM_CAP_DECODE        = 1 << 4, /* builds in modes PREFILL and DECODE: token by token gives what the whole row gives */
  FM_CAP_BATCH_COUPLED = 1 << 5, /* outputs depend on batch neighbours (capacity, batch statistics) */
} FmCaps;

typedef enum { FM_MODE_TRAIN, FM_MODE_EVALUATE, FM_MODE_PREFILL, FM_MODE_DECODE } FmMode;

typedef enum
{
  FM_LAYOUT_PADDED, /* rows of equal length N, visible up to `lengths` */
  FM_LAYOUT_PACKED, /* tokens of all rows one after another, cut at `offsets` (reserved: no task packs yet) */
} FmLayout;

typedef struct _FmBuildHost FmBuildHost;

/* What every builder is told. */
typedef struct
{
  gsize       size; /* of this struct as the host knows it */
  const void *params;
  gint        layer, layers; /* 0-based, and how many there are */
  FmMode      mode;
  FmLayout    layout;
  gint64      batch;  /* B */
  gint64      length; /* N */
  gint64      width;  /* D */
  gint64      hidden; /* F */
  gint64      grid_rows, grid_columns; /* tokens lie on this grid (rows * columns = N), or 0 */
  gboolean    causal;       /* a token may see itself and earlier ones only */
  FmTensor   *lengths;      /* i32 [B], or NULL: every row is full */
  FmTensor   *offsets;      /* PACKED only */
  FmTensor   *positions;    /* i32 [B,N], or NULL: 0 to N-1 */
  FmTensor   *context;      /* cross-attention: [B,M,D], or NULL */
  FmTensor   *context_lengths; /* i32 [B], or NULL */
  FmBuildHost *host;
  gint64      capacity; /* PREFILL and DECODE: most tokens a row can come to, else 0 */
} FmBuild;

/* --- Doors of the host, all for use inside a builder ---------------------------------------------------------------*/

/** fm_task_input: (nullable): an input of the task by name ("x", "domain"), for plugins that list it as required. */
FM_API FmTensor *fm_task_input (const FmBuild *b, const char *name);

/** fm_share: names a tensor for later layers, the objective, a transform or the stage's arrays. Unread = not built. */
FM_API void      fm_share  (const FmBuild *b, const char *name, FmTensor *t);
/** fm_shared: (nullable): what the nearest earlier layer shared under @name. */
FM_API FmTensor *fm_shared (const FmBuild *b, const char *name);

/** fm_loss_term: adds @weight times the single number @t to the loss; logged under its name, unweighted. */
FM_API void fm_loss_term (const FmBuild *b, const char *name, FmTensor *t, gdouble weight);
/** fm_record: a small f32 tensor (at most 64 numbers) logged during training under its name, element by element. */
FM_API void fm_record    (const FmBuild *b, const char *name, FmTensor *t);

/** fm_probe_is_open: does somebody want to see probe @index of this plugin's table? Closed probes cost nothing. */
FM_API gboolean fm_probe_is_open (const FmBuild *b, guint index);
/** fm_probe_set: hands the tensor over; its axes must be those of the table. Ignored when closed. */
FM_API void     fm_probe_set     (const FmBuild *b, guint index, FmTensor *t);

/* --- Token by token ------------------------------------------------------------------------------------------------
 * PREFILL sees the first N tokens of every row (up to `lengths`) and leaves what later ones will ask for. DECODE sees the
 * next token of every row: x is [B,1,D], `positions` i32 [B,1] says where it stands, `lengths` is NULL; it reads what was
 * left and leaves its own. What is left are states, shared by the programs of both modes. Both modes are causal. A
 * builder that looks at no other token needs none of this. */

/**
 * fm_attention_cached:
 *
 * fm_attention() in every mode. PREFILL keeps k and v beside; DECODE puts its own beside the kept ones and attends to
 * those the mask shows: all, those within `window` or those of its `block`, and no more than these are kept. With a
 * context (cross-attention) nothing is kept. The mask may hold causal, window, block and key_lengths.
 */
FM_API FmTensor *fm_attention_cached (FmGraph *g, const FmBuild *b, const char *name, FmTensor *q, FmTensor *k,
                                      FmTensor *v, gdouble scale, const FmAttentionMask *mask);

/** fm_carried: (nullable): in DECODE what the pass before left in this layer under @name, f32; NULL in other modes. */
FM_API FmTensor *fm_carried (FmGraph *g, const FmBuild *b, const char *name, FmShape shape);
/** fm_carry: leaves @t for the next pass; ignored but in PREFILL and DECODE. */
FM_API void      fm_carry   (FmGraph *g, const FmBuild *b, const char *name, FmTensor *t);

/* --- Models as functions -------------------------------------------------------------------------------------------*/

typedef struct _FmModel  FmModel;
typedef struct _FmValues FmValues; /* named tensors: a task's inputs, a model's outputs */

FM_API FmTensor *fm_values_get (const FmValues *values, const char *name); /* (nullable) */

typedef struct
{
  FmMode mode;
} FmPass;

/**
 * fm_apply:
 * @model: one of the stage's models
 * @inputs: named inputs, as a task gives them
 *
 * Builds the model once more: parameters are shared between applications, random draws are not.
 * Returns: (transfer none): outputs by target name, owned by the model
 */
FM_API const FmValues *fm_apply (FmGraph *g, FmModel *model, const FmValues *inputs, const FmPass *pass);

/** fm_task_loss: [1]: mean cross-entropy of @outputs over the answers that are wanted, all targets summed. */
FM_API FmTensor *fm_task_loss (FmGraph *g, FmModel *model, const FmValues *outputs, const FmValues *targets);

/* What an objective sees. The host's default: fm_task_loss of models[0] applied once. Loss terms are added after it. */
typedef struct
{
  gsize           size;
  const void     *params;
  FmModel       **models;
  guint           n_models;
  const FmValues *inputs;
  const FmValues *targets;
} FmObjective;

/* --- The descriptor ------------------------------------------------------------------------------------------------*/

typedef struct
{
  const char *name; /* attention, routing, assignment, mask, kept, gate, memory */
  const char *axes; /* "batch,head,query,key": figures are drawn by axes, not by plugin */
  const char *help;
} FmProbe;
#define FM_PROBE_END { NULL, NULL, NULL }

typedef struct
{
  const char *authors;
  int         year;
  const char *arxiv; /* "1706.03762", or NULL */
} FmPaper;

typedef FmTensor *(*FmBuildFunc)     (FmGraph *g, const FmBuild *b, FmTensor *x);
typedef FmTensor *(*FmObjectiveFunc) (FmGraph *g, const FmObjective *o);

typedef struct
{
  guint32        abi;  /* FM_PLUGIN_ABI; checked before anything else is read */
  guint32        size; /* sizeof (FmPluginDescriptor) as the plugin knows it */
  const char    *id;
  const char    *title;
  const char    *summary; /* one paragraph */
  FmPaper        paper;
  const char    *complexity; /* "O(N^2 D)" */
  FmRole         role;
  guint          caps; /* FmCaps */
  const FmParam *params; /* rows, or NULL */
  gsize          params_size;
  const FmProbe *probes; /* rows, or NULL */
  const char * const *inputs; /* task inputs it requires, NULL-terminated, or NULL */
  FmBuildFunc    build;     /* MIXER, FEEDFORWARD, BLOCK; HEAD: x -> scores */
  FmObjectiveFunc objective; /* METHOD: builds the loss; NULL = the host's default */
} FmPluginDescriptor;

/* FM_PLUGIN_DEFINE (.id = "...", ...): the one symbol a plugin exports. */
#define FM_PLUGIN_SYMBOL "fm_plugin_descriptor"
#define FM_PLUGIN_DEFINE(...) \
  FM_API extern const FmPluginDescriptor fm_plugin_descriptor; \
  const FmPluginDescriptor fm_plugin_descriptor \
      = { .abi = FM_PLUGIN_ABI, .size = sizeof (FmPluginDescriptor), __VA_ARGS__ }

G_END_DECLS
