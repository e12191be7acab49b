/* solvers.c: small dense problems on the host, over LAPACK: SVD, QR, Cholesky, symmetric eigenvalues, least squares.
 *
 * LAPACK counts columns first: a row-major [m,n] array is to it the transpose, [n,m]. Each routine below says which of the
 * two it hands over. Everything runs in double, so that f32 results are as good as their inputs. */
#include "config.h"

#include "compute/compute.h"

#include <math.h>
#include <string.h>

/* The reference interface of LAPACK 3 (all arguments by address); no header comes with every BLAS. */
void dgesdd_ (const char *job, const int *m, const int *n, double *a, const int *lda, double *s, double *u, const int *ldu,
              double *vt, const int *ldvt, double *work, const int *lwork, int *iwork, int *info);
void dgeqrf_ (const int *m, const int *n, double *a, const int *lda, double *tau, double *work, const int *lwork, int *info);
void dorgqr_ (const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau, double *work,
              const int *lwork, int *info);
void dpotrf_ (const char *uplo, const int *n, double *a, const int *lda, int *info);
void dsyevd_ (const char *job, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
              const int *lwork, int *iwork, const int *liwork, int *info);
void dgelsd_ (const int *m, const int *n, const int *nrhs, double *a, const int *lda, double *b, const int *ldb, double *s,
              const double *rcond, int *rank, double *work, const int *lwork, int *iwork, int *info);

/* Sides beyond this make workspaces and products that an int no longer counts. */
#define MAX_SIDE 16384

static gboolean
check (const char *what, const gfloat *a, gint64 m, gint64 n, GError **error)
{
  if (m < 1 || n < 1 || m > MAX_SIDE || n > MAX_SIDE)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS,
                   "%s: a matrix of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT ": sides must be 1 to %d", what, m, n, MAX_SIDE);
      return FALSE;
    }
  for (gint64 i = 0; i < m * n; i++)
    if (!isfinite (a[i]))
      {
        g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS,
                     "%s: row %" G_GINT64_FORMAT ", column %" G_GINT64_FORMAT " is %g: must be finite", what, i / n, i % n, a[i]);
        return FALSE;
      }
  return TRUE;
}

static gboolean
answer (const char *what, int info, GError **error)
{
  if (info == 0)
    return TRUE;
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS, "%s did not converge (LAPACK says %d)", what, info);
  return FALSE;
}

static double *
widen (const gfloat *a, gint64 count)
{
  double *d = g_new (double, count);

  for (gint64 i = 0; i < count; i++)
    d[i] = a[i];
  return d;
}

/* a [m,n] row-major -> its columns one after the other. */
static double *
columns_of (const gfloat *a, gint64 m, gint64 n)
{
  double *d = g_new (double, m * n);

  for (gint64 i = 0; i < m; i++)
    for (gint64 j = 0; j < n; j++)
      d[j * m + i] = a[i * n + j];
  return d;
}

/* -1 where the entry of largest size (the first of them) is negative, else 1. */
static double
sign_of (const double *x, gint64 n, gint64 step)
{
  double largest = 0;

  for (gint64 i = 0; i < n; i++)
    if (fabs (x[i * step]) > fabs (largest))
      largest = x[i * step];
  return largest < 0 ? -1 : 1;
}

gboolean
fm_svd (const gfloat *a, gint64 m, gint64 n, gfloat *u, gfloat *s, gfloat *vt, GError **error)
{
  g_autofree double *work = NULL, *copy = NULL, *values = NULL, *left = NULL, *right = NULL;
  g_autofree int *integers = NULL;
  int rows = (int) n, columns = (int) m, r = (int) MIN (m, n), lwork = -1, info = 0;
  double wish = 0;

  if (!check ("svd", a, m, n, error))
    return FALSE;
  /* The transpose [n,m] = V S U^T: its left vectors, by columns, are the rows of vt; its right ones, by columns, are
   * the rows of u. */
  copy = widen (a, m * n);
  values = g_new (double, r);
  left = g_new (double, (gsize) rows * r);
  right = g_new (double, (gsize) r * columns);
  integers = g_new (int, 8 * r);
  dgesdd_ ("S", &rows, &columns, copy, &rows, values, left, &rows, right, &r, &wish, &lwork, integers, &info);
  lwork = (int) wish;
  work = g_new (double, lwork);
  dgesdd_ ("S", &rows, &columns, copy, &rows, values, left, &rows, right, &r, work, &lwork, integers, &info);
  if (!answer ("svd", info, error))
    return FALSE;
  for (gint64 k = 0; k < r; k++)
    {
      double sign = sign_of (left + k * n, n, 1);

      s[k] = (gfloat) values[k];
      for (gint64 j = 0; vt && j < n; j++)
        vt[k * n + j] = (gfloat) (sign * left[k * n + j]);
      for (gint64 i = 0; u && i < m; i++)
        u[i * r + k] = (gfloat) (sign * right[i * r + k]);
    }
  return TRUE;
}

gboolean
fm_qr (const gfloat *a, gint64 m, gint64 n, gfloat *q, gfloat *r, GError **error)
{
  g_autofree double *copy = NULL, *tau = NULL, *work = NULL;
  int rows = (int) m, columns = (int) n, k = (int) MIN (m, n), lwork, info = 0;

  if (!check ("qr", a, m, n, error))
    return FALSE;
  copy = columns_of (a, m, n);
  tau = g_new (double, k);
  lwork = 64 * MAX (rows, columns);
  work = g_new (double, lwork);
  dgeqrf_ (&rows, &columns, copy, &rows, tau, work, &lwork, &info);
  if (!answer ("qr", info, error))
    return FALSE;
  for (gint64 i = 0; i < k; i++)
    {
      double sign = copy[i * m + i] < 0 ? -1 : 1;

      for (gint64 j = 0; j < n; j++)
        r[i * n + j] = j < i ? 0 : (gfloat) (sign * copy[j * m + i]);
    }
  {
    g_autofree double *signs = g_new (double, k);

    for (gint64 i = 0; i < k; i++)
      signs[i] = copy[i * m + i] < 0 ? -1 : 1;
    dorgqr_ (&rows, &k, &k, copy, &rows, tau, work, &lwork, &info);
    if (!answer ("qr", info, error))
      return FALSE;
    for (gint64 i = 0; i < m; i++)
      for (gint64 j = 0; j < k; j++)
        q[i * k + j] = (gfloat) (signs[j] * copy[j * m + i]);
  }
  return TRUE;
}

gboolean
fm_cholesky (const gfloat *a, gint64 n, gfloat *l, GError **error)
{
  g_autofree double *copy = NULL;
  int side = (int) n, info = 0;

  if (!check ("cholesky", a, n, n, error))
    return FALSE;
  /* The lower triangle by rows is the upper one by columns, and so is the factor. */
  copy = widen (a, n * n);
  dpotrf_ ("U", &side, copy, &side, &info);
  if (info > 0)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS,
                   "cholesky: the matrix is not positive definite from row %d on: must be symmetric with positive pivots",
                   info - 1);
      return FALSE;
    }
  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < n; j++)
      l[i * n + j] = j > i ? 0 : (gfloat) copy[i * n + j];
  return TRUE;
}

gboolean
fm_eigen_symmetric (const gfloat *a, gint64 n, gfloat *values, gfloat *vectors, GError **error)
{
  g_autofree double *copy = NULL, *w = NULL, *work = NULL;
  g_autofree int *integers = NULL;
  int side = (int) n, lwork = -1, liwork = -1, need = 0, info = 0;
  double wish = 0;

  if (!check ("eigen", a, n, n, error))
    return FALSE;
  copy = widen (a, n * n);
  w = g_new (double, n);
  dsyevd_ ("V", "U", &side, copy, &side, w, &wish, &lwork, &need, &liwork, &info);
  lwork = (int) wish;
  liwork = need;
  work = g_new (double, lwork);
  integers = g_new (int, liwork);
  dsyevd_ ("V", "U", &side, copy, &side, w, work, &lwork, integers, &liwork, &info);
  if (!answer ("eigen", info, error))
    return FALSE;
  for (gint64 k = 0; k < n; k++)
    {
      double sign = sign_of (copy + k * n, n, 1);

      values[k] = (gfloat) w[k];
      for (gint64 j = 0; vectors && j < n; j++)
        vectors[k * n + j] = (gfloat) (sign * copy[k * n + j]);
    }
  return TRUE;
}

gboolean
fm_least_squares (const gfloat *a, const gfloat *b, gint64 m, gint64 n, gint64 k, gdouble ridge, gfloat *x, GError **error)
{
  g_autofree double *left = NULL, *right = NULL, *values = NULL, *work = NULL;
  g_autofree int *integers = NULL;
  gint64 rows = ridge > 0 ? m + n : m, tall = MAX (rows, n);
  int im = (int) rows, in = (int) n, ik = (int) k, side = (int) tall, rank = 0, lwork = -1, need = 0, info = 0;
  double wish = 0, smallest = -1; /* machine precision decides the rank */

  if (!check ("least squares", a, m, n, error) || !check ("least squares, right-hand sides", b, m, k, error))
    return FALSE;
  if (!(ridge >= 0) || !isfinite (ridge))
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_NUMBERS, "least squares: ridge %g: must be 0 or more", ridge);
      return FALSE;
    }
  /* A ridge is n further equations, sqrt (ridge) x = 0: better conditioned than adding it to a^T a. */
  left = g_new0 (double, rows * n);
  right = g_new0 (double, tall * k);
  for (gint64 i = 0; i < m; i++)
    {
      for (gint64 j = 0; j < n; j++)
        left[j * rows + i] = a[i * n + j];
      for (gint64 j = 0; j < k; j++)
        right[j * tall + i] = b[i * k + j];
    }
  for (gint64 j = 0; ridge > 0 && j < n; j++)
    left[j * rows + m + j] = sqrt (ridge);
  values = g_new (double, MIN (rows, n));
  dgelsd_ (&im, &in, &ik, left, &im, right, &side, values, &smallest, &rank, &wish, &lwork, &need, &info);
  lwork = (int) wish;
  work = g_new (double, lwork);
  integers = g_new (int, MAX (1, need));
  dgelsd_ (&im, &in, &ik, left, &im, right, &side, values, &smallest, &rank, work, &lwork, integers, &info);
  if (!answer ("least squares", info, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    for (gint64 j = 0; j < k; j++)
      x[i * k + j] = (gfloat) right[j * tall + i];
  return TRUE;
}
