/* fft.c: the discrete Fourier transform along the axis before the last, for lengths that are powers of two.
 *
 * fft: re f32 [..,N,C], im (or absent: zeros) -> re, im: X_k = sum_n x_n exp (-+ 2 pi i k n / N), not divided by anything;
 * i[0]: 1 takes the plus sign (the inverse but for 1/N). Its gradient is the transform with the other sign, so every order of
 * derivative exists.
 *
 * Method: Stockham's form of radix 2, which needs no reordering: pass p joins pairs of transforms of length 2^p. Columns
 * are transformed side by side. Factors come from double, one table a node. Source: Cooley and Tukey 1965; Stockham 1966, as
 * in Van Loan 1992, section 1.7. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>
#include <string.h>

#define COLUMNS 32 /* side by side: their values at 2 x N places fit the second-level cache up to N = 4096 or so */

static const FmOp fft_op;

typedef struct { gint64 outer, n, c, blocks; } Sizes;

static Sizes
sizes_of (const FmNode *node)
{
  const FmShape *shape = &node->in[0]->shape;
  Sizes s = { .n = shape->dims[shape->rank - 2], .c = shape->dims[shape->rank - 1] };

  s.outer = fm_shape_count (shape) / MAX (1, s.n * s.c);
  s.blocks = (s.c + COLUMNS - 1) / COLUMNS;
  return s;
}

static gboolean
fft_infer (FmNode *node)
{
  for (guint i = 0; i < 2; i++)
    {
      node->out[i]->type = FM_F32;
      node->out[i]->shape = node->in[0]->shape;
    }
  return TRUE;
}

static void
fft_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmAttr attr = { .i = { !node->attr.i[0] } };
  FmTensor *in[2];
  FmNode *back;

  for (guint i = 0; i < 2; i++)
    in[i] = dy[i] ? dy[i] : fm_constant (g, FM_F32, node->out[i]->shape, 0.0);
  back = fm_node_new (g, &fft_op, in, 2, &attr);
  if (back == NULL)
    return;
  dx[0] = back->out[0];
  if (node->n_in > 1)
    dx[1] = back->out[1];
}

/* One pass: x of @n places (re, then im, COLUMNS wide) to y. @half: n / 2; @m: length of the transforms so far. */
FM_KERNEL (void, pass, (gint64 n, gint64 m, const float *factors, float sign, const float *x, float *y),
           (n, m, factors, sign, x, y))
{
  gint64 half = n / 2, plane = n * COLUMNS;

  for (gint64 k = 0; k < half; k++)
    {
      gint64 j = k % m, to = (k / m * 2 * m + j) * COLUMNS;
      float wr = factors[2 * (j * (half / m))], wi = sign * factors[2 * (j * (half / m)) + 1];
      const float *a = x + k * COLUMNS, *b = x + (k + half) * COLUMNS;
      float *u = y + to, *v = y + to + m * COLUMNS;

#pragma omp simd
      for (gint64 i = 0; i < COLUMNS; i++)
        {
          float br = b[i] * wr - b[plane + i] * wi, bi = b[i] * wi + b[plane + i] * wr;

          u[i] = a[i] + br;
          u[plane + i] = a[plane + i] + bi;
          v[i] = a[i] - br;
          v[plane + i] = a[plane + i] - bi;
        }
    }
}

/* exp (-2 pi i k / n) for k below n / 2. */
static void
make_factors (float *factors, gint64 n)
{
  for (gint64 k = 0; k < n / 2; k++)
    {
      factors[2 * k] = (float) cos (2 * G_PI * k / n);
      factors[2 * k + 1] = (float) -sin (2 * G_PI * k / n);
    }
}

static gsize
fft_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  Sizes s = sizes_of (node);

  if (backend == FM_BACKEND_VULKAN)
    return s.n > 1 ? sizeof (float) * 4 * s.outer * s.n * s.c : 0;
  return sizeof (float) * (s.n + s.outer * s.blocks * 4 * s.n * COLUMNS);
}

static void
fft_cpu (const FmNode *node, const FmCpuArgs *args)
{
  Sizes s = sizes_of (node);
  const float *re = args->in[0], *im = node->n_in > 1 ? args->in[1] : NULL;
  float *factors = args->workspace, *blocks = factors + s.n, sign = node->attr.i[0] ? -1.0f : 1.0f;
  gint64 plane = s.n * COLUMNS;

  make_factors (factors, s.n);
#pragma omp parallel for schedule(static) num_threads(args->threads) if (s.outer * s.n * s.c > FM_CPU_BLOCK / 8)
  for (gint64 task = 0; task < s.outer * s.blocks; task++)
    {
      gint64 first = task / s.blocks * s.n * s.c + task % s.blocks * COLUMNS;
      gint64 width = MIN (COLUMNS, s.c - task % s.blocks * COLUMNS);
      float *x = blocks + task * 4 * plane, *y = x + 2 * plane;

      memset (x, 0, sizeof *x * 2 * plane);
      for (gint64 t = 0; t < s.n; t++)
        {
          memcpy (x + t * COLUMNS, re + first + t * s.c, sizeof *x * width);
          if (im)
            memcpy (x + plane + t * COLUMNS, im + first + t * s.c, sizeof *x * width);
        }
      for (gint64 m = 1; m < s.n; m *= 2)
        {
          float *swap = x;

          pass (s.n, m, factors, sign, x, y);
          x = y;
          y = swap;
        }
      for (gint64 t = 0; t < s.n; t++)
        {
          memcpy ((float *) args->out[0] + first + t * s.c, x + t * COLUMNS, sizeof *x * width);
          memcpy ((float *) args->out[1] + first + t * s.c, x + plane + t * COLUMNS, sizeof *x * width);
        }
    }
}

/* A dispatch a pass; results between them lie in the two halves of the workspace. */
static gboolean
fft_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  Sizes s = sizes_of (node);
  gint64 pairs = s.outer * MAX (1, s.n / 2) * s.c;
  guint half = 0;

  for (gint64 m = 1; m == 1 || m < s.n; m *= 2, half ^= 1)
    {
      FmTensor *im = node->n_in > 1 ? node->in[1] : node->in[0];
      gboolean from_input = m == 1, to_output = 2 * m >= s.n;
      struct { guint32 pairs, n, c, m, inverse, flags, from, count, re, im, out_re, out_im; } push = {
        (guint32) pairs, (guint32) s.n, (guint32) s.c, (guint32) m, node->attr.i[0] != 0,
        from_input | to_output << 1 | (node->n_in > 1) << 2, half, (guint32) (s.outer * s.n * s.c),
        (guint32) node->in[0]->offset, (guint32) im->offset, (guint32) node->out[0]->offset, (guint32) node->out[1]->offset };
      FmVulkanDispatch dispatch = { .shader = "fft", .push = &push, .push_bytes = sizeof push,
                                    .bind = { node->in[0], im, node->out[0], node->out[1],
                                              s.n > 1 ? FM_VULKAN_WORKSPACE : node->out[0] },
                                    .n_bind = 5, .groups = ((guint64) pairs + 127) / 128 };

      if (!fm_vulkan_dispatch (recorder, &dispatch, error))
        return FALSE;
    }
  return TRUE;
}

static void
fft_cost (const FmNode *node, FmCost *cost)
{
  Sizes s = sizes_of (node);

  cost->flops = 5.0 * s.outer * s.c * s.n * log2 (MAX (2.0, (gdouble) s.n));
  cost->bytes = 4.0 * (node->n_in + 2) * s.outer * s.c * s.n;
}

static const FmOp fft_op = {
  .name = "fft", .n_in_min = 1, .n_in_max = 2, .n_out = 2, .infer = fft_infer, .gradient = fft_gradient, .cpu = fft_cpu,
  .vulkan = fft_vulkan, .workspace = fft_workspace, .cost = fft_cost,
};

/* Any length, by the definition: products with the cosines and sines of 2 pi k n / N. x [..,N,C]. */
static void
transform_by_products (FmGraph *g, FmTensor *re, FmTensor *im, gboolean inverse, FmTensor **out_re, FmTensor **out_im)
{
  gint64 n = re->shape.dims[re->shape.rank - 2];
  /* k n modulo N in whole numbers, so that the angle keeps its digits. */
  FmTensor *k = fm_iota (g, n), *kn, *whole, *angle, *c, *s, *cr, *sr;

  k = fm_cast (g, k, FM_F32);
  kn = fm_mul (g, fm_reshape (g, k, FM_SHAPE (n, 1)), fm_reshape (g, k, FM_SHAPE (1, n)));
  whole = fm_cast (g, fm_cast (g, fm_mul_scalar (g, fm_add_scalar (g, kn, 0.5), 1.0 / (gdouble) n), FM_I32), FM_F32);
  angle = fm_mul_scalar (g, fm_sub (g, kn, fm_mul_scalar (g, whole, (gdouble) n)), 2 * G_PI / (gdouble) n);
  c = fm_cos (g, angle);
  s = fm_mul_scalar (g, fm_sin (g, angle), inverse ? 1.0 : -1.0);
  cr = fm_matmul (g, c, re, 0);
  sr = fm_matmul (g, s, re, 0);
  *out_re = im ? fm_sub (g, cr, fm_matmul (g, s, im, 0)) : cr;
  *out_im = im ? fm_add (g, sr, fm_matmul (g, c, im, 0)) : sr;
}

FmTensor *
fm_fft (FmGraph *g, FmTensor *re, FmTensor *im, gint axis, gboolean inverse, FmTensor **out_im)
{
  if (out_im)
    *out_im = g->poison;
  FM_REFUSE_NULL (g, "fft", re);
  FmTensor *in[2] = { re, im }, *y[2];
  gboolean vector, last;
  gint64 n;

  *out_im = g->poison;
  if (fm_graph_failed (g))
    return g->poison;
  axis = fm_axis (re, axis, "fft");
  if (axis < 0)
    return g->poison;
  if (re->type != FM_F32 || (im && (im->type != FM_F32 || !fm_shape_equal (&re->shape, &im->shape))))
    {
      g_autofree char *sr = fm_shape_to_string (&re->shape), *si = im ? fm_shape_to_string (&im->shape) : g_strdup ("none");

      return fm_graph_fail (g, "fft", "needs f32 real and imaginary parts of one shape, not %s and %s", sr, si);
    }
  n = re->shape.dims[axis];
  if (n > 1 << 12 && (n & (n - 1)))
    return fm_graph_fail (g, "fft", "axis of %" G_GINT64_FORMAT ": beyond 4096 it must be a power of two; pad it", n);
  /* The op wants the axis before the last. */
  vector = re->shape.rank == 1;
  last = !vector && axis == (gint) re->shape.rank - 1;
  for (guint i = 0; i < 2 && in[i]; i++)
    {
      if (vector)
        in[i] = fm_reshape (g, in[i], FM_SHAPE (n, 1));
      else if (last)
        in[i] = fm_transpose (g, in[i], -1, -2);
      else if (axis != (gint) re->shape.rank - 2)
        in[i] = fm_transpose (g, in[i], axis, -2);
    }
  if (n & (n - 1))
    transform_by_products (g, in[0], in[1], inverse, &y[0], &y[1]);
  else
    {
      FmNode *node = fm_node_new (g, &fft_op, in, in[1] ? 2 : 1, &(FmAttr){ .i = { inverse != FALSE } });

      if (node == NULL)
        return g->poison;
      y[0] = node->out[0];
      y[1] = node->out[1];
    }
  for (guint i = 0; i < 2; i++)
    {
      if (inverse)
        y[i] = fm_mul_scalar (g, y[i], 1.0 / (gdouble) n);
      if (vector)
        y[i] = fm_reshape (g, y[i], FM_SHAPE (n));
      else if (last)
        y[i] = fm_transpose (g, y[i], -1, -2);
      else if (axis != (gint) re->shape.rank - 2)
        y[i] = fm_transpose (g, y[i], axis, -2);
    }
  *out_im = y[1];
  return y[0];
}

FmTensor *
fm_long_conv (FmGraph *g, FmTensor *x, FmTensor *kernel)
{
  FM_REFUSE_NULL (g, "long conv", x, kernel);
  gint64 n, k, size = 1;
  FmTensor *xr, *xi, *kr, *ki, *y, *unused;

  if (fm_graph_failed (g))
    return g->poison;
  if (x->shape.rank != 3 || kernel->shape.rank != 2 || kernel->shape.dims[1] != x->shape.dims[2])
    {
      g_autofree char *sx = fm_shape_to_string (&x->shape), *sk = fm_shape_to_string (&kernel->shape);

      return fm_graph_fail (g, "long-conv", "needs x [B,N,C] and a kernel [K,C], not %s and %s", sx, sk);
    }
  n = x->shape.dims[1];
  k = MIN (kernel->shape.dims[0], n); /* what reaches further back finds nothing */
  while (size < n + k - 1)
    size *= 2;
  xr = fm_fft (g, fm_pad (g, x, 1, 0, size - n), NULL, 1, FALSE, &xi);
  kr = fm_fft (g, fm_pad (g, fm_slice (g, kernel, 0, 0, k), 0, 0, size - k), NULL, 0, FALSE, &ki);
  y = fm_fft (g, fm_sub (g, fm_mul (g, xr, kr), fm_mul (g, xi, ki)), fm_add (g, fm_mul (g, xr, ki), fm_mul (g, xi, kr)), 1,
              TRUE, &unused);
  return fm_slice (g, y, 1, 0, n);
}

FM_OPS (fft, &fft_op);
