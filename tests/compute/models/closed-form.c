/* closed-form.c: what a head's weights are where they can be computed: host routines against the model's own numbers.
 * Source: cards dsformer (least squares, Cholesky, SVD of weights), twin-merging (differences of low rank), lra (orthogonal
 * projections by QR), meta-transformer (principal axes by eigenvectors), fn-mixture (covariances by Cholesky).
 * Shapes: T rows, D features, O outputs. */
#include "models.h"

#include <math.h>

enum { T = 40, D = 8, O = 5 };

static FmTensor *
model (FmGraph *g, FmTensor *x)
{
  return fm_affine (g, x, fm_param (g, "weight", FM_SHAPE (O, D), fm_init_normal (0.3)), NULL);
}

static FmTensor *
build (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D));

  return fm_mse (g, model (g, x), fm_graph_input (g, "target", FM_F32, FM_SHAPE (T, O)));
}

static const FmModelRow row = { .name = "closed-form" };

/* The largest entry of the loss' gradient by the weight. */
static gdouble
largest_gradient (FmDevice *device, FmVariables *variables)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;
  FmTensor *loss = build (g), *weight = fm_graph_find_variable (g, "weight"), *dw;
  gfloat values[O * D];
  gdouble top = 0;

  fm_grad (g, loss, &weight, 1, &dw);
  fm_graph_output (g, "dw", dw);
  program = fm_model_program (&row, g, device, variables);
  fm_model_run (program, "dw", values, O * D);
  for (guint i = 0; i < O * D; i++)
    top = MAX (top, fabsf (values[i]));
  return top;
}

/* The model's outputs for rows @x. */
static void
outputs_of (FmDevice *device, FmVariables *variables, const gfloat *x, gfloat *y)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;
  g_autoptr(GError) error = NULL;

  fm_graph_output (g, "y", model (g, fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D))));
  program = fm_model_program (&row, g, device, variables);
  fm_program_write (program, "x", x, T * D * sizeof *x, &error);
  g_assert_no_error (error);
  fm_model_run (program, "y", y, T * O);
}

static void
write_weight (FmVariables *variables, const gfloat *weight)
{
  g_autoptr(GError) error = NULL;

  fm_variables_write (variables, "weight", weight, O * D * sizeof *weight, &error);
  g_assert_no_error (error);
}

/* The weight of least squares makes the gradient vanish; so does the one that the Cholesky factor of x^T x gives. */
static void
check_fits (FmDevice *device, FmVariables *variables, const gfloat *x, const gfloat *target)
{
  gfloat solution[D * O], weight[O * D], square[D * D] = { 0 }, l[D * D];
  gdouble first = largest_gradient (device, variables);
  g_autoptr(GError) error = NULL;

  g_assert_true (fm_least_squares (x, target, T, D, O, 0, solution, &error));
  for (guint o = 0; o < O; o++)
    for (guint d = 0; d < D; d++)
      weight[o * D + d] = solution[d * O + o];
  write_weight (variables, weight);
  g_assert_cmpfloat (largest_gradient (device, variables), <, 1e-5 * first);

  for (guint i = 0; i < D; i++)
    for (guint j = 0; j < D; j++)
      for (guint t = 0; t < T; t++)
        square[i * D + j] += x[t * D + i] * x[t * D + j];
  g_assert_true (fm_cholesky (square, D, l, &error));
  g_assert_no_error (error);
  for (guint o = 0; o < O; o++)
    {
      gdouble z[D];

      for (guint i = 0; i < D; i++) /* L z = x^T target */
        {
          z[i] = 0;
          for (guint t = 0; t < T; t++)
            z[i] += x[t * D + i] * target[t * O + o];
          for (guint j = 0; j < i; j++)
            z[i] -= l[i * D + j] * z[j];
          z[i] /= l[i * D + i];
        }
      for (gint i = D - 1; i >= 0; i--) /* L^T w = z */
        {
          for (gint j = i + 1; j < D; j++)
            z[i] -= l[j * D + i] * z[j];
          z[i] /= l[i * D + i];
          g_assert_cmpfloat (fabs (z[i] - weight[o * D + i]), <, 1e-4);
        }
    }
}

/* A weight cut to rank r is off by what its singular values behind r are; with all of them it is the weight again. */
static void
check_ranks (FmDevice *device, FmVariables *variables, const gfloat *x)
{
  gfloat weight[O * D], cut[O * D], u[O * O], s[O], vt[O * D], want[T * O], got[T * O];
  g_autoptr(GError) error = NULL;

  g_assert_true (fm_variables_read (variables, "weight", weight, sizeof weight, &error));
  outputs_of (device, variables, x, want);
  g_assert_true (fm_svd (weight, O, D, u, s, vt, &error));
  g_assert_no_error (error);
  for (guint rank = 1; rank <= O; rank++)
    {
      gdouble off = 0, tail = 0;

      for (guint i = 0; i < O * D; i++)
        {
          cut[i] = 0;
          for (guint r = 0; r < rank; r++)
            cut[i] += u[i / D * O + r] * s[r] * vt[r * D + i % D];
          off += (weight[i] - cut[i]) * (weight[i] - cut[i]);
        }
      for (guint r = rank; r < O; r++)
        tail += s[r] * s[r];
      g_assert_cmpfloat (fabs (sqrt (off) - sqrt (tail)), <, 1e-5);
    }
  write_weight (variables, cut);
  outputs_of (device, variables, x, got);
  for (guint i = 0; i < T * O; i++)
    g_assert_cmpfloat (fabsf (got[i] - want[i]), <, 1e-5f);
}

/* Rows turned by an orthogonal matrix, with the weight turned alike, give the same outputs. Two such matrices: the one of
 * QR, and the eigenvectors of the rows' second moments, along which these are the eigenvalues. */
static void
check_turned (FmDevice *device, FmVariables *variables, const gfloat *x)
{
  gfloat square[D * D] = { 0 }, q[D * D], r[D * D], values[D], vectors[D * D], weight[O * D], want[T * O], got[T * O];
  g_autoptr(GError) error = NULL;

  outputs_of (device, variables, x, want);
  g_assert_true (fm_variables_read (variables, "weight", weight, sizeof weight, &error));
  for (guint i = 0; i < D * D; i++)
    for (guint t = 0; t < T; t++)
      square[i] += x[t * D + i / D] * x[t * D + i % D];
  g_assert_true (fm_qr (x, D, D, q, r, &error));
  g_assert_true (fm_eigen_symmetric (square, D, values, vectors, &error));
  g_assert_no_error (error);
  for (guint which = 0; which < 2; which++)
    {
      gfloat turned[T * D] = { 0 }, turned_weight[O * D] = { 0 };

      for (guint d = 0; d < D; d++)
        for (guint k = 0; k < D; k++)
          {
            gfloat to = which == 0 ? q[k * D + d] : vectors[d * D + k]; /* columns of q, rows of the other */

            for (guint t = 0; t < T; t++)
              turned[t * D + d] += x[t * D + k] * to;
            for (guint o = 0; o < O; o++)
              turned_weight[o * D + d] += weight[o * D + k] * to;
          }
      for (guint d = 0; which == 1 && d < D; d++)
        {
          gdouble moment = 0;

          for (guint t = 0; t < T; t++)
            moment += turned[t * D + d] * turned[t * D + d];
          g_assert_cmpfloat (fabs (moment - values[d]), <, 1e-3); /* moments of 40 rows: to 100 */
        }
      write_weight (variables, turned_weight);
      outputs_of (device, variables, turned, got);
      for (guint i = 0; i < T * O; i++)
        g_assert_cmpfloat (fabsf (got[i] - want[i]), <, 2e-5f);
    }
}

static void
check (FmDevice *device)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 3);
  gfloat x[T * D], target[T * O];

  fm_model_draw (&row, "x", FM_F32, T * D, x);
  fm_model_draw (&row, "target", FM_F32, T * O, target);
  check_fits (device, variables, x, target);
  check_ranks (device, variables, x);
  check_turned (device, variables, x);
}

FM_MODEL (closed_form, .name = "closed-form", .card = "dsformer", .build = build, .check = check);
