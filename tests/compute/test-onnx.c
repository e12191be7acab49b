/* test-onnx.c: the operator vectors of Debian's libonnx-testdata, against our builders.
 *
 * Each folder of vectors is a small graph of ONNX nodes with inputs and expected outputs. A row of the table below turns
 * a node into a graph of ours; folders that use an operator, type or attribute without one are counted as uncovered. */
#include "config.h"

#include "onnx-ops.h"
#include "op-test.h"

#include <math.h>
#include <string.h>

#define LEAST 709 /* folders: none that was covered is lost unseen */
#define FOLDER "/usr/share/libonnx-testdata/data/node"

/* --- A folder of vectors ------------------------------------------------------------------------------------------*/

/* What is known before running, as other nodes want it: shapes and constants. (nullable): NULL for other nodes. */
static const FmOnnxTensor *
known (Import *m)
{
  const FmOnnxAttribute *a;
  g_autoptr(GArray) values = g_array_new (FALSE, FALSE, sizeof (gdouble));

  if (g_str_equal (m->node->op, "Shape"))
    {
      FmShape shape = fm_tensor_get_shape (in (m, 0));
      gint64 rank = shape.rank, from = integer (m, "start", 0), end = integer (m, "end", rank);

      from = CLAMP (from < 0 ? from + rank : from, 0, rank);
      end = CLAMP (end < 0 ? end + rank : end, 0, rank);
      for (gint64 i = from; i < end; i++)
        {
          gdouble value = (gdouble) shape.dims[i];

          g_array_append_val (values, value);
        }
      return made_tensor (m, FM_ONNX_INT64, 1, &(gint64){ values->len }, (gdouble *) values->data);
    }
  if (g_str_equal (m->node->op, "Size"))
    return made_tensor (m, FM_ONNX_INT64, 0, NULL, &(gdouble){ (gdouble) fm_tensor_get_count (in (m, 0)) });
  if (!g_str_equal (m->node->op, "Constant"))
    return NULL;
  if ((a = fm_onnx_attribute (m->node, "value")) && a->t)
    return a->t;
  if ((a = fm_onnx_attribute (m->node, "value_float")))
    return made_tensor (m, FM_ONNX_FLOAT, 0, NULL, &a->f);
  if ((a = fm_onnx_attribute (m->node, "value_int")))
    return made_tensor (m, FM_ONNX_INT64, 0, NULL, &(gdouble){ (gdouble) a->i });
  if ((a = fm_onnx_attribute (m->node, "value_floats")))
    return made_tensor (m, FM_ONNX_FLOAT, 1, &(gint64){ a->floats->len }, (gdouble *) a->floats->data);
  if ((a = fm_onnx_attribute (m->node, "value_ints")))
    {
      for (guint i = 0; i < a->ints->len; i++)
        {
          gdouble value = (gdouble) AT (a->ints, i);

          g_array_append_val (values, value);
        }
      return made_tensor (m, FM_ONNX_INT64, 1, &(gint64){ values->len }, (gdouble *) values->data);
    }
  return NULL;
}

static void
build_node (Import *m)
{
  static const FmOnnxOperator * const tables[] = { fm_onnx_math, fm_onnx_movement, fm_onnx_windows };
  const FmOnnxTensor *value = known (m);
  FmTensor *y = NULL;

  if (value)
    {
      put (m, g_ptr_array_index (m->node->out, 0), NULL, value);
      return;
    }
  for (guint k = 0; k < G_N_ELEMENTS (tables); k++)
    for (const FmOnnxOperator *o = tables[k]; o->op != NULL && y == NULL; o++)
      if (g_str_equal (o->op, m->node->op))
        y = o->build (m);
  if (y == NULL)
    uncovered (m, "%s", m->node->op);
  else
    for (guint k = 0; k < m->node->out->len; k++) /* the first that is asked for */
      if (*(const char *) g_ptr_array_index (m->node->out, k) != '\0')
        {
          put (m, g_ptr_array_index (m->node->out, k), y, NULL);
          break;
        }
}

static FmOnnxTensor *
load (const char *folder, const char *what, guint k)
{
  g_autofree char *path = g_strdup_printf ("%s/%s/test_data_set_0/%s_%u.pb", FOLDER, folder, what, k);

  return fm_onnx_load_tensor (path);
}

static void
write_input (FmProgram *p, const FmTensor *t, const FmOnnxTensor *from)
{
  g_autofree gint32 *words = g_new (gint32, from->n);
  g_autoptr(GError) error = NULL;

  for (gint64 i = 0; i < from->n; i++)
    if (t->type == FM_I32)
      words[i] = (gint32) CLAMP (from->values[i], G_MININT32, G_MAXINT32);
    else
      ((gfloat *) words)[i] = (gfloat) from->values[i];
  fm_program_write (p, t->name, words, (gsize) from->n * 4, &error);
  g_assert_no_error (error);
}

/* One f32 rounding is 6e-8; the sums here have some hundred terms at the most, and exp, log, erf err by 1e-7 or two. @size:
 * of the terms, where sums are asked to cancel. */
static gboolean
close_enough (gdouble value, gdouble want, gdouble size)
{
  if (!isfinite (want) || !isfinite (value))
    return isnan (want) ? isnan (value) : value == want;
  return fabs (value - want) <= 2e-6 * size + 2e-5 * fabs (want);
}

static void
compare (FmProgram *p, const FmTensor *t, const FmOnnxTensor *want, const char *folder)
{
  gint64 n = fm_shape_count (&t->shape);
  g_autofree gint32 *words = g_new (gint32, n);
  FmShape shape = shape_of (want);
  gdouble size = 1;
  g_autoptr(GError) error = NULL;

  /* Every output of a transform is a sum over the signal, most of them of terms that cancel. */
  for (gint64 i = 0; i < want->n && (g_str_has_prefix (folder, "test_dft") || g_str_has_prefix (folder, "test_stft")); i++)
    size = MAX (size, fabs (want->values[i]));
  if (want->rank > 0 ? !fm_shape_equal (&t->shape, &shape) : n != 1)
    {
      g_autofree char *ours = fm_shape_to_string (&t->shape), *theirs = fm_shape_to_string (&shape);

      g_test_message ("%s: shape %s, ONNX wants %s", folder, ours, theirs);
      g_test_fail ();
      return;
    }
  fm_program_read (p, "@y", words, (gsize) n * 4, &error);
  g_assert_no_error (error);
  for (gint64 i = 0; i < n; i++)
    {
      gdouble value = t->type == FM_I32 ? words[i] : ((gfloat *) words)[i];

      if (!close_enough (value, want->values[i], size))
        {
          g_test_message ("%s: element %" G_GINT64_FORMAT " is %.9g, ONNX wants %.9g", folder, i, value, want->values[i]);
          g_test_fail ();
          return;
        }
    }
}

/* (transfer full) (nullable): why the folder is not covered; NULL when it ran, right or wrong. */
static char *
run_folder (const char *folder, FmDevice *device)
{
  g_autofree char *model = g_strdup_printf ("%s/%s/model.onnx", FOLDER, folder);
  g_autoptr(FmOnnxGraph) onnx = fm_onnx_load_graph (model);
  g_autoptr(FmOnnxTensor) want = load (folder, "output", 0);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(GPtrArray) inputs = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_onnx_tensor_free);
  g_autoptr(GHashTable) values = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;
  g_autoptr(GError) error = NULL;
  Import m = { .g = g, .values = values, .made = inputs };
  FmOnnxNode result = { .in = NULL };
  FmTensor *y;

  if (onnx == NULL || want == NULL || want->values == NULL || want->n == 0)
    return g_strdup ("an output of another type, or empty, or no tensor");
  for (guint k = 0; k < onnx->in->len; k++)
    {
      FmOnnxTensor *t = load (folder, "input", k);

      if (t == NULL)
        return g_strdup ("an input that is no tensor");
      g_ptr_array_add (inputs, t);
      put (&m, g_ptr_array_index (onnx->in, k), NULL, t);
    }
  for (guint k = 0; k < onnx->initializers->len; k++)
    {
      FmOnnxTensor *t = g_ptr_array_index (onnx->initializers, k);

      if (t)
        put (&m, t->name, NULL, t);
    }
  for (guint k = 0; k < onnx->nodes->len && m.why == NULL && !fm_graph_failed (g); k++)
    {
      m.node = g_ptr_array_index (onnx->nodes, k);
      build_node (&m);
    }
  if (m.why)
    return m.why;
  if (fm_graph_failed (g))
    return g_strdup_printf ("refused: %s", g->error->message);
  m.node = &result;
  result.in = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (result.in, g_strdup (g_ptr_array_index (onnx->out, 0)));
  y = in (&m, 0);
  g_ptr_array_unref (result.in);
  if (m.why)
    return m.why;
  if (y->type == FM_F16)
    y = fm_cast (g, y, FM_F32);
  fm_graph_output (g, "@y", y);
  p = fm_program_new (g, device, variables, &error);
  if (p == NULL)
    return g_strdup_printf ("refused: %s", error->message);
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      const FmTensor *t = g_ptr_array_index (p->plan->inputs, i);

      write_input (p, t, ((Value *) g_hash_table_lookup (values, t->name))->host);
    }
  fm_program_run (p, &error);
  g_assert_no_error (error);
  compare (p, y, want, folder);
  return NULL;
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char * const *) a, *(char * const *) b);
}

static void
run_all (FmDevice *device)
{
  g_autoptr(GDir) dir = g_dir_open (FOLDER, 0, NULL);
  g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func (g_free);
  const char *name;
  guint covered = 0;

  if (dir == NULL)
    {
      g_test_skip ("there is no " FOLDER ": install libonnx-testdata");
      return;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (folders, g_strdup (name));
  g_ptr_array_sort (folders, by_name);
  for (guint i = 0; i < folders->len; i++)
    {
      g_autofree char *why = run_folder (g_ptr_array_index (folders, i), device);

      covered += why == NULL;
      if (why && g_test_verbose ())
        g_test_message ("uncovered: %s: %s", (char *) g_ptr_array_index (folders, i), why);
    }
  g_test_message ("%u of %u folders of ONNX vectors are covered", covered, folders->len);
  g_assert_cmpuint (covered, >=, LEAST);
}

static void
test_cpu (void)
{
  run_all (fm_op_test_cpu (2));
}

static void
test_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device != NULL)
    run_all (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/onnx/cpu", test_cpu);
  g_test_add_func ("/compute/onnx/vulkan", test_vulkan);
  return g_test_run ();
}
