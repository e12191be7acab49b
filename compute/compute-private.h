/* compute-private.h: how a graph looks inside, what an op is, and what the two backends hand to it.
 *
 * An op is one file, compute/ops/<op>.c, with its shape rule, gradient rule, CPU kernel, cost and row of the op table;
 * its shader lies beside it as compute/ops/<op>.comp. The public builders (fm_softmax ()) stand in the same file.
 * To add one: both files, one name in compute/ops/meson.build, a test. Nothing else switches over ops. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

typedef struct _FmNode FmNode;
typedef struct _FmOp   FmOp;

/* --- Tensors and nodes --------------------------------------------------------------------------------------------*/

typedef enum
{
  FM_TENSOR_NODE,     /* output of a node; lives in the arena */
  FM_TENSOR_INPUT,    /* written by the host; outside the shared arena, so that it keeps its value between runs */
  FM_TENSOR_VARIABLE, /* in an FmVariables */
} FmTensorKind;

struct _FmTensor
{
  FmGraph     *graph;
  FmTensorKind kind;
  FmType       type;
  FmShape      shape;
  gint64       stride[FM_MAX_RANK]; /* elements; 0 on repeated axes */
  gint64       offset;              /* elements from the start of @base */
  FmTensor    *base;    /* whose memory this is: itself unless a view (no ref) */
  FmNode      *node;    /* maker, NULL for inputs and variables; a view's node is its view op */
  guint        output;  /* index among the node's outputs */
  const char  *name;    /* full path of a variable, name of an input, else NULL */
  guint        id;      /* index in the graph's list of tensors */
  gboolean     gradient; /* made by fm_grad() or the training step: a kind of memory, nothing else */

  /* Variables */
  FmInit       init;
  gboolean     trainable;
  gboolean     moment;  /* optimizer state */
  FmTensor    *follows; /* (nullable) the variable whose value this one starts from: averages */
  gboolean     frozen;
  gboolean     row_sparse;
  gdouble      rate, decay;
};

#define FM_NODE_MAX_OUT 5

typedef struct /* an op's numbers; each op says in its file what they mean */
{
  gint64  i[12];
  gdouble f[8];
} FmAttr;

struct _FmNode
{
  FmGraph    *graph;
  const FmOp *op;
  guint       id; /* index in graph order, which is a topological order */
  guint       n_in;
  FmTensor  **in; /* an optional input may be NULL */
  guint       n_out;
  FmTensor   *out[FM_NODE_MAX_OUT];
  FmAttr      attr;
  const char *scope; /* where it was built */
  FmPhase     phase; /* likewise */
  guint       segment; /* of what is built again for the backward pass, from 1; 0: kept */
};

struct _FmGraph
{
  GPtrArray  *nodes;     /* FmNode */
  GPtrArray  *tensors;   /* FmTensor */
  GHashTable *inputs;    /* name -> FmTensor */
  GHashTable *variables; /* path -> FmTensor */
  GPtrArray  *variable_list; /* in order of creation */
  GPtrArray  *output_names, *outputs;
  GPtrArray  *scopes;    /* char *, full paths; last = current */
  const char *root;      /* scope of the model being built: where "/name" lies */
  GPtrArray  *hooks;
  guint       hook_depth[4]; /* by FmHookKind: how many hooks are being run */
  guint       application;
  FmPhase     phase; /* of the training step that is being built */
  guint       gradient_depth; /* > 0: what is built now belongs to the backward pass */
  guint       segment, segment_depth, n_segments; /* being built; see FmNode */
  GHashTable *bound;     /* path -> FmTensor: what fm_param() gives instead; (nullable) */
  gboolean    averages;  /* fm_param() gives PATH@ema */
  GHashTable *pending;   /* variable -> gradient that the next training step adds; (nullable) */
  FmTensor   *pending_loss; /* (nullable) */
  FmTensor   *poison;
  GError     *error;
  GStringChunk *strings;
};

/* --- The op table -------------------------------------------------------------------------------------------------*/

typedef enum
{
  FM_OP_VIEW    = 1 << 0, /* out[0] shares in[0]'s memory; no kernel */
  FM_OP_EFFECT  = 1 << 1, /* writes a variable; always built */
  FM_OP_STRIDED = 1 << 2, /* kernels accept any strides on every input; without it, inputs are made contiguous */
  FM_OP_ROWS    = 1 << 3, /* kernels accept any strides but the last axis, which has stride 1 */
  FM_OP_INPLACE = 1 << 4, /* out[0] may be the memory of any input that has its shape and dies here */
  FM_OP_NARROW  = 1 << 5, /* takes f16 and i8 inputs where its infer() says so; without it they are refused for it */
} FmOpFlags;

typedef enum { FM_BACKEND_CPU, FM_BACKEND_VULKAN } FmBackend;

/* What the CPU kernel of a node gets. Pointers include the tensor's offset. */
typedef struct
{
  void       **in;  /* NULL for an absent optional input */
  void       **out;
  void        *workspace; /* op->workspace() bytes, 64-byte aligned, contents undefined */
  guint        threads;   /* for num_threads(); never for how work is split: that follows from shapes alone */
} FmCpuArgs;

typedef struct _FmVulkanRecorder FmVulkanRecorder;

/* Elementwise ops can be links of a fused chain (compute/fuse.c). On the CPU a link is its panel function, the very one
 * that the op's own kernel runs; in fused.comp it is a function of one element, NAME.glsl, which the op's own shader
 * includes too: this says which. The kind within a family is attr.i[0], the numbers c and d are attr.f[0] and f[1]. */
typedef enum
{
  FM_FAMILY_NONE, /* never fused */
  FM_FAMILY_UNARY,
  FM_FAMILY_UNARY_BACKWARD, /* in s and dy: dy D(s) */
  FM_FAMILY_BINARY,         /* by the type of in[0] */
  FM_FAMILY_WHERE,
  FM_FAMILY_CAST,           /* kind 1: to i32 */
  FM_FAMILY_CONSTANT,       /* one element of value f[0], type i[0]; becomes a number of the chain */
} FmFamily;

typedef struct _FmPanel FmPanel; /* compute/ops/elementwise.h */

struct _FmOp
{
  const char *name; /* "layer-norm" */
  guint       n_in_min, n_in_max;
  guint       n_out;
  guint       flags;

  /* Sets type and shape of every out[] (strides of contiguous outputs are filled in afterwards; a view sets its own
   * strides and offset). On wrong input calls fm_graph_fail() and returns FALSE. */
  gboolean (*infer) (FmNode *node);

  /* Given dy[k] for each output (NULL = zero), sets dx[i] for inputs that need one (leave NULL = zero). Builds graph.
   * NULL: no gradient; @no_gradient says why, and fm_grad() names the op. */
  void (*gradient) (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx);
  const char *no_gradient;

  void     (*cpu)       (const FmNode *node, const FmCpuArgs *args);
  /* Records dispatches. NULL: this op is missing on Vulkan, an error that names it. */
  gboolean (*vulkan)    (const FmNode *node, FmVulkanRecorder *recorder, GError **error);
  gsize    (*workspace) (const FmNode *node, FmBackend backend, guint threads); /* bytes; NULL = 0 */
  FmFamily family;
  void     (*panel)     (const FmPanel *panel, const FmNode *node); /* where there is a family */
  char    *(*inside)    (const FmNode *node); /* (transfer full): what it is made of, for profiles; NULL: its name says it */
  void     (*cost)      (const FmNode *node, FmCost *cost); /* NULL: 1 flop per output element, bytes of all operands */
};

/* Every file in ops/ ends with FM_OPS (file_name, &row1, &row2, ...): its rows, found through the generated table. */
#define FM_OPS(file, ...) \
  extern const FmOp * const fm_ops_##file[]; \
  const FmOp * const fm_ops_##file[] = { __VA_ARGS__, NULL }

/** fm_ops_list: all op rows, NULL-terminated (generated from compute/ops/meson.build). */
const FmOp * const *fm_ops_list (void);

/**
 * fm_node_new:
 * @attr: (nullable)
 *
 * The one way to make a node: checks for poison (returns it), makes inputs contiguous as the flags ask, infers shapes.
 * Returns: the node, or NULL when the graph has failed; use fm_op1() where only the first output matters
 */
FmNode   *fm_node_new (FmGraph *g, const FmOp *op, FmTensor * const *in, guint n_in, const FmAttr *attr);
/** fm_op1: fm_node_new() and its first output, or the poison tensor. The inputs are the last arguments. */
FmTensor *fm_op1 (FmGraph *g, const FmOp *op, const FmAttr *attr, guint n_in, ...);

/* FM_REFUSE_NULL (g, "what", tensor, ...): for the head of a builder; returns the poison tensor from it when the graph has
 * failed or one of the tensors is NULL (what a plugin gets from fm_shared () may be). */
#define FM_REFUSE_NULL(g, what, ...) \
  do \
    { \
      FmTensor * const wanted[] = { __VA_ARGS__ }; \
      if (fm_graph_refuse_null (g, what, wanted, G_N_ELEMENTS (wanted))) \
        return (g)->poison; \
    } \
  while (0)
gboolean fm_graph_refuse_null (FmGraph *g, const char *what, FmTensor * const *tensors, guint n);

static inline gboolean
fm_graph_failed (FmGraph *g)
{
  return g->error != NULL;
}

/* Strides of a contiguous tensor; offset 0. */
void     fm_tensor_set_contiguous (FmTensor *t);
gboolean fm_tensor_is_contiguous  (const FmTensor *t);
gint64   fm_shape_count           (const FmShape *s);
gboolean fm_shape_equal           (const FmShape *a, const FmShape *b);
char    *fm_shape_to_string       (const FmShape *s); /* "[64,49,64]" */
/* The axis as 0..rank-1, or -1 after recording a failure for @what. */
gint     fm_axis                  (FmTensor *x, gint axis, const char *what);
/* Broadcast of two shapes, or FALSE. */
gboolean fm_shape_broadcast       (const FmShape *a, const FmShape *b, FmShape *out);
/* Sums @x down to @shape: the gradient of a broadcast. */
FmTensor *fm_sum_to               (FmGraph *g, FmTensor *x, FmShape shape);
/* (transfer full): @name in the current scope, or below the root with a leading "/". */
char     *fm_full_path            (FmGraph *g, const char *name);
/* A variable at an absolute path; used by fm_param(), fm_state() and the optimizer. */
FmTensor *fm_variable             (FmGraph *g, const char *path, FmType type, FmShape shape, FmInit init);

/* Whether @node is gather-rows along the first axis: its table gets a gradient in few rows. */
gboolean fm_node_gathers_rows (const FmNode *node);
/* Sums rows [n,W] that have the same @index i32 [n], in their order: the sum lies where the first of them was and @which
 * i32 [n] (out) has their number there; elsewhere zeros and -1, as for an index outside of 0..rows-1. */
FmTensor *fm_merge_rows (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows, FmTensor **which);

/* Builders that only the optimizer uses. */
/* f32 [n]: the sum of squares of each tensor. */
FmTensor *fm_sum_squares (FmGraph *g, FmTensor * const *x, guint n);
/* Effects on @param and its moments (all variables). @norm f32 [1]: global norm, not finite = nothing is written; the
 * gradient is scaled by min (1, clip / norm) when clip > 0. @rate f32 [1], @step i32 [1] from 1. @rows NULL, or i32 [n]: the
 * gradient is [n,W] and its row i belongs to row rows[i] of axis 0, -1 to none; other rows stay as they are. */
void      fm_adamw       (FmGraph *g, FmTensor *param, FmTensor *moment1, FmTensor *moment2, FmTensor *gradient,
                          FmTensor *rows, FmTensor *norm, FmTensor *rate, FmTensor *step, const FmOptimizer *options,
                          gdouble rate_factor, gdouble decay_factor);
/* @moment NULL without momentum. */
void      fm_sgd         (FmGraph *g, FmTensor *param, FmTensor *moment, FmTensor *gradient, FmTensor *rows, FmTensor *norm,
                          FmTensor *rate, const FmOptimizer *options, gdouble rate_factor, gdouble decay_factor);
/* @average follows @param, both variables; reads what the step before it wrote. */
void      fm_average     (FmGraph *g, FmTensor *average, FmTensor *param, FmTensor *norm, FmTensor *step, gdouble factor);

/* --- CPU kernels --------------------------------------------------------------------------------------------------
 *
 * FM_KERNEL (return, name, (parameters), (arguments)) { body } compiles the body for three processor levels and calls
 * the best one the machine has (FORMARIUM_CPU_LEVEL=1|3|4 forces a lower one, for tests). The body and every helper it
 * calls must be inlined: mark helpers FM_INLINE. No OpenMP inside a kernel: an outer function splits the work by shape
 * and calls the kernel per block. */

#define FM_INLINE static inline __attribute__ ((always_inline))

extern int fm_cpu_level; /* 1, 3 or 4 */

#if defined(__x86_64__) && !defined(FM_ONE_LEVEL)
#define FM_KERNEL(ret, name, params, args) \
  FM_INLINE ret name##_body params; \
  __attribute__ ((target ("arch=x86-64-v4,prefer-vector-width=512"))) static ret name##_v4 params \
  { return name##_body args; } \
  __attribute__ ((target ("arch=x86-64-v3"))) static ret name##_v3 params { return name##_body args; } \
  static ret name##_v1 params { return name##_body args; } \
  static ret name params \
  { \
    if (fm_cpu_level >= 4) \
      return name##_v4 args; \
    if (fm_cpu_level >= 3) \
      return name##_v3 args; \
    return name##_v1 args; \
  } \
  FM_INLINE ret name##_body params
#else
#define FM_KERNEL(ret, name, params, args) static ret name params
#endif

/* Rows of [n_rows] are dealt to threads in blocks of this many elements or so; from the shape alone. */
#define FM_CPU_BLOCK 16384

/* --- Vulkan shaders -----------------------------------------------------------------------------------------------
 *
 * A shader compute/ops/NAME.comp binds its tensors as storage buffers 0, 1, ... in the order given to
 * fm_vulkan_dispatch(), reads its sizes as push constants (128 bytes at most) and its variant as specialisation
 * constants from id 3 on (0, 1, 2 are the workgroup size, chosen by the recorder: local_size_x_id = 0 ...).
 * Each binding covers the whole base tensor: pass tensor->offset and strides as push constants. */

#define FM_VULKAN_MAX_BIND 16 /* some devices take fewer: the recorder refuses the op there */

typedef struct
{
  const char     *shader; /* file name without .comp */
  FmTensor       *bind[FM_VULKAN_MAX_BIND]; /* views bind their base; FM_VULKAN_WORKSPACE for the node's workspace */
  guint           n_bind;
  const void     *push;
  gsize           push_bytes; /* multiple of 4, <= 128 */
  guint32         spec[40];   /* constant ids 3.. */
  guint           n_spec;
  guint32         local_x;    /* threads in a workgroup: 0 = 128; at most 256 */
  guint64         groups;     /* workgroups; spread over x and y: see common.glsl's group_index() */
} FmVulkanDispatch;

extern FmTensor fm_vulkan_workspace_marker;
#define FM_VULKAN_WORKSPACE (&fm_vulkan_workspace_marker)

/* Each dispatch sees the results of those before it (the recorder puts the barriers). */
gboolean fm_vulkan_dispatch (FmVulkanRecorder *recorder, const FmVulkanDispatch *dispatch, GError **error);

/* --- Plan, shared by the backends ---------------------------------------------------------------------------------*/

typedef struct
{
  FmGraph   *graph;
  GPtrArray *nodes;      /* FmNode, those that are needed, in order, views left out; elementwise ones fused */
  GPtrArray *chains;     /* of compute/fuse.h, owned */
  GPtrArray *inputs;     /* FmTensor */
  GPtrArray *variables;  /* FmTensor, those that are used */
  guint64   *offset;     /* by tensor id of a base: byte offset in the arena; G_MAXUINT64 = not in it */
  guint64   *workspace;  /* by index in @nodes: byte offset of the workspace */
  FmPlan     bytes;
  FmCost     cost;
} FmMemoryPlan;

FmMemoryPlan *fm_memory_plan_new  (FmGraph *g, FmBackend backend, guint threads, guint64 alignment, GError **error);
void          fm_memory_plan_free (FmMemoryPlan *plan);
gsize         fm_tensor_bytes     (const FmTensor *t); /* of a base tensor's memory: whole words of four bytes */
gsize         fm_tensor_data_bytes (const FmTensor *t); /* of its elements, what the host writes and reads */
/* Initial values of a variable, from (seed, path) alone; host memory. */
void          fm_variable_initialise (const FmTensor *variable, guint64 seed, gpointer data);

/* --- Backends -----------------------------------------------------------------------------------------------------*/

typedef struct _FmBackendClass FmBackendClass;

struct _FmDevice
{
  const FmBackendClass *class;
  FmBackend     backend;
  gint          refs; /* atomic */
  FmDeviceInfo *info;
  guint         threads;
  guint64       alignment; /* bytes, of offsets in the arena */
};

struct _FmVariables
{
  gint        refs;
  FmDevice   *device; /* owned ref */
  guint64     seed;
  GHashTable *table; /* path -> FmVariable */
  guint       generation; /* goes up when memory of a variable moves: programs made before must not run */
};

typedef struct
{
  char   *path;
  FmType  type;
  FmShape shape;
  gsize   bytes;
  gboolean moment;
  gpointer memory; /* the backend's: a pointer (CPU), a buffer record (Vulkan) */
} FmVariable;

struct _FmProgram
{
  FmDevice     *device; /* owned ref */
  FmVariables  *variables; /* owned ref */
  FmGraph      *graph; /* no ref */
  FmMemoryPlan *plan;
  guint         generation; /* of the variables when it was made */
  gboolean      profiling;
  guint64       runs; /* that were started without an error */
  GArray       *profile; /* double seconds, guint64 calls by node: FmNodeTime */
  gpointer      backend; /* the backend's own record */
};

typedef struct
{
  gdouble seconds; /* of all runs */
  guint64 calls;
  gdouble start, last; /* of the last run: seconds since it began, seconds it took */
} FmNodeTime;

struct _FmBackendClass
{
  const char *name;
  void      (*list)  (GPtrArray *infos); /* appends FmDeviceInfo */
  FmDevice *(*open)  (const char *id, guint threads, GError **error);
  void      (*close) (FmDevice *device);
  gboolean  (*measure_roof) (FmDevice *device, FmRoof *roof, GError **error);

  /* The first @bytes of the arena as the host sees them; NULL where it does not. */
  guint8   *(*arena)        (FmDevice *device, gsize bytes, GError **error);

  /* Memory of variables. */
  gpointer  (*memory_new)   (FmDevice *device, gsize bytes, GError **error);
  void      (*memory_free)  (FmDevice *device, gpointer memory);
  gboolean  (*memory_write) (FmDevice *device, gpointer memory, gconstpointer data, gsize bytes, GError **error);
  gboolean  (*memory_read)  (FmDevice *device, gpointer memory, gpointer data, gsize bytes, GError **error);

  /* Programs: @p has device, variables (all present), graph and plan. */
  gboolean  (*program_init)  (FmProgram *p, GError **error);
  void      (*program_clear) (FmProgram *p);
  gboolean  (*program_write) (FmProgram *p, FmTensor *input, gconstpointer data, gsize bytes, GError **error);
  gboolean  (*program_run)   (FmProgram *p, GError **error);
  gboolean  (*program_start) (FmProgram *p, GError **error); /* NULL where a run is all there is */
  guint     (*program_kept)  (FmProgram *p);                 /* NULL: 1 */
  gboolean  (*program_read)  (FmProgram *p, FmTensor *output, guint runs_ago, gpointer data, gsize bytes, GError **error);
};

extern const FmBackendClass fm_cpu_backend;
#if defined(FM_HAVE_VULKAN) && FM_HAVE_VULKAN
extern const FmBackendClass fm_vulkan_backend;
#endif

FmVariable *fm_variables_lookup (FmVariables *v, const char *path); /* (nullable) */
gboolean    fm_variables_add    (FmVariables *v, const char *path, FmType type, const FmShape *shape, gboolean moment,
                                 gconstpointer data, GError **error);
void        fm_node_cost        (const FmNode *node, FmCost *cost); /* the op's own, or the default */

G_END_DECLS
