/* meters.c: one turn of the modes that a batch measures beside the forward pass, and what the machine tells of them.
 *
 * Times run from host arrays to host scores, as for the forward pass. Prompts are drawn at random: what a token costs
 * does not depend on which one it is, but for experts with a capacity, which do not decode. A training step is taken with
 * a rate of zero, which costs what any costs and leaves the weights. */
#include "config.h"

#include "app/batch/measure-axes.h"
#include "app/run/measure-times.h"
#include "app/run/meters.h"
#include "compute/meters.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define WARM_UPS      8
#define MOST_SAMPLES  200
#define LEAST_SAMPLES 3
#define CLOCKED       9      /* runs by the device's clock */
#define SPAN          16     /* tokens behind the prompt over which decoding goes, before it starts anew */
#define LEAST_ENERGY_S 0.01  /* counters move about once a millisecond */

/* Bytes that go into a program or come out of it at each call. */
typedef struct
{
  char    *name;
  gpointer data; /* of an input; owned */
  gsize    bytes;
} Port;

/* One mode, built. */
typedef struct
{
  FmMeter       what;
  char         *name;    /* "decode:1024" */
  char         *reason;  /* (nullable): why it is not measured */
  gint64        rows, tokens; /* of a call */
  gint64        next;    /* DECODE: calls so far */
  FmModel      *model, *prompt_model;
  FmModelGraph *graph, *prompt_graph;
  FmProgram    *program, *prompt; /* DECODE: fills the cache once */
  FmVariables  *variables;
  FmBatch       batch;   /* TRAIN */
  GArray       *inputs, *outputs; /* Port */
  gpointer      scratch; /* room for the largest output */
  gsize         scratch_bytes;
  FmEvaluator  *forward; /* FORWARD (no ref), and its batch */
  const FmBatch *forward_batch;
} Mode;

struct _FmMeters
{
  FmJob     *job; /* no ref */
  FmEnergy  *energy;
  GPtrArray *modes; /* Mode */
  gboolean   opened;
};

static void
port_clear (gpointer data)
{
  Port *port = data;

  g_free (port->name);
  g_free (port->data);
}

static GArray *
ports_new (void)
{
  GArray *ports = g_array_new (FALSE, FALSE, sizeof (Port));

  g_array_set_clear_func (ports, port_clear);
  return ports;
}

static void
mode_free (gpointer data)
{
  Mode *mode = data;

  g_clear_pointer (&mode->program, fm_program_free);
  g_clear_pointer (&mode->prompt, fm_program_free);
  g_clear_pointer (&mode->graph, fm_model_graph_free);
  g_clear_pointer (&mode->prompt_graph, fm_model_graph_free);
  g_clear_pointer (&mode->model, fm_model_free);
  g_clear_pointer (&mode->prompt_model, fm_model_free);
  g_clear_pointer (&mode->variables, fm_variables_unref);
  g_array_unref (mode->inputs);
  g_array_unref (mode->outputs);
  fm_batch_clear (&mode->batch);
  g_free (mode->scratch);
  g_free (mode->name);
  g_free (mode->reason);
  g_free (mode);
}

static Mode *
mode_new (FmMeters *meters, const FmMeter *what)
{
  Mode *mode = g_new0 (Mode, 1);

  mode->what = *what;
  mode->name = fm_meter_to_string (what);
  mode->inputs = ports_new ();
  mode->outputs = ports_new ();
  g_ptr_array_add (meters->modes, mode);
  return mode;
}

FmMeters *
fm_meters_new (FmJob *job)
{
  FmMeters *meters = g_new0 (FmMeters, 1);

  meters->job = job;
  meters->energy = fm_energy_new (NULL);
  meters->modes = g_ptr_array_new_with_free_func (mode_free);
  return meters;
}

void
fm_meters_free (FmMeters *meters)
{
  g_ptr_array_unref (meters->modes);
  fm_energy_free (meters->energy);
  g_free (meters);
}

/* --- Building -----------------------------------------------------------------------------------------------------*/

static gboolean
too_large (GError **error, const char *what)
{
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE, "%s does not fit into memory", what);
  return FALSE;
}

/* Takes @name. */
static gboolean
add_output (Mode *mode, char *name, const gint64 *sizes, guint n, GError **error)
{
  Port port = { .name = name };
  gsize count;

  if (!fm_size_product (sizes, n, &count) || count > G_MAXSIZE / sizeof (gfloat))
    {
      g_free (name);
      return too_large (error, "What the model answers");
    }
  port.bytes = count * sizeof (gfloat);
  g_array_append_val (mode->outputs, port);
  if (port.bytes <= mode->scratch_bytes)
    return TRUE;
  g_free (mode->scratch);
  mode->scratch_bytes = port.bytes;
  mode->scratch = g_try_malloc (port.bytes);
  return mode->scratch || too_large (error, "What the model answers");
}

/* Takes @data. */
static void
add_input (GArray *inputs, const char *name, gpointer data, gsize bytes)
{
  Port port = { g_strdup (name), data, bytes };

  g_array_append_val (inputs, port);
}

/* What @program reads beside what changes from call to call: random numbers for the task's inputs, lengths, seeds. */
static gboolean
make_inputs (FmMeters *meters, FmProgram *program, gint64 rows, gint64 length, GArray *inputs, GError **error)
{
  FmRecipe *recipe = meters->job->recipe;
  const FmTaskInfo *info = fm_task_get_info (recipe->task);
  gint32 seed[2] = { (gint32) (recipe->seed & G_MAXUINT32), (gint32) (recipe->seed >> 32) }, step = 1;
  FmRandom random;

  fm_random_init (&random, recipe->seed, 0);
  for (guint i = 0; i < info->n_inputs; i++)
    {
      const FmTaskInput *in = &info->inputs[i];
      gint64 sizes[] = { rows, in->length == info->inputs[0].length ? length : in->length,
                         in->kind == FM_INPUT_TOKENS ? 1 : in->channels };
      gint32 *data = NULL;
      gsize n;

      if (!fm_program_has_input (program, in->name))
        continue;
      if (fm_size_product (sizes, 3, &n))
        data = g_try_new (gint32, n);
      if (data == NULL)
        return too_large (error, "The prompt");
      for (gsize k = 0; k < n; k++)
        if (in->kind == FM_INPUT_TOKENS)
          data[k] = (gint32) fm_random_below (&random, (guint64) in->vocabulary);
        else
          ((gfloat *) data)[k] = (gfloat) fm_random_normal (&random);
      add_input (inputs, in->name, data, n * 4);
    }
  if (fm_program_has_input (program, "lengths"))
    {
      gint32 *lengths = g_new (gint32, rows);

      for (gint64 i = 0; i < rows; i++)
        lengths[i] = (gint32) length;
      add_input (inputs, "lengths", lengths, (gsize) rows * 4);
    }
  if (fm_program_has_input (program, "@seed"))
    add_input (inputs, "@seed", g_memdup2 (seed, sizeof seed), sizeof seed);
  if (fm_program_has_input (program, "@step"))
    add_input (inputs, "@step", g_memdup2 (&step, sizeof step), sizeof step);
  return TRUE;
}

static gboolean
write_inputs (FmProgram *program, const GArray *inputs, GError **error)
{
  for (guint i = 0; i < inputs->len; i++)
    {
      const Port *port = &g_array_index (inputs, Port, i);

      if (!fm_program_write (program, port->name, port->data, port->bytes, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
open_train (FmMeters *meters, Mode *mode, GError **error)
{
  FmRecipe *recipe = meters->job->recipe;
  const gint64 one = 1;

  fm_model_set_options (mode->model, &(FmModelOptions){ .recompute = recipe->recompute,
                                                        .accumulate = MAX (recipe->accumulate, 1) });
  mode->graph = fm_model_graph_new (mode->model, FM_MODE_TRAIN, mode->rows, &recipe->optimizer, FALSE, error);
  mode->program = mode->graph ? fm_program_new (mode->graph->graph, meters->job->device, mode->variables, error) : NULL;
  if (mode->program == NULL || !fm_task_batch (recipe->task, "train", recipe->seed, 0, mode->rows, &mode->batch, error)
      || !make_inputs (meters, mode->program, mode->rows, mode->tokens / mode->rows, mode->inputs, error))
    return FALSE;
  if (fm_program_has_input (mode->program, "@rate"))
    add_input (mode->inputs, "@rate", g_new0 (gfloat, 1), sizeof (gfloat));
  return add_output (mode, g_strdup ("@loss"), &one, 1, error);
}

/* The program of a prompt; its states are those of the model. */
static FmProgram *
prompt_new (FmMeters *meters, Mode *mode, const FmModelOptions *options, FmMode as, FmModel **model,
            FmModelGraph **graph, GError **error)
{
  *model = fm_model_new (meters->job->recipe->architecture, meters->job->recipe->task, "");
  fm_model_set_options (*model, options);
  *graph = fm_model_graph_new (*model, as, mode->rows, NULL, FALSE, error);
  return *graph ? fm_program_new ((*graph)->graph, meters->job->device, mode->variables, error) : NULL;
}

static gboolean
open_prompt (FmMeters *meters, Mode *mode, GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (meters->job->recipe->task);
  gboolean decode = mode->what.kind == FM_METER_DECODE;
  FmModelOptions options = { .length = mode->what.length, .capacity = mode->what.length + (decode ? SPAN : 0) };

  g_clear_pointer (&mode->model, fm_model_free);
  mode->program = prompt_new (meters, mode, &options, decode ? FM_MODE_DECODE : FM_MODE_PREFILL, &mode->model,
                              &mode->graph, error);
  if (mode->program == NULL
      || !make_inputs (meters, mode->program, mode->rows, decode ? 1 : mode->what.length, mode->inputs, error))
    return FALSE;
  if (decode)
    {
      g_autoptr (GArray) inputs = ports_new ();

      mode->prompt = prompt_new (meters, mode, &options, FM_MODE_PREFILL, &mode->prompt_model, &mode->prompt_graph, error);
      if (mode->prompt == NULL
          || !make_inputs (meters, mode->prompt, mode->rows, mode->what.length, inputs, error)
          || !write_inputs (mode->prompt, inputs, error) || !fm_program_run (mode->prompt, error))
        return FALSE;
    }
  for (guint i = 0; i < info->n_targets; i++)
    if (!add_output (mode, g_strconcat ("logits:", info->targets[i].name, NULL),
                     (const gint64[]){ mode->rows, info->targets[i].classes }, 2, error))
      return FALSE;
  return TRUE;
}

static gboolean
mode_open (FmMeters *meters, Mode *mode, GError **error)
{
  FmRecipe *recipe = meters->job->recipe;
  gint64 length = fm_task_get_info (recipe->task)->inputs[0].length;

  mode->rows = recipe->batch;
  if (mode->what.kind == FM_METER_DECODE)
    length = 1;
  else if (mode->what.kind == FM_METER_PREFILL)
    length = mode->what.length;
  mode->tokens = mode->rows * length;
  mode->model = fm_model_new (recipe->architecture, recipe->task, "");
  mode->variables = fm_variables_new (meters->job->device, recipe->seed);
  if (!fm_variables_load (mode->variables, meters->job->checkpoint, error))
    return FALSE;
  return mode->what.kind == FM_METER_TRAIN ? open_train (meters, mode, error) : open_prompt (meters, mode, error);
}

/* What a model or a machine cannot do is a cell left out; anything else is a failure of the stage. */
static gboolean
is_a_reason (const GError *error)
{
  return error->domain == FM_APP_ERROR || g_error_matches (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH)
         || g_error_matches (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY)
         || g_error_matches (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED);
}

static void
say_unmeasured (FmMeters *meters, const Mode *mode)
{
  JsonObject *provenance = meters->job->provenance, *all = fm_json_object (provenance, "unmeasured");

  if (all == NULL)
    {
      all = json_object_new ();
      json_object_set_object_member (provenance, "unmeasured", all);
    }
  json_object_set_string_member (all, mode->name, mode->reason);
  fm_worker_log ("%s is not measured: %s", mode->name, mode->reason);
}

/* @name: the tag of its metrics */
static void
add_forward (FmMeters *meters, const char *name, FmEvaluator *forward, const FmBatch *batch)
{
  FmMeter what = { FM_METER_FORWARD, 0 };
  Mode *mode = mode_new (meters, &what);

  g_free (mode->name);
  mode->name = g_strdup (name);
  mode->forward = forward;
  mode->forward_batch = batch;
  mode->rows = batch->size;
}

static gboolean
open_all (FmMeters *meters, GError **error)
{
  char **asked = meters->job->recipe->measure;
  FmMeter what;
  Mode *mode;

  meters->opened = TRUE;
  json_object_set_string_member (meters->job->provenance, "energy", fm_energy_describe (meters->energy));
  for (guint i = 0; asked && asked[i]; i++)
    {
      g_autoptr (GError) local = NULL;

      if (!fm_meter_parse (asked[i], &what, error))
        return FALSE;
      mode = mode_new (meters, &what);
      if (mode_open (meters, mode, &local))
        continue;
      if (!is_a_reason (local))
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s: ", mode->name);
          return FALSE;
        }
      mode->reason = g_strdup (local->message);
      g_clear_pointer (&mode->program, fm_program_free);
      say_unmeasured (meters, mode);
    }
  return TRUE;
}

/* --- Measuring ----------------------------------------------------------------------------------------------------*/

/* One call, from host arrays to host scores; @device_s (nullable) (out): by the device's clock. */
static gboolean
call (Mode *mode, gdouble *device_s, GError **error)
{
  gboolean ok;

  if (mode->forward && device_s == NULL)
    return fm_evaluator_run (mode->forward, mode->forward_batch, NULL, error);
  if (mode->forward)
    return fm_model_write_batch (fm_evaluator_get_graph (mode->forward), fm_evaluator_get_program (mode->forward),
                                 mode->forward_batch, error)
           && fm_program_run_timed (fm_evaluator_get_program (mode->forward), device_s, error);
  ok = write_inputs (mode->program, mode->inputs, error);
  if (ok && mode->what.kind == FM_METER_TRAIN) /* over the random ones: real rows, with their answers */
    ok = fm_model_write_batch (mode->graph, mode->program, &mode->batch, error);
  if (ok && mode->what.kind == FM_METER_DECODE)
    {
      g_autofree gint32 *position = g_new (gint32, mode->rows);

      for (gint64 i = 0; i < mode->rows; i++)
        position[i] = (gint32) (mode->what.length + mode->next % SPAN);
      mode->next++;
      ok = fm_program_write (mode->program, "@position", position, (gsize) mode->rows * 4, error);
    }
  ok = ok && (device_s ? fm_program_run_timed (mode->program, device_s, error) : fm_program_run (mode->program, error));
  for (guint i = 0; ok && i < mode->outputs->len; i++)
    {
      const Port *port = &g_array_index (mode->outputs, Port, i);

      ok = fm_program_read (mode->program, port->name, mode->scratch, port->bytes, error);
    }
  return ok;
}

static gdouble
now_us (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (gdouble) t.tv_sec * 1e6 + (gdouble) t.tv_nsec * 1e-3;
}

/* A process takes its turn once, but may be asked for several: the last word counts. */
static void
set_metric (FmStageResult *result, const Mode *mode, const char *name, gdouble value)
{
  for (guint i = 0; i < result->metrics->len; i++)
    {
      FmMetricRow *row = g_ptr_array_index (result->metrics, i);

      if (g_str_equal (row->tag, mode->name) && g_str_equal (row->name, name))
        {
          row->value = value;
          return;
        }
    }
  fm_stage_result_add_metric (result, "", "", mode->name, name, value);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

/* The median of a few runs by the device's own clock, where it has one. */
static gboolean
clock_device (Mode *mode, FmStageResult *result, GError **error)
{
  gdouble seconds[CLOCKED];

  for (guint i = 0; i < CLOCKED; i++)
    {
      if (!call (mode, &seconds[i], error))
        return FALSE;
      if (!isfinite (seconds[i]))
        return TRUE;
    }
  qsort (seconds, CLOCKED, sizeof *seconds, compare_doubles);
  set_metric (result, mode, "device_us", seconds[CLOCKED / 2] * 1e6);
  return TRUE;
}

static void
look_at_heap (FmMeters *meters, Mode *mode, FmStageResult *result)
{
  JsonObject *provenance = meters->job->provenance;
  g_autoptr (GError) error = NULL;
  FmDeviceMemory memory;

  if (g_str_has_prefix (fm_device_get_info (meters->job->device)->id, "cpu"))
    return; /* it has none, which needs no saying */
  if (fm_device_query_memory (meters->job->device, &memory, &error))
    {
      set_metric (result, mode, "device_heap_bytes", (gdouble) memory.used_bytes);
      json_object_set_string_member (provenance, "device_heap", memory.unified
                                                                    ? "the processor's memory, counted in the process, too"
                                                                    : "the device's own memory");
    }
  else
    {
      g_autofree char *text = g_strconcat ("absent: ", error->message, NULL);

      json_object_set_string_member (provenance, "device_heap", text);
    }
}

static gboolean
measure (FmMeters *meters, Mode *mode, FmStageResult *result, GError **error)
{
  gdouble begun = now_us (), end = begun, start, joules;
  guint n = 0;

  if (mode->forward && *mode->name) /* one example: energy and memory are those of a batch */
    return clock_device (mode, result, error);
  for (guint i = 0; i < WARM_UPS && (i < 2 || end - begun < FM_MEASURE_MODE_US); i++)
    {
      if (!call (mode, NULL, error))
        return FALSE;
      end = now_us ();
    }
  fm_energy_begin (meters->energy);
  for (begun = end = now_us (); n < MOST_SAMPLES && (n < LEAST_SAMPLES || end - begun < FM_MEASURE_MODE_US); n++)
    {
      start = now_us ();
      if (!call (mode, NULL, error))
        return FALSE;
      end = now_us ();
      if (mode->forward == NULL) /* whose latency is measured for itself */
        fm_stage_result_add_latency (result, meters->job->process, mode->name, mode->rows, end - start);
    }
  joules = fm_energy_end (meters->energy);
  if (isfinite (joules) && end - begun >= LEAST_ENERGY_S * 1e6)
    set_metric (result, mode, "energy_joules", joules / (gdouble) n / (gdouble) mode->rows);
  look_at_heap (meters, mode, result);
  return clock_device (mode, result, error);
}

gboolean
fm_meters_take_turn (FmMeters *meters, FmEvaluator *single, const FmBatch *one, FmEvaluator *forward,
                     const FmBatch *batch, FmStageResult *result, GError **error)
{
  if (!meters->opened)
    {
      add_forward (meters, "batch1", single, one);
      add_forward (meters, "", forward, batch); /* what the view `results` shows */
      if (!open_all (meters, error))
        return FALSE;
    }
  for (guint i = 0; i < meters->modes->len; i++)
    {
      Mode *mode = g_ptr_array_index (meters->modes, i);

      if (mode->reason)
        continue;
      if (!measure (meters, mode, result, error))
        {
          g_prefix_error (error, "%s: ", mode->forward ? "forward" : mode->name);
          return FALSE;
        }
      if (mode->forward)
        continue;
      set_metric (result, mode, "rows", (gdouble) mode->rows);
      set_metric (result, mode, "tokens", (gdouble) mode->tokens);
      set_metric (result, mode, "planned_peak_bytes", (gdouble) fm_program_get_plan (mode->program)->peak_bytes);
      if (mode->what.kind >= FM_METER_PREFILL)
        set_metric (result, mode, "cache_bytes", (gdouble) fm_program_get_plan (mode->program)->state_bytes);
    }
  return TRUE;
}
