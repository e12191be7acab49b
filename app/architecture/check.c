/* check.c: the promises of a plugin, each as one check. A plugin that misbehaves gets a failed row, never an abort. */
#include "config.h"

#include "app/architecture/check.h"
#include "app/architecture/check-case.h"

#include <math.h>
#include <string.h>

/* f32 sums over up to a few thousand terms on another device, in another order: relative to the largest value. */
#define DEVICE_TOLERANCE 2e-4
/* Slope by central differences of f32 outputs with step 1e-3 against the gradient: rounding of y (6e-8 |y| / 1e-3 a
 * term) and curvature stay below this for every smooth plugin tried; a lost term is far above. */
#define SLOPE_TOLERANCE 2e-2

/* Sums of some ten f32 terms in another order, on one device; relative to the largest value. The worst seen is 4e-7. */
#define DECODE_TOLERANCE 1e-5

typedef struct
{
  const FmPlugin *plugin;
  const FmPluginDescriptor *d;
  FmCheckState state;
  char *detail;
} Check;

void
fm_check_row_free (FmCheckRow *row)
{
  if (row == NULL)
    return;
  g_free (row->detail);
  g_free (row);
}

static void result (Check *check, FmCheckState state, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* The first word stands. */
static void
result (Check *check, FmCheckState state, const char *format, ...)
{
  va_list args;

  if (check->detail)
    return;
  va_start (args, format);
  check->detail = g_strdup_vprintf (format, args);
  va_end (args);
  check->state = state;
}

#define failed(check, ...)  result (check, FM_CHECK_FAILED, __VA_ARGS__)
#define skipped(check, ...) result (check, FM_CHECK_SKIPPED, __VA_ARGS__)
#define passed(check, ...)  result (check, FM_CHECK_PASSED, __VA_ARGS__)

/* --- Cases --------------------------------------------------------------------------------------------------------*/

static gpointer
default_params (const FmPluginDescriptor *d)
{
  gpointer params = g_malloc0 (MAX (d->params_size, 1));

  fm_params_set_defaults (d->params, params);
  return params;
}

static FmCheckCase
standard_case (Check *check, gconstpointer params)
{
  return (FmCheckCase){ .plugin = check->plugin, .params = params, .B = 2, .N = 12, .D = 16, .F = 24, .rows = 3,
                        .columns = 4, .seed = 11 };
}

static gboolean
run (Check *check, FmCheckCase *c, const char *device, guint threads, const char *what)
{
  g_autoptr (GError) error = NULL;

  if (fm_check_case_run (c, device, threads, &error))
    return TRUE;
  failed (check, "%s: %s", what, error->message);
  return FALSE;
}

static gboolean
all_finite (const gfloat *data, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!isfinite (data[i]))
      return FALSE;
  return TRUE;
}

/* Largest difference over the largest value of @a. */
static gdouble
distance (const gfloat *a, const gfloat *b, gsize n)
{
  gdouble difference = 0, size = 1e-6;

  for (gsize i = 0; i < n; i++)
    {
      size = MAX (size, fabs ((gdouble) a[i]));
      difference = MAX (difference, fabs ((gdouble) a[i] - b[i]));
      if (isnan (a[i]) != isnan (b[i]))
        return INFINITY;
    }
  return difference / size;
}

/* --- The checks ---------------------------------------------------------------------------------------------------*/

static void
check_param (Check *check, const FmParam *p)
{
  if (p->help == NULL || *p->help == '\0')
    failed (check, "parameter %s has no help", p->name);
  if (p->minimum > p->maximum || p->value < p->minimum || p->value > p->maximum)
    failed (check, "parameter %s: default %g lies outside %g to %g", p->name, p->value, p->minimum, p->maximum);
  if (p->type < FM_PARAM_TYPE_INT || p->type > FM_PARAM_TYPE_BOOL)
    failed (check, "parameter %s has an unknown type", p->name);
  if (p->type == FM_PARAM_TYPE_CHOICE && (p->choices == NULL || p->choices[0] == NULL))
    failed (check, "parameter %s offers no choice", p->name);
  if (p->offset + 8 > check->d->params_size)
    failed (check, "parameter %s lies outside its struct of %" G_GSIZE_FORMAT " bytes", p->name, check->d->params_size);
  for (const FmParam *q = check->d->params; q != p; q++)
    if (g_str_equal (q->name, p->name) || q->offset == p->offset)
      failed (check, "parameters %s and %s share a name or a place", q->name, p->name);
}

static void
check_descriptor (Check *check)
{
  static const char * const axes[] = { "batch", "layer", "head", "query", "key", "token", "task", "expert", NULL };
  static const char * const kinds[] = { "attention", "routing", "assignment", "mask", "kept", "gate", "memory", NULL };
  const FmPluginDescriptor *d = check->d;

  if (!g_regex_match_simple ("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", d->id, 0, 0))
    failed (check, "id “%s” must be lower-case words joined by hyphens", d->id);
  if (d->summary == NULL || strlen (d->summary) < 20)
    failed (check, "the summary is missing or says nothing");
  if (d->complexity == NULL || *d->complexity == '\0')
    failed (check, "the complexity is missing");
  if (d->paper.authors == NULL || d->paper.year < 1950 || d->paper.year > 2100)
    failed (check, "the paper has no authors or no year");
  if (!(d->caps & (FM_CAP_CAUSAL | FM_CAP_BIDIRECTIONAL)))
    failed (check, "claims neither causal nor bidirectional");
  for (const FmParam *p = d->params; p && p->name; p++)
    check_param (check, p);
  for (const FmProbe *p = d->probes; p && p->name; p++)
    {
      g_auto (GStrv) names = g_strsplit (p->axes ? p->axes : "", ",", -1);

      if (!g_strv_contains (kinds, p->name))
        failed (check, "probe %s is of no known kind", p->name);
      if (p->help == NULL || *p->help == '\0')
        failed (check, "probe %s has no help", p->name);
      for (guint i = 0; names[i]; i++)
        if (!g_strv_contains (axes, names[i]))
          failed (check, "probe %s: no axis is called “%s”", p->name, names[i]);
    }
  passed (check, "id, texts, parameters and probes are in order");
}

/* Least: every parameter at its minimum and every size 1. */
static void
check_sizes (Check *check)
{
  g_autofree gpointer least = default_params (check->d);
  g_autofree gpointer usual = default_params (check->d);
  const struct { const char *name; gint64 B, N, D, F, rows, columns; gconstpointer params; } sizes[] = {
    { "least sizes", 1, 1, 1, 1, 1, 1, least },
    { "default sizes", 2, 12, 16, 24, 3, 4, usual },
    { "odd sizes", 3, 35, 20, 7, 5, 7, usual },
    { "a line", 1, 17, 12, 5, 0, 0, usual },
  };

  for (const FmParam *p = check->d->params; p && p->name; p++)
    if (p->type == FM_PARAM_TYPE_INT)
      G_STRUCT_MEMBER (gint64, least, p->offset) = (gint64) p->minimum;
    else if (p->type == FM_PARAM_TYPE_DOUBLE)
      G_STRUCT_MEMBER (gdouble, least, p->offset) = p->minimum;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_auto (FmCheckCase) c = standard_case (check, sizes[i].params);
      g_autofree gfloat *x = NULL;

      c.B = sizes[i].B;
      c.N = sizes[i].N;
      c.D = sizes[i].D;
      c.F = sizes[i].F;
      c.rows = sizes[i].rows;
      c.columns = sizes[i].columns;
      c.gradients = TRUE;
      c.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
      c.x = x = fm_check_normals (3, i, fm_check_case_count (&c));
      if (!run (check, &c, "cpu", 1, sizes[i].name))
        return;
      if (!all_finite (c.y, fm_check_case_count (&c)) || !all_finite (c.dx, fm_check_case_count (&c)))
        failed (check, "%s: a number is not finite", sizes[i].name);
    }
  passed (check, "least, default, odd and line sizes build, run and stay finite");
}

/* (loss (+h) - loss (-h)) / 2h along a random direction of the parameters, and one of x. */
static gdouble
difference (Check *check, FmCheckCase *c, const gfloat *x, const gfloat *along, gdouble h, gboolean of_x)
{
  gsize n = fm_check_case_count (c);
  g_autofree gfloat *moved = g_memdup2 (x, n * sizeof (gfloat));
  gdouble loss[2] = { 0, 0 };

  for (int side = 0; side < 2; side++)
    {
      gdouble step = side ? h : -h;

      for (gsize i = 0; i < n; i++)
        moved[i] = x[i] + (of_x ? (gfloat) step * along[i] : 0.0f);
      c->x = moved;
      c->shift = of_x ? 0.0 : step;
      if (!run (check, c, "cpu", 1, "differences"))
        return 0;
      loss[side] = c->loss;
    }
  c->shift = 0;
  return (loss[1] - loss[0]) / (2 * h);
}

static void
check_gradients (Check *check)
{
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) c = standard_case (check, params);
  gsize n = fm_check_case_count (&c);
  g_autofree gfloat *x = fm_check_normals (3, 50, n);
  g_autofree gfloat *along = fm_check_normals (3, 51, n);
  gdouble slope[2] = { 0, 0 }, worst = 0;

  c.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  c.gradients = TRUE;
  c.x = x;
  if (!run (check, &c, "cpu", 1, "gradients"))
    return;
  slope[0] = c.slope;
  for (gsize i = 0; i < n; i++)
    slope[1] += (gdouble) c.dx[i] * along[i];
  c.gradients = FALSE;
  for (int of_x = 0; of_x < 2; of_x++)
    {
      gdouble best = INFINITY;

      /* A step across a kink (relu, a choice of expert) spoils one difference, not all of them. */
      for (gdouble h = 4e-3; h >= 2.5e-4; h /= 2)
        {
          gdouble d = difference (check, &c, x, along, h, of_x);

          if (check->detail)
            return;
          best = MIN (best, fabs (d - slope[of_x]) / MAX (fabs (slope[of_x]), 1.0));
        }
      if (best > SLOPE_TOLERANCE)
        failed (check, "by %s: the gradient says %.6g, differences are off by %.2g of it", of_x ? "x" : "the parameters",
                slope[of_x], best);
      worst = MAX (worst, best);
    }
  passed (check, "by parameters and x within %.1g of central differences", worst);
}

static void
check_devices (Check *check)
{
  g_autoptr (GPtrArray) infos = fm_devices_list ();
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  gsize n = fm_check_case_count (&a);
  g_autofree gfloat *x = fm_check_normals (3, 60, n);
  gdouble far;

  if (infos->len < 2)
    {
      skipped (check, "no Vulkan device here");
      return;
    }
  a.gradients = b.gradients = TRUE;
  a.causal = b.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  a.x = b.x = x;
  if (!run (check, &a, "cpu", 1, "cpu") || !run (check, &b, "vulkan", 0, "vulkan"))
    return;
  far = MAX (distance (a.y, b.y, n), distance (a.dx, b.dx, n));
  far = MAX (far, fabs (a.slope - b.slope) / MAX (fabs (a.slope), 1.0));
  if (far > DEVICE_TOLERANCE)
    failed (check, "CPU and Vulkan differ by %.2g of the largest value; %.2g is allowed", far, DEVICE_TOLERANCE);
  passed (check, "output and gradients agree within %.1g", far);
}

static void
check_bits (Check *check)
{
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  g_autofree gfloat *x = NULL;
  gsize n;

  a.N = b.N = 35;
  a.rows = b.rows = 5;
  a.columns = b.columns = 7;
  a.gradients = b.gradients = TRUE;
  a.causal = b.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  n = fm_check_case_count (&a);
  a.x = b.x = x = fm_check_normals (3, 70, n);
  if (!run (check, &a, "cpu", 1, "one thread") || !run (check, &b, "cpu", 2, "two threads"))
    return;
  if (memcmp (a.y, b.y, n * 4) || memcmp (a.dx, b.dx, n * 4) || a.slope != b.slope)
    failed (check, "one thread and two give other bits");
  if (!run (check, &b, "cpu", 1, "second run"))
    return;
  if (memcmp (a.y, b.y, n * 4) || memcmp (a.dx, b.dx, n * 4) || a.slope != b.slope)
    failed (check, "two runs of one seed give other bits");
  passed (check, "same seed, same bits, with one thread and two");
}

static void
check_causality (Check *check)
{
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  gsize n = fm_check_case_count (&a);
  g_autofree gfloat *x = fm_check_normals (3, 80, n), *changed = g_memdup2 (x, n * sizeof (gfloat));
  gboolean moved = FALSE;

  if (!(check->d->caps & FM_CAP_CAUSAL))
    {
      skipped (check, "not claimed");
      return;
    }
  a.causal = b.causal = TRUE;
  if (check->d->caps & FM_CAP_BATCH_COUPLED)
    a.B = b.B = 1; /* neighbours may matter; tokens after it may not */
  a.x = x;
  b.x = changed;
  if (!run (check, &a, "cpu", 1, "causal"))
    return;
  for (gint64 t = 1; t < a.N; t += 5)
    {
      gsize row = (gsize) (a.N * a.D), at = (gsize) (t * a.D);

      memcpy (changed, x, n * sizeof (gfloat));
      for (gint64 i = 0; i < a.B; i++)
        for (gint64 k = 0; k < a.D; k++)
          changed[(gsize) i * row + at + (gsize) k] += 1.0f;
      if (!run (check, &b, "cpu", 1, "causal"))
        return;
      for (gint64 i = 0; i < a.B; i++)
        if (memcmp (a.y + (gsize) i * row, b.y + (gsize) i * row, at * 4))
          failed (check, "a change of token %" G_GINT64_FORMAT " moved an output before it", t);
      moved |= memcmp (a.y + at, b.y + at, (gsize) a.D * 4) != 0;
    }
  if (!moved)
    failed (check, "no changed token moved its own output");
  passed (check, "a changed token moves nothing before it");
}

static void
check_padding (Check *check)
{
  static const gint32 lengths[] = { 5, 12, 1 };
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  g_autofree gfloat *x = NULL, *changed = NULL;
  gsize n, row;

  if (!(check->d->caps & FM_CAP_RAGGED))
    {
      skipped (check, "not claimed");
      return;
    }
  a.B = b.B = 3;
  a.rows = b.rows = a.columns = b.columns = 0;
  a.lengths = b.lengths = lengths;
  a.causal = b.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  n = fm_check_case_count (&a);
  row = n / 3;
  a.x = x = fm_check_normals (3, 90, n);
  b.x = changed = g_memdup2 (x, n * sizeof (gfloat));
  for (gsize i = 0; i < 3; i++)
    for (gsize k = (gsize) (lengths[i] * a.D); k < row; k++)
      changed[i * row + k] = 100.0f * changed[i * row + k] + 3.0f;
  if (!run (check, &a, "cpu", 1, "padded rows") || !run (check, &b, "cpu", 1, "padded rows"))
    return;
  for (gsize i = 0; i < 3; i++)
    {
      if (memcmp (a.y + i * row, b.y + i * row, (gsize) (lengths[i] * a.D) * 4))
        failed (check, "padding reached a visible token of the row of length %d", lengths[i]);
      if (!all_finite (a.y + i * row, (gsize) (lengths[i] * a.D)))
        failed (check, "a visible token of the row of length %d is not finite", lengths[i]);
    }
  passed (check, "what lies in the padding reaches no visible token");
}

static void
check_cross (Check *check)
{
  static const gint32 lengths[] = { 3, 7 };
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  gsize n = fm_check_case_count (&a), m;
  g_autofree gfloat *x = fm_check_normals (3, 100, n), *context = NULL, *changed = NULL;

  if (!(check->d->caps & FM_CAP_CROSS) || check->d->role != FM_ROLE_MIXER)
    {
      skipped (check, check->d->role == FM_ROLE_MIXER ? "not claimed" : "only mixers read a context");
      return;
    }
  a.M = b.M = 7;
  m = (gsize) (a.B * a.M * a.D);
  a.context_lengths = b.context_lengths = lengths;
  a.x = b.x = x;
  a.context = context = fm_check_normals (3, 101, m);
  b.context = changed = g_memdup2 (context, m * sizeof (gfloat));
  if (!run (check, &a, "cpu", 1, "cross-attention"))
    return;
  for (gsize k = (gsize) (lengths[0] * a.D); k < m / 2; k++)
    changed[k] += 10.0f;
  if (!run (check, &b, "cpu", 1, "cross-attention"))
    return;
  if (memcmp (a.y, b.y, n * 4))
    failed (check, "padding of the context reached an output");
  changed[0] += 1.0f;
  if (!run (check, &b, "cpu", 1, "cross-attention"))
    return;
  if (memcmp (a.y, b.y, n / 2 * 4) == 0)
    failed (check, "a change of the context moved nothing");
  if (memcmp (a.y + n / 2, b.y + n / 2, n / 2 * 4))
    failed (check, "the context of one row moved another");
  passed (check, "reads a context of another length, up to its visible end");
}

/* The last row alone keeps its tokens; its neighbours become other rows, then copies of it. */
static void
check_neighbours (Check *check)
{
  gboolean coupled = (check->d->caps & FM_CAP_BATCH_COUPLED) != 0;
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) a = standard_case (check, params);
  g_auto (FmCheckCase) b = standard_case (check, params);
  gsize n, row;
  g_autofree gfloat *x = NULL, *changed = NULL;
  gboolean moved;

  a.B = b.B = 4;
  a.causal = b.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  n = fm_check_case_count (&a);
  row = n / 4;
  a.x = x = fm_check_normals (3, 110, n);
  b.x = changed = g_memdup2 (x, n * sizeof (gfloat));
  for (gsize i = 0; i < 3; i++)
    memcpy (changed + i * row, x + 3 * row, row * sizeof (gfloat));
  if (!run (check, &a, "cpu", 1, "neighbours") || !run (check, &b, "cpu", 1, "neighbours"))
    return;
  moved = memcmp (a.y + 3 * row, b.y + 3 * row, row * 4) != 0;
  if (moved && !coupled)
    failed (check, "other rows of the batch moved this one; claim batch-coupled or do not look at them");
  if (!moved && coupled)
    failed (check, "claims batch-coupled, yet its neighbours moved nothing");
  passed (check, coupled ? "coupled, as claimed: crowded neighbours move a row" : "other rows move nothing");
}

static void
check_probe (Check *check, FmCheckCase *c, const FmProbe *row)
{
  g_auto (GStrv) axes = g_strsplit (row->axes, ",", -1);
  FmCheckProbe *probe = NULL;

  for (guint i = 0; i < c->found->len; i++)
    if (g_str_equal (((FmCheckProbe *) g_ptr_array_index (c->found, i))->row->name, row->name))
      probe = g_ptr_array_index (c->found, i);
  if (probe == NULL)
    {
      failed (check, "probe %s is open but was not set", row->name);
      return;
    }
  if (probe->row->shape.rank != g_strv_length (axes))
    {
      failed (check, "probe %s has rank %u, its axes are %s", row->name, probe->row->shape.rank, row->axes);
      return;
    }
  for (guint i = 0; axes[i]; i++)
    {
      gint64 have = probe->row->shape.dims[i], want = have;

      if (g_str_equal (axes[i], "batch"))
        want = c->B;
      else if (g_str_equal (axes[i], "query") || g_str_equal (axes[i], "token") || g_str_equal (axes[i], "key"))
        want = c->N;
      if (have != want)
        failed (check, "probe %s: axis %s has %" G_GINT64_FORMAT " entries, not %" G_GINT64_FORMAT, row->name, axes[i],
                have, want);
    }
}

static void
check_probes (Check *check)
{
  g_autofree gpointer params = default_params (check->d);
  g_auto (FmCheckCase) closed = standard_case (check, params);
  g_auto (FmCheckCase) open = standard_case (check, params);
  gsize n = fm_check_case_count (&closed);
  g_autofree gfloat *x = fm_check_normals (3, 120, n);
  guint count = 0;

  closed.x = open.x = x;
  closed.causal = open.causal = !(check->d->caps & FM_CAP_BIDIRECTIONAL);
  closed.gradients = open.gradients = TRUE;
  open.probes = TRUE;
  if (!run (check, &closed, "cpu", 1, "probes closed") || !run (check, &open, "cpu", 1, "probes open"))
    return;
  if (closed.found->len)
    failed (check, "a closed probe was built");
  if (memcmp (closed.y, open.y, n * 4) || memcmp (closed.dx, open.dx, n * 4) || closed.slope != open.slope)
    failed (check, "opening probes changed the output or a gradient");
  for (const FmProbe *p = check->d->probes; p && p->name; p++, count++)
    check_probe (check, &open, p);
  if (count == 0)
    skipped (check, "offers none");
  passed (check, "%u probe%s with the declared axes; opening changes no bit", count, count == 1 ? "" : "s");
}

/* One setting of @check's plugin, one prefix: at once and token by token must agree. */
static gdouble
decode_distance (Check *check, gconstpointer params, const gint32 *prefix, gboolean ragged, const char *device,
                 const char *what)
{
  g_auto (FmCheckCase) all = standard_case (check, params), apart = standard_case (check, params);
  static const gint32 lengths[] = { 12, 9, 4 };
  g_autofree gfloat *x = NULL;
  gdouble worst = 0, size = 1e-6;
  g_autoptr (GError) error = NULL;

  all.B = apart.B = 3;
  all.rows = all.columns = apart.rows = apart.columns = 0;
  all.causal = apart.causal = TRUE;
  all.lengths = apart.lengths = ragged ? lengths : NULL;
  apart.prefix = prefix;
  all.x = apart.x = x = fm_check_normals (3, 130, fm_check_case_count (&all));
  if (!run (check, &all, device, device[0] == 'c', what))
    return INFINITY;
  if (!fm_check_case_decode (&apart, device, device[0] == 'c', &error))
    {
      failed (check, "%s: %s", what, error->message);
      return INFINITY;
    }
  for (gint64 b = 0; b < all.B; b++)
    for (gint64 t = 0; t < (ragged ? lengths[b] : all.N); t++)
      for (gint64 k = 0; k < all.D; k++)
        {
          gsize at = (gsize) ((b * all.N + t) * all.D + k);

          size = MAX (size, fabs ((gdouble) all.y[at]));
          worst = MAX (worst, fabs ((gdouble) all.y[at] - apart.y[at]));
          if (!isfinite (apart.y[at]))
            worst = INFINITY;
        }
  return worst / size;
}

/* Every choice by name, and the least values, which make windows and blocks small. */
static GPtrArray *
decode_settings (Check *check)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  gpointer least = default_params (check->d);

  g_ptr_array_add (list, default_params (check->d));
  g_ptr_array_add (list, least);
  for (const FmParam *p = check->d->params; p && p->name; p++)
    {
      if (p->type == FM_PARAM_TYPE_INT)
        G_STRUCT_MEMBER (gint64, least, p->offset) = (gint64) p->minimum;
      for (guint c = 1; p->type == FM_PARAM_TYPE_CHOICE && p->choices[c]; c++)
        {
          gpointer params = default_params (check->d);

          G_STRUCT_MEMBER (gint64, params, p->offset) = c;
          g_ptr_array_add (list, params);
        }
    }
  return list;
}

static void
check_decode (Check *check)
{
  static const gint32 prefixes[][3] = { { 5, 5, 5 }, { 1, 1, 1 }, { 11, 11, 11 }, { 10, 9, 3 }, { 2, 6, 1 } };
  g_autoptr (GPtrArray) settings = NULL, infos = fm_devices_list ();
  gdouble worst = 0;

  if (!(check->d->caps & FM_CAP_DECODE))
    {
      skipped (check, "not claimed");
      return;
    }
  settings = decode_settings (check);
  for (guint s = 0; s < settings->len; s++)
    for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
      for (guint on = 0; on < MIN (infos->len, 2); on++)
        {
          gboolean ragged = prefixes[i][0] != prefixes[i][1];
          const char *device = on ? "vulkan" : "cpu";
          gdouble far;

          if ((ragged && !(check->d->caps & FM_CAP_RAGGED)) || (on && s > 0 && i % 2 == 0))
            continue; /* a device needs no setting twice */
          far = decode_distance (check, g_ptr_array_index (settings, s), prefixes[i], ragged, device, device);
          if (far > DECODE_TOLERANCE)
            failed (check, "on %s, after a prefix of %d, %d and %d tokens, token by token differs by %.2g of the largest "
                    "value; %.2g is allowed", device, prefixes[i][0], prefixes[i][1], prefixes[i][2], far,
                    DECODE_TOLERANCE);
          worst = MAX (worst, far);
        }
  passed (check, "a prefix, then token by token, within %.1g of the whole row", worst);
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

static const struct { const char *name; void (*func) (Check *check); } checks[] = {
  { "descriptor", check_descriptor }, { "sizes", check_sizes },         { "gradients", check_gradients },
  { "devices", check_devices },       { "bits", check_bits },           { "causality", check_causality },
  { "padding", check_padding },       { "cross", check_cross },         { "neighbours", check_neighbours },
  { "probes", check_probes },         { "decode", check_decode },
};

const char * const *
fm_check_names (void)
{
  static const char *names[G_N_ELEMENTS (checks) + 1];

  for (guint i = 0; i < G_N_ELEMENTS (checks); i++)
    names[i] = checks[i].name;
  return names;
}

FmCheckRow *
fm_check_plugin (const FmPlugin *plugin, const char *name)
{
  FmCheckRow *row = g_new0 (FmCheckRow, 1);
  Check check = { .plugin = plugin, .d = plugin->descriptor };

  row->name = "unknown";
  row->state = FM_CHECK_FAILED;
  for (guint i = 0; i < G_N_ELEMENTS (checks); i++)
    {
      if (!g_str_equal (checks[i].name, name))
        continue;
      row->name = checks[i].name;
      if (check.d->role > FM_ROLE_BLOCK && i > 0)
        skipped (&check, "a %s is not checked by itself", fm_role_name (check.d->role));
      else
        checks[i].func (&check);
    }
  row->state = check.detail ? check.state : FM_CHECK_FAILED;
  row->detail = check.detail ? check.detail : g_strdup_printf ("there is no check “%s”", name);
  return row;
}
