/* compute.h: tensors, graphs, gradients, programs. The public header of compute/, installed for plugin authors.
 *
 * A graph is built once per shape with the functions below, compiled for a device (fm_program_new) and run many times.
 * Tensors belong to their graph and are never freed one by one. Errors stick: after the first failure every builder
 * returns the same poison tensor and the graph keeps the first reason, so equations need no `if` between them.
 *
 * Letters in shapes: B batch, N length, D width, H heads, d head width, F feed-forward width, V vocabulary, E experts.
 * Shapes are written slowest axis first; a negative axis counts from the end (-1 = last).
 *
 * The ops are declared in ops/ops.h, which this header includes. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

#define FM_COMPUTE_ERROR (fm_compute_error_quark ())
FM_API GQuark fm_compute_error_quark (void);
typedef enum
{
  FM_COMPUTE_ERROR_GRAPH,       /* a builder's shapes or arguments cannot be */
  FM_COMPUTE_ERROR_UNSUPPORTED, /* this device has no such op or type: names both */
  FM_COMPUTE_ERROR_MEMORY,      /* planned bytes exceed what is there: states both */
  FM_COMPUTE_ERROR_DEVICE,      /* no such device, or it was lost */
  FM_COMPUTE_ERROR_FILE,        /* a checkpoint that is not one, or does not fit */
  FM_COMPUTE_ERROR_NUMBERS,     /* a host routine got numbers it cannot work on */
} FmComputeError;

/* Ops work on f32 and i32. f16 and i8 are types of storage, for inputs, variables and results of fm_cast(): views move
 * them, fm_cast() and the products over stored weights read them, every other op refuses them by name. */
typedef enum { FM_F32, FM_I32, FM_F16, FM_I8 } FmType;
FM_API gsize       fm_type_size (FmType type); /* bytes of an element */
FM_API const char *fm_type_name (FmType type); /* "f32" */

#define FM_MAX_RANK 6

typedef struct
{
  guint  rank;
  gint64 dims[FM_MAX_RANK]; /* elements, slowest first */
} FmShape;

/* FM_SHAPE (b, n, d) is an FmShape by value. */
#define FM_SHAPE(...) \
  ((FmShape){ .rank = sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64), .dims = { __VA_ARGS__ } })

typedef struct _FmGraph     FmGraph;
typedef struct _FmTensor    FmTensor;
typedef struct _FmDevice    FmDevice;
typedef struct _FmVariables FmVariables;
typedef struct _FmProgram   FmProgram;

typedef struct _FmAttentionMask FmAttentionMask; /* ops/ops.h */

/* --- Graph --------------------------------------------------------------------------------------------------------*/

FM_API FmGraph      *fm_graph_new       (void);
FM_API void          fm_graph_free      (FmGraph *g);
FM_API const GError *fm_graph_get_error (FmGraph *g); /* (nullable): the first failure */

/**
 * fm_graph_fail:
 * @what: the parameter or op to blame
 *
 * Records the first failure ("WHAT FORMAT...", prefixed by the scope) and returns the poison tensor.
 */
FM_API FmTensor *fm_graph_fail (FmGraph *g, const char *what, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Scopes name what is built inside: a parameter "q.weight" in scope "layers.3.mixer" is "layers.3.mixer.q.weight". */
FM_API void        fm_graph_push_scope (FmGraph *g, const char *format, ...) G_GNUC_PRINTF (2, 3);
FM_API void        fm_graph_pop_scope  (FmGraph *g);
FM_API const char *fm_graph_get_scope  (FmGraph *g); /* "" at the top */

/* From now on "/name" means NAME in the current scope: called once a model, by whoever applies it. */
FM_API void        fm_graph_set_root   (FmGraph *g);

/* The application number distinguishes random draws of several passes over one model; 0 at first. */
FM_API void  fm_graph_set_application (FmGraph *g, guint application);

/* --- Tensors ------------------------------------------------------------------------------------------------------*/

FM_API FmType  fm_tensor_get_type  (const FmTensor *t);
FM_API FmShape fm_tensor_get_shape (const FmTensor *t);
FM_API guint   fm_tensor_get_rank  (const FmTensor *t);
FM_API gint64  fm_tensor_get_dim   (const FmTensor *t, gint axis); /* 1 on poison or a bad axis */
FM_API gint64  fm_tensor_get_count (const FmTensor *t);            /* elements */

/** fm_input: a tensor the host writes before a run; the same name gives the same tensor. */
FM_API FmTensor *fm_graph_input    (FmGraph *g, const char *name, FmType type, FmShape shape);
/** fm_graph_output: names a tensor that the host reads after a run. Only what an output or an effect needs is built. */
FM_API void      fm_graph_output   (FmGraph *g, const char *name, FmTensor *t);
/** fm_constant: every element is @value. */
FM_API FmTensor *fm_constant       (FmGraph *g, FmType type, FmShape shape, gdouble value);
/** fm_iota: i32 [n]: 0, 1, ..., n-1. */
FM_API FmTensor *fm_iota           (FmGraph *g, gint64 n);

/* --- Parameters and state -----------------------------------------------------------------------------------------
 * Variables live outside the graph, in an FmVariables, under their full path. Initial values come from
 * (seed, path) alone. */

typedef enum
{
  FM_INIT_ZEROS,
  FM_INIT_CONSTANT,
  FM_INIT_NORMAL,
  FM_INIT_UNIFORM,
  FM_INIT_ORTHOGONAL,          /* rows [..,d] of length 1, orthogonal in groups of d, no direction preferred; f32 */
  FM_INIT_ORTHOGONAL_GAUSSIAN, /* the same, as long as vectors of normal numbers */
} FmInitKind;
typedef struct
{
  FmInitKind kind;
  gdouble    scale; /* CONSTANT: the value; NORMAL: standard deviation; UNIFORM: half width; ORTHOGONAL: a factor */
} FmInit;
#define fm_init_zeros()      ((FmInit){ FM_INIT_ZEROS, 0.0 })
#define fm_init_constant(v)  ((FmInit){ FM_INIT_CONSTANT, (v) })
#define fm_init_normal(std)  ((FmInit){ FM_INIT_NORMAL, (std) })
#define fm_init_uniform(a)   ((FmInit){ FM_INIT_UNIFORM, (a) })
#define fm_init_orthogonal(length)           ((FmInit){ FM_INIT_ORTHOGONAL, (length) })
#define fm_init_orthogonal_gaussian(factor)  ((FmInit){ FM_INIT_ORTHOGONAL_GAUSSIAN, (factor) })

/**
 * fm_param:
 * @name: within the scope; a leading "/" makes it one for the whole model
 *
 * A trainable f32 variable. The same path in the same graph gives the same tensor (other shape: failure).
 * Weight decay applies to rank >= 2 unless marked otherwise.
 */
FM_API FmTensor *fm_param (FmGraph *g, const char *name, FmShape shape, FmInit init);

typedef enum
{
  FM_MARK_FROZEN,     /* 1: no gradient is built */
  FM_MARK_RATE,       /* factor on the learning rate */
  FM_MARK_DECAY,      /* factor on the weight decay */
  FM_MARK_ROW_SPARSE, /* 1: gradients touch few rows of axis 0; see fm_train_step() */
} FmMark;
FM_API void fm_param_mark (FmTensor *param, FmMark mark, gdouble value);

/** fm_state: a variable that is not trained (running statistics, caches, stored weights); any type; survives between runs. */
FM_API FmTensor *fm_state  (FmGraph *g, const char *name, FmType type, FmShape shape, FmInit init);
/** fm_assign: an effect: @state holds @value after the run (and for whatever is built after this call). */
FM_API void      fm_assign (FmGraph *g, FmTensor *state, FmTensor *value);

/** fm_graph_param_paths: (transfer container): full paths of the trainable parameters in order of creation. */
FM_API GPtrArray *fm_graph_param_paths (FmGraph *g);
FM_API FmTensor  *fm_graph_find_variable (FmGraph *g, const char *path); /* (nullable) */

/* --- Layers: where hooks act --------------------------------------------------------------------------------------*/

/** fm_linear: parameters NAME.weight [width,n] (normal, 1/sqrt(n)) and NAME.bias [width] (zeros); x [..,n] -> [..,width]. */
FM_API FmTensor *fm_linear         (FmGraph *g, FmTensor *x, gint64 width, const char *name);
FM_API FmTensor *fm_linear_no_bias (FmGraph *g, FmTensor *x, gint64 width, const char *name);
/** fm_attention: the softmax core of a mixer, called NAME for hooks; arguments as fm_attention_core(). */
FM_API FmTensor *fm_attention (FmGraph *g, const char *name, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
                               const FmAttentionMask *mask);
/** fm_norm: layer norm with parameters NAME.gain (ones) and NAME.bias (zeros). */
FM_API FmTensor *fm_norm (FmGraph *g, FmTensor *x, const char *name);
/** fm_batch_norm: over all axes but @axis, with parameters NAME.gain, NAME.bias and running statistics as states NAME.mean
 * and NAME.variance; @training: by this batch, updating them; else by them. See group-norm.c. */
FM_API FmTensor *fm_batch_norm (FmGraph *g, FmTensor *x, gint axis, const char *name, gdouble momentum, gdouble eps,
                                gboolean training);
/** fm_at: names an activation so that an `at` hook may replace it; returns @x when nobody does. */
FM_API FmTensor *fm_at   (FmGraph *g, FmTensor *x, const char *name);

typedef enum { FM_HOOK_LINEAR, FM_HOOK_ATTENTION, FM_HOOK_PARAM, FM_HOOK_AT } FmHookKind;

typedef struct
{
  FmHookKind  kind;
  const char *path;  /* scope path and name, "layers.0.mixer.q" */
  FmTensor   *x;     /* LINEAR: input; AT, PARAM: the tensor itself */
  gint64      width; /* LINEAR */
  FmTensor   *q, *k, *v; /* ATTENTION */
  gdouble     scale;
  const FmAttentionMask *mask;
} FmHookCall;

/**
 * FmHookFunc:
 * @call: what is about to be built
 *
 * Returns: (nullable): a replacement, or NULL to leave it. Inside, fm_linear() and the like call the next hook.
 */
typedef FmTensor *(*FmHookFunc) (FmGraph *g, const FmHookCall *call, gpointer user_data);
FM_API void fm_graph_add_hook (FmGraph *g, FmHookKind kind, FmHookFunc func, gpointer user_data);

/* --- Gradients and the training step ------------------------------------------------------------------------------*/

/**
 * fm_grad:
 * @loss: [1]
 * @wrt: tensors to differentiate by
 * @gradients: (out caller-allocates): @n tensors; zeros where @loss does not depend on one
 *
 * Reverse mode, as graph: what comes back can be planned, costed and differentiated again. An op that has no gradient
 * fails the graph by its name.
 */
FM_API void fm_grad (FmGraph *g, FmTensor *loss, FmTensor * const *wrt, guint n, FmTensor **gradients);

typedef enum { FM_OPTIMIZER_ADAMW, FM_OPTIMIZER_SGD } FmOptimizerKind;

/* How a step turns gradients into new parameters. What is left 0 is off. */
typedef struct
{
  gdouble         beta1, beta2, eps; /* ADAMW: 0.9, 0.999, 1e-8 */
  gdouble         decay;    /* decoupled from the gradient; times the parameter's decay mark */
  gdouble         clip;     /* largest global norm of the gradient */
  FmOptimizerKind kind;
  gdouble         momentum; /* SGD: share of the last step's direction that is kept */
  gboolean        nesterov; /* SGD: look ahead by one step of the momentum */
  gdouble         average;  /* in (0,1): PATH@ema follows PATH, ema += (1 - average) (parameter - ema) */
} FmOptimizer;

/**
 * fm_train_step:
 *
 * Adds to @g: gradients of @loss by every unfrozen parameter, their global norm, clipping, the optimizer. Reads the
 * inputs "@rate" f32 [1] and "@step" i32 [1] (from 1); names the outputs "@loss" [1], "@norm" [1] and "@norms"
 * [parameters] (per-parameter sums of squares in the order of fm_graph_param_paths() less the frozen). A norm that is
 * not finite leaves every variable as it was. State of the optimizer are the variables PATH@m (AdamW, and SGD with
 * momentum), PATH@v (AdamW) and PATH@ema (average). Sources: AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101,
 * algorithm 2; SGD: Sutskever et al. 2013, ICML, equations 3 and 4 in the form p -= rate (g + momentum m'); average:
 * Polyak and Juditsky 1992, as exponential average with the early factor min (average, (1 + step) / (10 + step)).
 *
 * A parameter marked FM_MARK_ROW_SPARSE that only fm_gather_rows() reads (an embedding of 10^6 rows, experts [E,...]; one
 * fm_matmul_grouped() saves time alone) costs what its gathered rows cost: its gradient is one row for each index, rows
 * of one number are summed in the order of the index, and the step writes these rows alone. Norm and clipping count them
 * as ever. A row that a step does not gather keeps its weights and moments, no decay and no momentum included, as in
 * PyTorch's SparseAdam; plain SGD without decay is the dense step to the rounding. Read by anything else, averaged
 * or accumulated it is trained densely.
 */
FM_API void fm_train_step (FmGraph *g, FmTensor *loss, const FmOptimizer *options);

/**
 * fm_train_accumulate:
 * @loss: [1]: of one of several small batches whose sum the step is to take
 *
 * Builds the gradients of @loss now, right behind its forward pass, and adds them to those of the next fm_train_step() on
 * @g. With each loss divided by the number of small batches this is the step of the large batch, in the memory of a
 * small one. "@loss" is then the sum.
 */
FM_API void fm_train_accumulate (FmGraph *g, FmTensor *loss);

typedef enum { FM_SCHEDULE_COSINE, FM_SCHEDULE_LINEAR, FM_SCHEDULE_CONSTANT } FmScheduleKind;

typedef struct
{
  FmScheduleKind kind;   /* after the warm-up: half a cosine or a line down to 0 at the last step, or level */
  gdouble        rate;   /* the highest */
  gint64         warmup; /* steps in which it rises in a line */
  gint64         steps;  /* in all */
} FmSchedule;

/** fm_schedule_rate: the learning rate of @step, counted from 1. */
FM_API gdouble fm_schedule_rate (const FmSchedule *schedule, gint64 step);

/**
 * fm_graph_use_averages:
 *
 * From now on fm_param() gives PATH@ema in the place of PATH, untrained: an evaluation of the averaged weights. A
 * variable that nothing averages is made as a copy of PATH.
 */
FM_API void fm_graph_use_averages (FmGraph *g);

/**
 * fm_graph_begin_recompute:
 *
 * What is built until fm_graph_end_recompute() is not kept for the backward pass: fm_grad() builds it again, from the
 * tensors that come from outside, where it first needs it. Losses and gradients keep every bit, since random draws go
 * by name; memory falls by what lived inside, time rises by one more forward pass of it. What reads a variable that an
 * effect writes is kept. Pairs may be nested; the outermost counts. Source: Chen et al. 2016, arXiv:1604.06174.
 */
FM_API void fm_graph_begin_recompute (FmGraph *g);
FM_API void fm_graph_end_recompute   (FmGraph *g);

/**
 * fm_graph_bind:
 * @path: a parameter's full path
 * @t: (nullable): f32; NULL: the variable again
 *
 * From now on fm_param() at @path gives @t, and gradients flow into it: weights made by a graph (merged low-rank
 * adapters, generated or transformed weights, inner steps). An existing variable of that path keeps its old users.
 */
FM_API void  fm_graph_bind (FmGraph *g, const char *path, FmTensor *t);

/**
 * fm_inner_step:
 * @loss: [1], made of @params
 * @params: (inout): @n tensors f32, variables or not: replaced by where one step of the optimizer leads
 * @rate: f32 [1], or anything that broadcasts to each of @params; may be trained
 * @options: FM_OPTIMIZER_SGD with momentum and nesterov, or FM_OPTIMIZER_ADAMW; decay. No clip, no average
 * @step: from 1
 * @moments: (inout) (nullable): 2 @n tensors or NULLs, carried from step to step; may be NULL for SGD without momentum
 * @first_order: the inner gradient is a constant to the outer one: no second derivatives
 *
 * A step that is itself part of the graph: gradients flow through it (meta-learning), through ops that have a second
 * derivative; others are refused by name. The rules are those of fm_train_step(), but AdamW's root is of v + eps^2, which
 * has a slope at 0. Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, sections 2.2 and 5.2.
 */
FM_API void  fm_inner_step (FmGraph *g, FmTensor *loss, FmTensor **params, guint n, FmTensor *rate,
                            const FmOptimizer *options, guint step, FmTensor **moments, gboolean first_order);

/** FmInnerLossFunc: builds the inner loss [1] of @step, from 1; fm_param() gives what the steps before made. */
typedef FmTensor *(*FmInnerLossFunc) (FmGraph *g, guint step, gpointer user_data);
/**
 * fm_adapt:
 * @paths: @n full paths of parameters that the first inner loss builds; each stays bound to its adapted tensor until
 *   fm_graph_bind (g, path, NULL)
 *
 * @steps times @loss and fm_inner_step().
 */
FM_API void  fm_adapt (FmGraph *g, const char * const *paths, guint n, FmInnerLossFunc loss, gpointer user_data,
                       FmTensor *rate, const FmOptimizer *options, guint steps, gboolean first_order);

/** fm_graph_mark_params: marks the parameters built so far whose path matches @pattern ("layers.*.bias"); returns how many. */
FM_API guint fm_graph_mark_params (FmGraph *g, const char *pattern, FmMark mark, gdouble value);

/* --- Devices ------------------------------------------------------------------------------------------------------*/

typedef struct
{
  char    *id;      /* "cpu", "vulkan:0" */
  char    *title;   /* processor or GPU, driver */
  char    *driver;  /* "OpenBLAS 0.3.21 Haswell openmp", "llvmpipe 22.3.6 Vulkan 1.3.230" */
  gboolean software; /* a GPU interface running on the processor */
  guint64  memory_bytes; /* what a plan may use */
  char    *note;    /* (nullable): how it does products, and what of it does not work, once a program was made */
} FmDeviceInfo;
FM_API void fm_device_info_free (FmDeviceInfo *info);

/** fm_devices_list: (transfer full) (element-type FmDeviceInfo): all devices here, "cpu" first. Never fails. */
FM_API GPtrArray *fm_devices_list (void);

/** fm_device_open: @id "cpu", "vulkan" (the first) or "vulkan:N"; @threads for the CPU, 0 = all. */
FM_API FmDevice           *fm_device_open     (const char *id, guint threads, GError **error);
FM_API FmDevice           *fm_device_ref      (FmDevice *device);
FM_API void                fm_device_unref    (FmDevice *device);
FM_API const FmDeviceInfo *fm_device_get_info (FmDevice *device);

typedef struct
{
  gdouble flops; /* multiply and add count one each */
  gdouble bytes; /* read and written at least */
} FmCost;

/* What a device can do at most, measured on it. */
typedef struct
{
  gdouble flops_per_s;         /* multiply-adds from registers: the peak that shares are shares of */
  gdouble product_flops_per_s; /* a large matrix product of ours, or 0 where it was not measured */
  gdouble read_bytes_per_s;    /* from memory, read alone */
  gdouble copy_bytes_per_s;    /* read and written bytes of a copy; the larger is the bandwidth that shares are shares of */
  gdouble dispatch_s;          /* what one more kernel costs: a parallel region, a dispatch with its barrier */
  gdouble submit_s;            /* what one more submission costs; 0 on the CPU */
} FmRoof;

/** fm_device_measure_roof: takes some tenths of a second; keep the result (app/ keeps it in the store). */
FM_API gboolean fm_device_measure_roof (FmDevice *device, FmRoof *roof, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_roof_share: max (flops / peak, bytes / bandwidth) / @seconds; above 1 when bytes came from a cache. */
FM_API gdouble  fm_roof_share          (const FmRoof *roof, const FmCost *cost, gdouble seconds);

/* --- Variables ----------------------------------------------------------------------------------------------------*/

FM_API FmVariables *fm_variables_new   (FmDevice *device, guint64 seed);
FM_API FmVariables *fm_variables_ref   (FmVariables *v);
FM_API void         fm_variables_unref (FmVariables *v);
/** fm_variables_paths: (transfer container): all paths, sorted; moments are PATH@m and PATH@v. */
FM_API GPtrArray   *fm_variables_paths (FmVariables *v);
FM_API gboolean     fm_variables_read  (FmVariables *v, const char *path, gpointer data, gsize bytes, GError **error);
FM_API gboolean     fm_variables_write (FmVariables *v, const char *path, gconstpointer data, gsize bytes, GError **error);
FM_API gboolean     fm_variables_get_shape (FmVariables *v, const char *path, FmType *type, FmShape *shape);
/**
 * fm_variables_grow:
 * @shape: the same rank, no axis shorter
 * @init: values of what is new, from (seed, path) alone
 *
 * The old content stays in the corner of index 0; moments follow with zeros, averages as the parameter does. Programs
 * made before refuse to run.
 */
FM_API gboolean     fm_variables_grow  (FmVariables *v, const char *path, FmShape shape, FmInit init, GError **error);
/** fm_variables_replace: another shape and content under @path (or a new variable); its moments and average go. */
FM_API gboolean     fm_variables_replace (FmVariables *v, const char *path, FmType type, FmShape shape, gconstpointer data,
                                          gsize bytes, GError **error);
/** fm_variables_remove: with its moments and average; FALSE when there is none. */
FM_API gboolean     fm_variables_remove (FmVariables *v, const char *path);
/** fm_variables_copy_rows: row from_rows[i] of axis 0 goes to row to_rows[i]; @to and @from may be the same. */
FM_API gboolean     fm_variables_copy_rows (FmVariables *to, const char *to_path, const gint64 *to_rows, FmVariables *from,
                                            const char *from_path, const gint64 *from_rows, guint n, GError **error);
/** fm_variables_take_averages: every PATH@ema becomes the content of PATH. */
FM_API gboolean     fm_variables_take_averages (FmVariables *v, GError **error);
/** fm_variables_save: a safetensors file, written beside and renamed; @moments also writes PATH@m and PATH@v. */
FM_API gboolean     fm_variables_save  (FmVariables *v, const char *filename, gboolean moments, GError **error);
/** fm_variables_load: fills (and creates) variables from a safetensors file; refuses overlaps, holes, wrong shapes. */
FM_API gboolean     fm_variables_load  (FmVariables *v, const char *filename, GError **error);

/* --- Programs -----------------------------------------------------------------------------------------------------*/

typedef struct
{
  guint64 parameter_bytes;  /* trainable and frozen */
  guint64 optimizer_bytes;  /* moments */
  guint64 state_bytes;      /* other variables */
  guint64 activation_bytes; /* these three: what lives in the arena at its worst moment; results and outputs, */
  guint64 gradient_bytes;   /* what fm_grad() and the training step make, */
  guint64 workspace_bytes;  /* scratch of the op at work; */
  guint64 hole_bytes;       /* gaps between them */
  guint64 arena_bytes;      /* the one arena of this program: the sum of the four above */
  guint64 input_bytes;      /* beside the arena, so that inputs keep their values between runs */
  guint64 peak_bytes;       /* variables + inputs + arena */
} FmPlan;

/**
 * fm_graph_plan: the memory and cost @g would have on a backend, without a device: nothing is allocated.
 * @device_id: "cpu" or "vulkan"
 */
FM_API gboolean fm_graph_plan (FmGraph *g, const char *device_id, FmPlan *plan, FmCost *cost, GError **error);

/**
 * fm_program_new:
 * @g: consumed by nothing: the program keeps what it needs, but @g must outlive it
 * @variables: shared by all programs of a model; missing variables are created and initialised
 *
 * Programs of one device share one scratch arena, sized for the largest: outputs of a run are valid until another
 * program of the same device runs.
 */
FM_API FmProgram    *fm_program_new  (FmGraph *g, FmDevice *device, FmVariables *variables, GError **error);
FM_API void          fm_program_free (FmProgram *p);
/** fm_program_write: fills an input for the next run; inputs keep their values between runs. */
FM_API gboolean      fm_program_write (FmProgram *p, const char *input, gconstpointer data, gsize bytes, GError **error);
FM_API gboolean      fm_program_has_input (FmProgram *p, const char *input);
/** fm_program_run: returns when the results are there. */
FM_API gboolean      fm_program_run  (FmProgram *p, GError **error);
/**
 * fm_program_start: a run that the host does not wait for, where the device works beside it (Vulkan); else a run
 *
 * Runs are done in the order they were started in, of all programs of a device; at most two are on their way, a third
 * start waits for the first. Inputs may be written at once. Whatever needs a result waits: reading an output or a
 * variable, writing a variable, fm_program_run(). What goes wrong on the device is told by the first call that waits.
 */
FM_API gboolean      fm_program_start (FmProgram *p, GError **error);
FM_API gboolean      fm_program_read (FmProgram *p, const char *output, gpointer data, gsize bytes, GError **error);
/** fm_program_read_earlier: what the run @runs_ago before the last one left, so that the host may look at several runs at
 * once; @runs_ago < fm_program_get_kept(), and there were as many. */
FM_API gboolean      fm_program_read_earlier (FmProgram *p, guint runs_ago, const char *output, gpointer data, gsize bytes,
                                              GError **error);
/** fm_program_get_kept: of how many runs the outputs can be read: 1 on the CPU; more where runs go on beside the host. */
FM_API guint         fm_program_get_kept (FmProgram *p);
FM_API const FmPlan *fm_program_get_plan (FmProgram *p);
/** fm_program_count_fallbacks: nodes of the program that have no kernel on its device; making it refuses them, so 0. */
FM_API guint         fm_program_count_fallbacks (FmProgram *p);
FM_API const FmCost *fm_program_get_cost (FmProgram *p);

/**
 * fm_program_measure_arena:
 * @touched: (out): bytes from the start of the arena to the highest one that a run wrote
 *
 * Fills the arena and a mebibyte behind it with a pattern, runs, and looks. For tests and benchmarks: costs a run. A
 * run that wrote behind its plan shows as more bytes than FmPlan.arena_bytes. UNSUPPORTED where the host cannot see the
 * arena.
 */
FM_API gboolean fm_program_measure_arena (FmProgram *p, guint64 *touched, GError **error);

/* Time per op, summed by op name, of the runs since profiling was switched on. */
typedef struct
{
  const char *op;
  guint64     calls;
  gdouble     seconds;
  FmCost      cost; /* summed */
} FmProfileRow;
FM_API void    fm_program_set_profiling (FmProgram *p, gboolean on);
FM_API GArray *fm_program_get_profile   (FmProgram *p); /* (transfer full) (element-type FmProfileRow), dearest first */

/* Part of a training step that a node was built in; a program without one is all FORWARD. */
typedef enum { FM_PHASE_FORWARD, FM_PHASE_BACKWARD, FM_PHASE_OPTIMIZER } FmPhase;

/* One node of the same runs. Texts belong to the graph, @inside to the array. */
typedef struct
{
  const char *op;
  const char *scope;  /* where it was built: "layers.0.mixer" */
  char       *inside; /* (nullable): what a fused node is made of */
  FmPhase     phase;
  guint64     calls;
  gdouble     seconds; /* of all calls */
  gdouble     start_s, last_s; /* of the last run: since it began; how long this node took */
  FmCost      cost;    /* of one call */
  FmShape     shape;   /* of the first output */
} FmNodeProfile;
FM_API GArray *fm_program_get_nodes (FmProgram *p); /* (transfer full) (element-type FmNodeProfile), in order of running */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmGraph, fm_graph_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmDevice, fm_device_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmVariables, fm_variables_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmProgram, fm_program_free)

G_END_DECLS

#include "compute/ops/ops.h"
