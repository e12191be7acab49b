/* test-memory.c: the plan against what is really touched, and a step that allocates nothing. */
#include "config.h"

#include "models/models.h"
#include "step-graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define COUNTS FALSE /* a sanitizer has an allocator of its own; elsewhere the names below do not exist */
#else
#define COUNTS TRUE
#endif

/* --- Counting allocations: these stand in front of the C library's for the whole process ---------------------------*/

static gint counting, counted; /* atomic */

#if COUNTS
void *__libc_malloc (size_t n);
void *__libc_calloc (size_t n, size_t size);
void *__libc_realloc (void *p, size_t n);
void *__libc_memalign (size_t alignment, size_t n);
void *malloc (size_t n);
void *calloc (size_t n, size_t size);
void *realloc (void *p, size_t n);
int posix_memalign (void **p, size_t alignment, size_t n);
void *aligned_alloc (size_t alignment, size_t n);

static void
count (void)
{
  if (g_atomic_int_get (&counting))
    g_atomic_int_inc (&counted);
}

void *
malloc (size_t n)
{
  count ();
  return __libc_malloc (n);
}

void *
calloc (size_t n, size_t size)
{
  count ();
  return __libc_calloc (n, size);
}

void *
realloc (void *p, size_t n)
{
  count ();
  return __libc_realloc (p, n);
}

int
posix_memalign (void **p, size_t alignment, size_t n)
{
  count ();
  *p = __libc_memalign (alignment, n);
  return *p ? 0 : 12;
}

void *
aligned_alloc (size_t alignment, size_t n)
{
  count ();
  return __libc_memalign (alignment, n);
}
#endif

static FmDevice *
cpu (guint threads)
{
  g_autoptr (GError) error = NULL;
  FmDevice *device = fm_device_open ("cpu", threads, &error);

  g_assert_no_error (error);
  return device;
}

static FmProgram *
compile (FmGraph *g, FmDevice *device, FmVariables *variables)
{
  g_autoptr (GError) error = NULL;
  FmProgram *p;

  g_assert_no_error ((GError *) fm_graph_get_error (g));
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  return p;
}

static void
run (FmProgram *p)
{
  g_autoptr (GError) error = NULL;

  fm_program_run (p, &error);
  g_assert_no_error (error);
}

/* --- Touched bytes --------------------------------------------------------------------------------------------------*/

#define MOST_RUNS 50

static void
assert_touched (const char *name, FmProgram *p)
{
  guint64 planned = fm_program_get_plan (p)->arena_bytes, touched = 0;

  /* Tasks go to whichever thread is free: on a busy machine one may take all, and the other's workspace stays untouched. */
  for (guint i = 0; i < MOST_RUNS && touched + planned / 50 + 64 < planned; i++)
    {
      g_autoptr (GError) error = NULL;
      guint64 once = 0;

      fm_program_measure_arena (p, &once, &error);
      g_assert_no_error (error);
      touched = MAX (touched, once);
    }
  if (touched > planned || touched + planned / 50 + 64 < planned)
    g_error ("%s: planned %" G_GUINT64_FORMAT " bytes, touched up to %" G_GUINT64_FORMAT, name, planned, touched);
}

static void
write_model (FmProgram *p, const FmModelRow *row)
{
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gint32 *whole = g_new0 (gint32, n);
      g_autoptr (GError) error = NULL;
      FmRandom random;

      fm_random_init (&random, 3, fm_hash (t->name));
      for (gint64 j = 0; j < n; j++)
        {
          gdouble low = t->type == FM_I32 ? 0 : -1, high = t->type == FM_I32 ? 9 : 1, value;

          for (guint k = 0; k < G_N_ELEMENTS (row->inputs) && row->inputs[k].name; k++)
            if (g_str_equal (row->inputs[k].name, t->name))
              {
                low = row->inputs[k].low;
                high = row->inputs[k].high;
              }
          value = t->type == FM_I32 ? floor (low + fm_random_uniform (&random) * (high - low + 1))
                                    : low + fm_random_uniform (&random) * (high - low);
          if (*t->name == '@')
            value = g_str_equal (t->name, "@rate") ? 1e-3 : 1;
          if (t->type == FM_I32)
            whole[j] = (gint32) value;
          else
            ((gfloat *) whole)[j] = (gfloat) value;
        }
      if (row->fill)
        row->fill (t->name, t->type, whole, n);
      fm_program_write (p, t->name, whole, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
}

/* The highest byte of the arena that a training step of each reference model writes lies within 2% of the plan. */
static void
test_models_touch (void)
{
  g_autoptr (FmDevice) device = cpu (2);

  for (guint i = 0; fm_models[i]; i++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr (FmGraph) g = fm_graph_new ();
      g_autoptr (FmProgram) p = NULL;

      fm_train_step (g, fm_models[i]->build (g), &(FmOptimizer){ 0.9, 0.999, 1e-8, 0.01, 1.0 });
      p = compile (g, device, variables);
      write_model (p, fm_models[i]);
      assert_touched (fm_models[i]->name, p);
    }
}

static void
test_steps_touch (void)
{
  g_autoptr (FmDevice) device = cpu (2);
  FmStepSize again = fm_step_t3;
  const FmStepSize * const sizes[] = { &fm_step_t3, &again };

  again.name = "T3 recomputed";
  again.recompute = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr (FmGraph) g = fm_step_graph (sizes[i]);
      g_autoptr (FmProgram) p = compile (g, device, variables);

      fm_step_write (p, sizes[i], 1);
      assert_touched (sizes[i]->name, p);
    }
}

/* --- Allocations in a step ------------------------------------------------------------------------------------------*/

static void
test_no_allocation (void)
{
  g_autoptr (FmDevice) device = cpu (2);
  FmStepSize lm = { "small", 2, 32, 4, 128, 4, 40, 16, TRUE, FALSE, 0.1 };
  const FmStepSize * const sizes[] = { &lm, &fm_step_t3 };
  gfloat loss, rate = 1e-3f;

  if (!COUNTS)
    {
      g_test_skip ("allocations cannot be counted under this allocator");
      return;
    }
  g_atomic_int_set (&counting, 1);
  free (g_malloc (100)); /* the counter works */
  g_atomic_int_set (&counting, 0);
  g_assert_cmpint (g_atomic_int_get (&counted), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr (FmGraph) g = fm_step_graph (sizes[i]);
      g_autoptr (FmProgram) p = compile (g, device, variables);
      g_autoptr (GError) error = NULL;

      fm_step_write (p, sizes[i], 1);
      run (p); /* threads and the BLAS make their buffers once */
      run (p);
      g_atomic_int_set (&counted, 0);
      g_atomic_int_set (&counting, 1);
      for (gint32 step = 2; step < 5; step++)
        if (!fm_program_write (p, "@rate", &rate, 4, &error) || !fm_program_write (p, "@step", &step, 4, &error)
            || !fm_program_run (p, &error) || !fm_program_read (p, "@loss", &loss, 4, &error))
          break;
      g_atomic_int_set (&counting, 0);
      g_assert_no_error (error);
      g_assert_cmpint (g_atomic_int_get (&counted), ==, 0);
    }
}

/* The same of every reference model, so of nearly every op. */
static void
test_models_no_allocation (void)
{
  g_autoptr (FmDevice) device = cpu (2);
  guint guilty = 0;

  if (!COUNTS)
    {
      g_test_skip ("allocations cannot be counted under this allocator");
      return;
    }
  for (guint i = 0; fm_models[i]; i++)
    {
      g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr (FmGraph) g = fm_graph_new ();
      g_autoptr (FmProgram) p = NULL;
      g_autoptr (GError) error = NULL;

      fm_train_step (g, fm_models[i]->build (g), &(FmOptimizer){ 0.9, 0.999, 1e-8, 0.01, 1.0 });
      p = compile (g, device, variables);
      write_model (p, fm_models[i]);
      run (p);
      run (p);
      g_atomic_int_set (&counted, 0);
      g_atomic_int_set (&counting, 1);
      fm_program_run (p, &error);
      g_atomic_int_set (&counting, 0);
      g_assert_no_error (error);
      if (g_atomic_int_get (&counted) == 0)
        continue;
      g_test_message ("%s: %d allocations in a step", fm_models[i]->name, g_atomic_int_get (&counted));
      guilty++;
    }
  g_assert_cmpuint (guilty, ==, 0);
}

/* --- The resident set -----------------------------------------------------------------------------------------------*/

static guint64
resident_bytes (void)
{
  g_autofree char *text = NULL;
  const char *at;

  g_assert_true (g_file_get_contents ("/proc/self/status", &text, NULL, NULL));
  at = strstr (text, "VmRSS:");
  g_assert_nonnull (at);
  return g_ascii_strtoull (at + strlen ("VmRSS:"), NULL, 10) * 1024;
}

/* T2 from before the arena to after some steps: no more than the plan says and 5%, whole and recomputed. */
static void
test_resident (gconstpointer recompute)
{
  FmStepSize size = fm_step_t2;
  guint64 before, after;
  FmPlan plan;

  if (!COUNTS)
    {
      g_test_skip ("a sanitizer's shadow memory counts as resident");
      return;
    }
  /* Threads, the BLAS and its packing buffers belong to the process, not to a program. */
  {
    g_autoptr (FmDevice) device = cpu (2);
    g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
    FmStepSize little = fm_step_t2;
    g_autoptr (FmGraph) g = NULL;
    g_autoptr (FmProgram) p = NULL;

    little.layers = little.batch = 1;
    g = fm_step_graph (&little);
    p = compile (g, device, variables);
    fm_step_write (p, &little, 1);
    run (p);
  }
  {
    g_autoptr (FmDevice) device = cpu (2);
    g_autoptr (FmVariables) variables = NULL;
    g_autoptr (FmGraph) g = NULL;
    g_autoptr (FmProgram) p = NULL;

    size.recompute = GPOINTER_TO_INT (recompute);
    before = resident_bytes ();
    variables = fm_variables_new (device, 1);
    g = fm_step_graph (&size);
    p = compile (g, device, variables);
    for (gint32 step = 1; step <= 3; step++)
      {
        fm_step_write (p, &size, step);
        run (p);
      }
    after = resident_bytes ();
    plan = *fm_program_get_plan (p);
  }
  g_test_message ("planned %.1f MB, grew by %.1f MB (%+.1f%%)", plan.peak_bytes / 1e6, (after - before) / 1e6,
                  100.0 * (after - before) / plan.peak_bytes - 100.0);
  g_assert_cmpuint (after - before, <=, plan.peak_bytes + plan.peak_bytes / 20);
  g_assert_cmpuint (after - before, >=, plan.peak_bytes - plan.peak_bytes / 5); /* the plan is no free guess */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/memory/models-touch", test_models_touch);
  g_test_add_func ("/memory/steps-touch", test_steps_touch);
  g_test_add_func ("/memory/no-allocation", test_no_allocation);
  g_test_add_func ("/memory/models-no-allocation", test_models_no_allocation);
  if (g_test_slow ())
    {
      g_test_add_data_func ("/memory/resident/whole", GINT_TO_POINTER (FALSE), test_resident);
      g_test_add_data_func ("/memory/resident/recomputed", GINT_TO_POINTER (TRUE), test_resident);
    }
  return g_test_run ();
}
