/* model-run.c: what tests and checks of the reference models share; see models.h. */
#include "models.h"

#define SEED 7

void
fm_model_draw (const FmModelRow *row, const char *input, FmType type, gint64 n, gpointer data)
{
  gint32 *whole = data;
  gfloat *real = data;
  const FmModelInput *range = NULL;
  FmRandom random;

  for (guint i = 0; i < G_N_ELEMENTS (row->inputs) && row->inputs[i].name != NULL; i++)
    if (g_str_equal (row->inputs[i].name, input))
      range = &row->inputs[i];
  fm_random_init (&random, SEED, fm_hash (input));
  for (gint64 j = 0; j < n; j++)
    if (type == FM_I32)
      whole[j] = (gint32) (range ? range->low + fm_random_below (&random, (guint64) (range->high - range->low + 1))
                                 : fm_random_below (&random, 10));
    else
      real[j] = (gfloat) (range ? range->low + fm_random_uniform (&random) * (range->high - range->low)
                                : fm_random_normal (&random));
  if (row->fill)
    row->fill (input, type, data, n);
}

FmProgram *
fm_model_program (const FmModelRow *row, FmGraph *g, FmDevice *device, FmVariables *variables)
{
  FmProgram *program;
  g_autoptr(GError) error = NULL;

  g_assert_no_error ((GError *) fm_graph_get_error (g));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < program->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (program->plan->inputs, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gint32 *words = g_new0 (gint32, n);

      fm_model_draw (row, t->name, t->type, n, words);
      fm_program_write (program, t->name, words, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
  return program;
}

void
fm_model_run (FmProgram *program, const char *output, gpointer data, gint64 n)
{
  g_autoptr(GError) error = NULL;

  fm_program_run (program, &error);
  g_assert_no_error (error);
  fm_program_read (program, output, data, (gsize) n * 4, &error);
  g_assert_no_error (error);
}
