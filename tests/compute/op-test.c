/* op-test.c: see op-test.h. */
#include "config.h"

#include "op-test.h"

#include "compute/half.h"

#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <math.h>
#include <string.h>

void
fm_op_array_init (FmOpArray *array, FmShape shape)
{
  array->shape = shape;
  array->n = fm_shape_count (&shape);
  array->v = g_new0 (gdouble, MAX (array->n, 1));
}

static void
array_clear (FmOpArray *array)
{
  g_clear_pointer (&array->v, g_free);
}

/* --- Devices ------------------------------------------------------------------------------------------------------*/

int
fm_op_test_level (void)
{
  static int level;

  if (level == 0)
    {
      fm_op_test_cpu (1); /* opening it finds the level */
      level = fm_cpu_level;
    }
  return level;
}

FmDevice *
fm_op_test_cpu (guint threads)
{
  static FmDevice *devices[3];

  g_assert_cmpuint (threads, <, G_N_ELEMENTS (devices));
  if (devices[threads] == NULL)
    {
      g_autoptr(GError) error = NULL;

      devices[threads] = fm_device_open ("cpu", threads, &error);
      g_assert_no_error (error);
    }
  return devices[threads];
}

FmDevice *
fm_op_test_vulkan (void)
{
  static FmDevice *device;
  static GError *error;

  if (device == NULL && error == NULL)
    device = fm_device_open ("vulkan", 0, &error);
  if (device == NULL)
    g_test_skip (error->message);
  else if (g_getenv ("LP_NATIVE_VECTOR_WIDTH") && fm_device_get_info (device)->software)
    {
      g_autofree char *width = g_strdup_printf ("%s bits", g_getenv ("LP_NATIVE_VECTOR_WIDTH"));

      if (strstr (fm_device_get_info (device)->title, width) == NULL)
        g_error ("%s does not run with subgroups of %s", fm_device_get_info (device)->title, width);
    }
  return device;
}

/* --- A case on one device -----------------------------------------------------------------------------------------*/

typedef struct
{
  const FmOpCase *c;
  guint           n_in;
  FmOpArray       in[FM_OP_TEST_MAX_IN];
  FmOpArray       y;      /* the reference's result */
  FmOpArray       weight; /* of the sum that is differentiated; f32 values */
} Run;

static guint
count_inputs (const FmOpCase *c)
{
  guint n = 0;

  while (n < FM_OP_TEST_MAX_IN && c->in[n].shape.rank > 0)
    n++;
  return n;
}

static void
run_clear (Run *run)
{
  for (guint k = 0; k < run->n_in; k++)
    array_clear (&run->in[k]);
  array_clear (&run->y);
  array_clear (&run->weight);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

static void
run_init (Run *run, const FmOpCase *c)
{
  FmRandom random;

  run->c = c;
  run->n_in = count_inputs (c);
  fm_random_init (&random, 1, fm_hash (c->name));
  for (guint k = 0; k < run->n_in; k++)
    {
      const FmOpInput *input = &c->in[k];
      FmOpArray *a = &run->in[k];

      fm_op_array_init (a, input->shape);
      for (gint64 i = 0; i < a->n; i++)
        {
          gdouble u = fm_random_uniform (&random);

          a->v[i] = input->type == FM_I32 || input->type == FM_I8 ? floor (input->low + u * (input->high - input->low + 1))
                                          : input->low + u * (input->high - input->low);
        }
      if (input->fill)
        input->fill (a);
      for (gint64 i = 0; i < a->n; i++)
        if (input->type == FM_F32)
          a->v[i] = (float) a->v[i];
        else if (input->type == FM_F16)
          a->v[i] = fm_half_value (fm_half_of ((float) a->v[i]));
    }
  c->reference (run->in, &run->y, c->n, c->f);
  fm_op_array_init (&run->weight, run->y.shape);
  for (gint64 i = 0; i < run->weight.n; i++)
    run->weight.v[i] = (float) (0.5 + fm_random_uniform (&random));
}

/* @x as a permuted slice of a larger input: axes reversed, one element more before and after on the last of them. */
static FmTensor *
add_view_input (FmGraph *g, const char *name, const FmOpInput *input)
{
  FmShape shape = { .rank = input->shape.rank };
  gint axes[FM_MAX_RANK];
  guint last = shape.rank - 1;
  FmTensor *x;

  for (guint a = 0; a < shape.rank; a++)
    {
      axes[a] = last - a;
      shape.dims[a] = input->shape.dims[last - a];
    }
  shape.dims[last] += 2;
  x = fm_graph_input (g, name, input->type, shape);
  return fm_permute (g, fm_slice (g, x, last, 1, shape.dims[last] - 2), axes);
}

/* Position in that larger input of element @i of an array of @shape. */
static gint64
view_position (const FmShape *shape, gint64 i)
{
  gint64 index[FM_MAX_RANK], position = 0;

  for (guint a = shape->rank; a-- > 0;)
    {
      index[a] = i % shape->dims[a];
      i /= shape->dims[a];
    }
  for (guint a = shape->rank; a-- > 0;)
    position = position * (shape->dims[a] + (a == 0 ? 2 : 0)) + index[a] + (a == 0 ? 1 : 0);
  return position;
}

static FmGraph *
build_graph (const Run *run, gboolean views)
{
  const FmOpCase *c = run->c;
  FmGraph *g = fm_graph_new ();
  FmTensor *x[FM_OP_TEST_MAX_IN], *y, *wrt[FM_OP_TEST_MAX_IN], *dx[FM_OP_TEST_MAX_IN];
  guint n_wrt = 0;

  for (guint k = 0; k < run->n_in; k++)
    {
      g_autofree char *name = g_strdup_printf ("x%u", k);

      x[k] = views ? add_view_input (g, name, &c->in[k]) : fm_graph_input (g, name, c->in[k].type, c->in[k].shape);
      if (c->in[k].gradient)
        wrt[n_wrt++] = x[k];
    }
  y = c->build (g, x, c->n, c->f);
  fm_graph_output (g, "y", y);
  if (n_wrt > 0)
    {
      FmTensor *weight = fm_graph_input (g, "weight", FM_F32, run->weight.shape);

      fm_grad (g, fm_sum_all (g, fm_mul (g, y, weight)), wrt, n_wrt, dx);
      for (guint k = 0; k < n_wrt; k++)
        {
          g_autofree char *name = g_strdup_printf ("d%u", k);

          fm_graph_output (g, name, dx[k]);
        }
    }
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  if (!fm_shape_equal (&y->shape, &run->y.shape))
    {
      g_autofree char *got = fm_shape_to_string (&y->shape), *want = fm_shape_to_string (&run->y.shape);

      g_error ("%s: shape %s, the reference has %s", c->name, got, want);
    }
  return g;
}

static void
write_array (FmProgram *p, const char *name, const FmOpArray *a, FmType type, gboolean view)
{
  gint64 n = view ? a->n / a->shape.dims[0] * (a->shape.dims[0] + 2) : a->n;
  g_autofree gint32 *data = g_new (gint32, MAX (n, 1));
  g_autoptr(GError) error = NULL;

  for (gint64 i = 0; i < n; i++) /* what lies around a view must not be read: NaN, or an index out of every range */
    data[i] = type == FM_F16 ? 0x7E007E00 : 0x7FC00000;
  for (gint64 i = 0; i < a->n; i++)
    {
      gint64 at = view ? view_position (&a->shape, i) : i;
      float f = a->v[i];

      if (type == FM_F32)
        memcpy (&data[at], &f, sizeof f);
      else if (type == FM_F16)
        ((guint16 *) data)[at] = fm_half_of (f);
      else if (type == FM_I8)
        ((gint8 *) data)[at] = (gint8) a->v[i];
      else
        data[at] = (gint32) a->v[i];
    }
  fm_program_write (p, name, data, (gsize) n * fm_type_size (type), &error);
  g_assert_no_error (error);
}

/* Fills the first megabytes of the device's arena with NaN, so that an element which a kernel forgets to write, or
 * reads before anybody wrote it, cannot pass as the zero of fresh memory. */
static void
soil_arena (FmDevice *device)
{
  static GHashTable *programs; /* FmDevice -> FmProgram, kept */
  g_autoptr(GError) error = NULL;
  FmProgram *program;

  if (programs == NULL)
    programs = g_hash_table_new (NULL, NULL);
  program = g_hash_table_lookup (programs, device);
  if (program == NULL)
    {
      FmGraph *g = fm_graph_new ();
      FmShape shape = FM_SHAPE (1 << 20);

      fm_graph_output (g, "soil", fm_mul (g, fm_constant (g, FM_F32, FM_SHAPE (1), NAN),
                                          fm_constant (g, FM_F32, shape, 1.0)));
      program = fm_program_new (g, device, fm_variables_new (device, 1), &error);
      g_assert_no_error (error);
      g_hash_table_insert (programs, device, program);
    }
  fm_program_run (program, &error);
  g_assert_no_error (error);
}

/* Elements of a narrow type, read to the start of @words, as f32 or i32. */
static void
widen (FmType type, gint32 *words, gint64 n)
{
  for (gint64 i = n - 1; i >= 0; i--)
    if (type == FM_F16)
      {
        float f = fm_half_value (((const guint16 *) words)[i]);

        memcpy (&words[i], &f, sizeof f);
      }
    else if (type == FM_I8)
      words[i] = ((const gint8 *) words)[i];
}

/* Runs the graph and returns the words of all outputs, one after the other. */
static GArray *
run_graph (const Run *run, FmGraph *g, gboolean views, FmDevice *device)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) program = fm_program_new (g, device, variables, &error);
  GArray *words = g_array_new (FALSE, TRUE, sizeof (gint32));

  g_assert_no_error (error);
  for (guint k = 0; k < run->n_in; k++)
    {
      g_autofree char *name = g_strdup_printf ("x%u", k);

      if (fm_program_has_input (program, name))
        write_array (program, name, &run->in[k], run->c->in[k].type, views);
    }
  if (fm_program_has_input (program, "weight"))
    write_array (program, "weight", &run->weight, FM_F32, FALSE);
  soil_arena (device);
  fm_program_run (program, &error);
  g_assert_no_error (error);
  for (guint k = 0; k < g->outputs->len; k++)
    {
      FmTensor *t = g->outputs->pdata[k];
      gint64 n = fm_shape_count (&t->shape);
      guint start = words->len;

      g_array_set_size (words, start + n);
      fm_program_read (program, g->output_names->pdata[k], &g_array_index (words, gint32, start),
                       (gsize) n * fm_type_size (t->type), &error);
      g_assert_no_error (error);
      widen (t->type, &g_array_index (words, gint32, start), n);
    }
  return words;
}

static gboolean
close_enough (gdouble value, gdouble reference, gdouble atol, gdouble rtol)
{
  if (fabs (reference) > G_MAXFLOAT)
    reference = copysign (INFINITY, reference);
  if (isnan (reference) || isinf (reference))
    return isnan (reference) ? isnan (value) : value == reference;
  return fabs (value - reference) <= atol + rtol * fabs (reference);
}

static void
check_values (const Run *run, FmGraph *g, const GArray *words, const char *where)
{
  const FmTensor *y = g->outputs->pdata[0];

  for (gint64 i = 0; i < run->y.n; i++)
    {
      gint32 word = g_array_index (words, gint32, i);
      float f;
      gdouble value;

      memcpy (&f, &word, sizeof f);
      value = y->type == FM_F32 || y->type == FM_F16 ? (gdouble) f : (gdouble) word;
      if (!close_enough (value, run->y.v[i], run->c->atol, run->c->rtol))
        {
          g_test_message ("%s, %s: element %" G_GINT64_FORMAT " is %.9g, the reference %.9g, off by %.3g; allowed "
                          "%g + %g relative (%s)", run->c->name, where, i, value, run->y.v[i], value - run->y.v[i],
                          run->c->atol, run->c->rtol, run->c->why);
          g_test_fail ();
          return;
        }
    }
}

/* Difference of the weighted sums of two results; element by element, so that a huge one does not drown the rest. */
static gdouble
weighted_difference (const Run *run, const FmOpArray *above, const FmOpArray *below)
{
  gdouble sum = 0;

  for (gint64 i = 0; i < run->y.n; i++)
    if (above->v[i] != below->v[i])
      sum += run->weight.v[i] * (above->v[i] - below->v[i]);
  return sum;
}

static void
check_gradients (Run *run, const GArray *words, const char *where)
{
  const FmOpCase *c = run->c;
  gboolean own = c->grad_atol != 0 || c->grad_rtol != 0;
  gdouble atol = own ? c->grad_atol : 10 * c->atol, rtol = own ? c->grad_rtol : 10 * c->rtol;
  gint64 start = run->y.n;
  FmRandom random;

  fm_random_init (&random, 2, fm_hash (c->name));
  for (guint k = 0; k < run->n_in; k++)
    {
      gint64 n = run->in[k].n, samples = MIN (n, c->grad_samples ? c->grad_samples : 12);

      if (!c->in[k].gradient)
        continue;
      for (gint64 s = 0; s < samples; s++)
        {
          gint64 i = samples == n ? s : (gint64) fm_random_below (&random, n);
          gdouble *v = &run->in[k].v[i], at = *v;
          gdouble h = (c->grad_step > 0 ? c->grad_step : 1e-5) * MAX (1.0, fabs (at));
          FmOpArray above = { 0 }, below = { 0 };
          gdouble difference;
          float value;

          if (!isfinite (at)) /* no difference to take at -inf */
            continue;
          *v = at + h;
          c->reference (run->in, &above, c->n, c->f);
          *v = at - h;
          c->reference (run->in, &below, c->n, c->f);
          *v = at;
          difference = weighted_difference (run, &above, &below) / (2 * h);
          array_clear (&above);
          array_clear (&below);
          memcpy (&value, &g_array_index (words, gint32, start + i), sizeof value);
          if (!close_enough (value, difference, atol, rtol))
            {
              g_test_message ("%s, %s: gradient by input %u, element %" G_GINT64_FORMAT " is %.9g, central difference "
                              "%.9g, off by %.3g; allowed %g + %g relative (%s)", c->name, where, k, i, value,
                              difference, value - difference, atol, rtol, c->why);
              g_test_fail ();
              return;
            }
        }
      start += n;
    }
}

/* --- GLib tests ---------------------------------------------------------------------------------------------------*/

static void
check_cpu (const FmOpCase *c, gboolean views)
{
  static const int levels[] = { 1, 3, 4 };
  g_auto(Run) run = { 0 };
  g_autoptr(FmGraph) g = NULL;
  int best = fm_op_test_level ();

  run_init (&run, c);
  g = build_graph (&run, views);
  for (guint l = 0; l < G_N_ELEMENTS (levels); l++)
    {
      g_autofree char *where = g_strdup_printf ("cpu level %d%s", levels[l], views ? ", views" : "");
      g_autoptr(GArray) one = NULL, two = NULL;

      if (levels[l] > best || ((views || g_test_quick ()) && levels[l] != best))
        continue;
      fm_cpu_level = levels[l];
      two = run_graph (&run, g, views, fm_op_test_cpu (2));
      check_values (&run, g, two, where);
      check_gradients (&run, two, where);
      if (!views)
        {
          one = run_graph (&run, g, views, fm_op_test_cpu (1));
          if (memcmp (one->data, two->data, one->len * sizeof (gint32)) != 0)
            {
              g_test_message ("%s, %s: 1 thread and 2 give different bits", c->name, where);
              g_test_fail ();
            }
        }
    }
  fm_cpu_level = best;
}

static void
test_cpu (gconstpointer data)
{
  check_cpu (data, FALSE);
}

static void
test_views (gconstpointer data)
{
  check_cpu (data, TRUE);
}

#if FM_HAVE_VULKAN
static guint validation_messages; /* those that earlier tests have failed for */
#endif

static void
test_vulkan (gconstpointer data)
{
  const FmOpCase *c = data;
  g_auto(Run) run = { 0 };
  FmDevice *device = fm_op_test_vulkan ();

  if (device == NULL)
    return;
  run_init (&run, c);
  for (int views = 0; views <= (c->no_views ? 0 : 1); views++)
    {
      g_autoptr(FmGraph) g = build_graph (&run, views);
      g_autoptr(GArray) words = run_graph (&run, g, views, device);
      const char *where = views ? "vulkan, views" : "vulkan";

      check_values (&run, g, words, where);
      check_gradients (&run, words, where);
    }
#if FM_HAVE_VULKAN
  if (fm_vulkan_validation_count () > validation_messages)
    {
      g_test_message ("%s: the Vulkan validation layer has something to say, printed above", c->name);
      validation_messages = fm_vulkan_validation_count ();
      g_test_fail ();
    }
#endif
}

void
fm_op_test_add (const char *family, const FmOpCase *cases, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *cpu = g_strdup_printf ("/compute/%s/%s/cpu", family, cases[i].name);
      g_autofree char *views = g_strdup_printf ("/compute/%s/%s/views", family, cases[i].name);
      g_autofree char *vulkan = g_strdup_printf ("/compute/%s/%s/vulkan", family, cases[i].name);

      g_assert (cases[i].why != NULL);
      if (g_test_quick () && !cases[i].quick)
        continue;
      g_test_add_data_func (cpu, &cases[i], test_cpu);
      if (!cases[i].no_views)
        g_test_add_data_func (views, &cases[i], test_views);
      if (!cases[i].no_vulkan && !g_test_quick ())
        g_test_add_data_func (vulkan, &cases[i], test_vulkan);
    }
}
