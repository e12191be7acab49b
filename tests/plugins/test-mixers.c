/* test-mixers.c: mixers at settings where they differ from each other: short blocks, odd lengths, padding.
 *
 * What a mixer shows must be what it does: its map times the values, merged and projected here in double, is its output. Maps
 * have the paper's pattern. Where a pattern covers everything a mixer is softmax attention: parameters are drawn by path, so
 * two plugins that name them alike have the same ones. */
#include "config.h"

#include "app/architecture/check-case.h"

#include <math.h>
#include <string.h>

enum { B = 2, N = 23, D = 12, H = 3, WIDTH = D / H, SEED = 11 };

static const gint32 ragged[B] = { 9, N };

static gpointer
read_params (const FmPlugin *plugin, const char *settings)
{
  const FmPluginDescriptor *d = plugin->descriptor;
  gpointer params = g_malloc0 (MAX (d->params_size, 1));
  g_auto (GStrv) words = g_strsplit (settings, " ", -1);
  g_autoptr (GError) error = NULL;

  fm_params_set_defaults (d->params, params);
  if (!fm_params_set (d->params, params, "heads", "3", &error))
    g_error ("%s", error->message);
  for (guint i = 1; words[i]; i++) /* the first is the plugin */
    {
      g_auto (GStrv) pair = g_strsplit (words[i], "=", 2);

      if (!fm_params_set (d->params, params, pair[0], pair[1], &error))
        g_error ("%s", error->message);
    }
  return params;
}

static const FmPlugin *
find (const char *settings)
{
  g_auto (GStrv) words = g_strsplit (settings, " ", 2);
  g_autoptr (GError) error = NULL;
  const FmPlugin *plugin = fm_plugins_find (FM_ROLE_MIXER, words[0], &error);

  g_assert_no_error (error);
  return plugin;
}

typedef struct
{
  FmCheckCase c;
  gpointer    params;
  gfloat     *x;
} Run;

static void
run_clear (Run *r)
{
  fm_check_case_clear (&r->c);
  g_free (r->params);
  g_free (r->x);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

static void
run (Run *r, const char *settings, gboolean causal, const gint32 *lengths, const char *device)
{
  g_autoptr (GError) error = NULL;

  r->params = read_params (find (settings), settings);
  r->c = (FmCheckCase){ .plugin = find (settings), .params = r->params, .B = B, .N = N, .D = D, .F = D, .seed = SEED,
                        .causal = causal, .lengths = lengths, .probes = TRUE };
  if (r->x == NULL)
    r->x = fm_check_normals (3, 1, B * N * D);
  r->c.x = r->x;
  fm_check_case_run (&r->c, device, device[0] == 'c', &error);
  g_assert_no_error (error);
}

/* [B,H,N,N] */
static const gfloat *
map_of (const Run *r)
{
  for (guint i = 0; i < r->c.found->len; i++)
    {
      const FmCheckProbe *p = g_ptr_array_index (r->c.found, i);

      if (g_str_equal (p->row->name, "attention"))
        return p->data;
    }
  g_assert_not_reached ();
}

/* x W^T + b by the parameters of fm_linear() called @name, as check-case.c draws them. */
static gdouble *
linear (const gdouble *x, const char *name)
{
  g_autofree char *weight = g_strdup_printf ("plugin.%s.weight", name), *bias = g_strdup_printf ("plugin.%s.bias", name);
  g_autofree gfloat *w = fm_check_normals (SEED, fm_hash (weight), D * D), *b = fm_check_normals (SEED, fm_hash (bias), D);
  gdouble *y = g_new (gdouble, B * N * D);

  for (gsize i = 0; i < B * N; i++)
    for (gsize j = 0; j < D; j++)
      {
        y[i * D + j] = 0.3f * b[j];
        for (gsize k = 0; k < D; k++)
          y[i * D + j] += x[i * D + k] * (0.3f * w[j * D + k]);
      }
  return y;
}

/* --- What is shown is what is done --------------------------------------------------------------------------------*/

typedef struct
{
  const char *settings;
  guint       globals; /* rows that have values of their own */
  gboolean    weights; /* rows of the map have sum 1 and nothing is below 0 */
  gboolean    causal;
} Setting;

static const Setting settings[] = {
  { "softmax-attention", 0, TRUE, TRUE },
  { "local-attention window=3", 0, TRUE, TRUE },
  { "local-attention form=block window=5", 0, TRUE, TRUE },
  { "linear-attention", 0, TRUE, TRUE },
  { "linformer k=5", 0, FALSE, FALSE },
  { "linformer k=5 sharing=heads", 0, FALSE, FALSE },
  { "linformer k=64 sharing=keys-values", 0, FALSE, FALSE },
  { "linformer k=3 sharing=layers", 0, FALSE, FALSE },
  { "performer features=32", 0, TRUE, TRUE },
  { "performer features=7 kernel=relu redraw=0", 0, TRUE, TRUE },
  { "synthesizer products=no", 0, TRUE, TRUE },
  { "synthesizer form=dense", 0, TRUE, TRUE },
  { "synthesizer form=dense products=no", 0, TRUE, TRUE },
  { "synthesizer form=factorised-random rank=3", 0, TRUE, TRUE },
  { "synthesizer form=factorised-dense products=no", 0, TRUE, TRUE },
  { "longformer window=2 globals=0", 0, TRUE, TRUE },
  { "longformer window=2 globals=3", 3, TRUE, TRUE },
  { "longformer window=2 dilation=3 globals=1", 1, TRUE, TRUE },
  { "longformer globals=99", N, TRUE, TRUE },
  { "sparse-fixed block=5 summary=2", 0, TRUE, TRUE },
  { "sparse-fixed block=4 summary=1 first=yes", 0, TRUE, TRUE },
  { "sparse-fixed block=4 summary=4 first=yes", 0, TRUE, TRUE },
  { "sparse-strided stride=4", 0, TRUE, TRUE },
  { "sparse-strided stride=40", 0, TRUE, TRUE },
  { "bigbird block=3 random=1", 0, TRUE, FALSE },
  { "bigbird block=2 random=3", 0, TRUE, FALSE },
  { "bigbird block=4 random=0", 0, TRUE, FALSE },
  { "sinkhorn block=4", 0, FALSE, FALSE },
  { "sinkhorn block=5 softmax=two", 0, FALSE, FALSE },
  { "sinkhorn block=4 cut=2", 0, FALSE, FALSE },
  { "combiner span=4", 0, TRUE, TRUE },
  { "combiner span=5 summary=mean", 0, TRUE, TRUE },
  { "masformer full=0 span=4", 0, TRUE, TRUE },
  { "masformer full=0 span=5 form=block-own", 0, TRUE, TRUE },
  { "masformer full=0 span=3 form=window", 0, TRUE, TRUE },
  { "masformer full=1 span=3", 0, TRUE, TRUE },
  { "reformer chunk=4 buckets=4 rounds=1", 0, TRUE, TRUE },
  { "reformer chunk=3 buckets=6 rounds=3", 0, TRUE, TRUE },
  { "reformer chunk=30 buckets=2 rounds=2", 0, TRUE, TRUE },
};

static void
check_shown (const Setting *s, gboolean causal, const gint32 *lengths, const char *device)
{
  g_auto (Run) r = { 0 };
  g_autofree gdouble *x = g_new (gdouble, B * N * D), *v = NULL, *global = NULL, *heads = g_new0 (gdouble, B * N * D), *y = NULL;
  const gfloat *map;
  gdouble size = 0, worst = 0;

  run (&r, s->settings, causal, lengths, device);
  map = map_of (&r);
  for (gsize i = 0; i < B * N * D; i++)
    x[i] = r.x[i];
  v = linear (x, "v");
  global = linear (x, "global.v");
  for (gsize b = 0; b < B; b++)
    for (gsize h = 0; h < H; h++)
      for (gsize i = 0; i < (lengths ? (gsize) lengths[b] : N); i++)
        {
          const gfloat *row = map + ((b * H + h) * N + i) * N;
          gdouble sum = 0;

          for (gsize j = 0; j < N; j++)
            {
              gboolean hidden = (causal && j > i) || (lengths && j >= (gsize) lengths[b]);

              sum += row[j];
              if (s->weights)
                g_assert_cmpfloat (row[j], >=, 0.0f);
              if (s->weights && hidden)
                g_assert_cmpfloat (row[j], ==, 0.0f);
              for (gsize t = 0; t < WIDTH && !hidden; t++)
                heads[(b * N + i) * D + h * WIDTH + t]
                    += row[j] * (i < s->globals ? global : v)[(b * N + j) * D + h * WIDTH + t];
            }
          if (s->weights)
            g_assert_cmpfloat_with_epsilon (sum, 1.0, 2e-5);
        }
  y = linear (heads, "out");
  for (gsize b = 0; b < B; b++)
    for (gsize i = 0; i < (lengths ? (gsize) lengths[b] : N) * D; i++)
      {
        size = MAX (size, fabs (y[b * N * D + i]));
        worst = MAX (worst, fabs (y[b * N * D + i] - r.c.y[b * N * D + i]));
      }
  g_assert_cmpfloat (worst / size, <, 1e-5);
}

static gboolean
have_vulkan (void)
{
  g_autoptr (GPtrArray) infos = fm_devices_list ();

  return infos->len > 1;
}

static void
test_shown (gconstpointer data)
{
  const Setting *s = data;

  for (guint causal = 0; causal <= (guint) s->causal; causal++)
    {
      check_shown (s, causal, NULL, "cpu");
      check_shown (s, causal, ragged, "cpu");
    }
}

static void
test_vulkan (gconstpointer data)
{
  const Setting *s = data;

  if (have_vulkan ())
    check_shown (s, s->causal, ragged, "vulkan");
  else
    g_test_skip ("no Vulkan device here");
}

/* --- Causal at these settings --------------------------------------------------------------------------------------*/

static void
test_causal (gconstpointer data)
{
  const Setting *s = data;
  g_auto (Run) a = { 0 };

  run (&a, s->settings, TRUE, NULL, "cpu");
  for (gsize at = 2; at < N; at += 7)
    {
      g_auto (Run) b = { .x = g_memdup2 (a.x, B * N * D * sizeof (gfloat)) };

      for (gsize i = 0; i < B; i++)
        for (gsize k = 0; k < D; k++)
          b.x[(i * N + at) * D + k] += 1.0f;
      run (&b, s->settings, TRUE, NULL, "cpu");
      for (gsize i = 0; i < B; i++)
        {
          g_assert_cmpmem (a.c.y + i * N * D, at * D * 4, b.c.y + i * N * D, at * D * 4);
          g_assert_true (memcmp (a.c.y + (i * N + at) * D, b.c.y + (i * N + at) * D, D * 4) != 0);
        }
    }
}

/* What lies in the padding reaches no token, by whole bits. */
static void
test_padding (gconstpointer data)
{
  const Setting *s = data;

  for (guint causal = 0; causal <= (guint) s->causal; causal++)
    {
      g_auto (Run) a = { 0 }, b = { .x = fm_check_normals (3, 1, B * N * D) };

      for (gsize i = 0; i < B; i++)
        for (gsize k = (gsize) ragged[i] * D; k < N * D; k++)
          b.x[i * N * D + k] = 100.0f * b.x[i * N * D + k] + 3.0f;
      run (&a, s->settings, causal, ragged, "cpu");
      run (&b, s->settings, causal, ragged, "cpu");
      for (gsize i = 0; i < B; i++)
        g_assert_cmpmem (a.c.y + i * N * D, (gsize) ragged[i] * D * 4, b.c.y + i * N * D, (gsize) ragged[i] * D * 4);
    }
}

/* --- Patterns -----------------------------------------------------------------------------------------------------*/

static gboolean
sees_fixed (gsize i, gsize j)
{
  return i / 5 == j / 5 || j % 5 >= 3;
}

static gboolean
sees_fixed_first (gsize i, gsize j)
{
  return i / 4 == j / 4 || j % 4 == 3 || j % 4 == 0;
}

static gboolean
sees_strided (gsize i, gsize j)
{
  gsize far = i > j ? i - j : j - i;

  return far < 4 || far % 4 == 0;
}

static gboolean
sees_longformer (gsize i, gsize j)
{
  return i < 3 || j < 3 || (i > j ? i - j : j - i) <= 2;
}

static gboolean
sees_dilated (gsize i, gsize j)
{
  gsize far = i > j ? i - j : j - i;

  return i < 1 || j < 1 || (far <= 6 && far % 3 == 0);
}

static gboolean
sees_blocks (gsize i, gsize j) /* blocks of 4, none at random: 6 of them */
{
  gsize a = i / 4, b = j / 4;

  return a == 0 || a == 5 || b == 0 || b == 5 || (a > b ? a - b : b - a) <= 1;
}

static gboolean
sees_next_blocks (gsize i, gsize j)
{
  gsize a = i / 4, b = j / 4;

  return (a > b ? a - b : b - a) <= 1;
}

static gboolean
sees_all (gsize i, gsize j)
{
  return TRUE;
}

static const struct { const char *settings; gboolean (*sees) (gsize i, gsize j); } patterns[] = {
  { "sparse-fixed block=5 summary=2", sees_fixed },
  { "sparse-fixed block=4 summary=1 first=yes", sees_fixed_first },
  { "sparse-strided stride=4", sees_strided },
  { "longformer window=2 globals=3", sees_longformer },
  { "longformer window=2 dilation=3 globals=1", sees_dilated },
  { "bigbird block=4 random=0", sees_blocks },
  { "masformer full=0 span=4", sees_next_blocks },
  { "combiner span=4", sees_all },
};

static void
test_patterns (void)
{
  for (guint p = 0; p < G_N_ELEMENTS (patterns); p++)
    {
      g_auto (Run) r = { 0 };
      const gfloat *map;

      run (&r, patterns[p].settings, FALSE, NULL, "cpu");
      map = map_of (&r);
      for (gsize row = 0; row < B * H * N; row++)
        for (gsize j = 0; j < N; j++)
          if ((map[row * N + j] > 0) != patterns[p].sees (row % N, j))
            g_error ("%s: token %u %s token %u", patterns[p].settings, (guint) (row % N),
                     map[row * N + j] > 0 ? "sees" : "does not see", (guint) j);
    }
}

/* Random blocks are met, differ between heads and stay what they are. */
static void
test_random_blocks (void)
{
  g_auto (Run) a = { 0 }, b = { 0 };
  const gfloat *map, *again;
  guint extra[H] = { 0 }, differ = 0;

  run (&a, "bigbird block=2 random=3", FALSE, NULL, "cpu");
  run (&b, "bigbird block=2 random=3", FALSE, NULL, "cpu");
  map = map_of (&a);
  again = map_of (&b);
  g_assert_cmpmem (map, B * H * N * N * 4, again, B * H * N * N * 4);
  for (gsize h = 0; h < H; h++)
    for (gsize i = 2; i < N - 1; i++)
      for (gsize j = 2; j < N - 1; j++)
        {
          gboolean near = ABS ((gint) (i / 2) - (gint) (j / 2)) <= 1, sees = map[(h * N + i) * N + j] > 0;

          if (near)
            g_assert_true (sees);
          extra[h] += sees && !near;
          differ += sees != (map[((h + 1) % H * N + i) * N + j] > 0);
          g_assert_cmpint (sees, ==, map[((H + h) * N + i) * N + j] > 0); /* the other example of the batch */
        }
  for (gsize h = 0; h < H; h++)
    {
      g_assert_cmpuint (extra[h], >, 0);
      g_assert_cmpuint (extra[h], <=, 20 * 3 * 2);
    }
  g_assert_cmpuint (differ, >, 0);
}

/* --- Where nothing is left out -------------------------------------------------------------------------------------*/

static gdouble
distance (const gfloat *a, const gfloat *b, gsize n)
{
  gdouble far = 0, size = 0;

  for (gsize i = 0; i < n; i++)
    {
      far = MAX (far, fabs ((gdouble) a[i] - b[i]));
      size = MAX (size, fabs ((gdouble) a[i]));
    }
  return far / size;
}

static void
test_whole (void)
{
  static const char * const whole[] = {
    "local-attention window=23", "local-attention form=block window=23", "longformer window=23 globals=0",
    "sparse-fixed block=23", "sparse-fixed block=3 summary=3", "sparse-strided stride=1",
    "bigbird block=23", "bigbird block=6", "sinkhorn block=23", "sinkhorn block=64",
    "combiner span=23", "combiner span=1", "masformer full=9 span=2", "masformer full=0 span=23", "masformer full=0 span=22",
  };

  for (guint causal = 0; causal < 2; causal++)
    {
      g_auto (Run) softmax = { 0 };

      run (&softmax, "softmax-attention", causal, NULL, "cpu");
      for (guint i = 0; i < G_N_ELEMENTS (whole); i++)
        if (!causal || (find (whole[i])->descriptor->caps & FM_CAP_CAUSAL))
          {
            g_auto (Run) r = { 0 };

            run (&r, whole[i], causal, NULL, "cpu");
            g_test_message ("%s: %g", whole[i], distance (softmax.c.y, r.c.y, B * N * D));
            g_assert_cmpfloat (distance (softmax.c.y, r.c.y, B * N * D), <, 1e-5);
          }
    }
}

static gfloat *
small_tokens (void)
{
  gfloat *x = fm_check_normals (3, 1, B * N * D);

  for (gsize i = 0; i < B * N * D; i++)
    x[i] *= 0.4f;
  return x;
}

/* More features come closer to softmax. For short queries and keys the error of the map falls with the root of their number;
 * long ones take more. */
static void
test_features (void)
{
  static const char * const numbers[] = { "performer features=16 redraw=0", "performer features=128 redraw=0",
                                          "performer features=1024 redraw=0" };

  for (guint causal = 0; causal < 2; causal++)
    {
      gdouble error[3] = { 0 };
      g_auto (Run) softmax = { .x = small_tokens () };

      run (&softmax, "softmax-attention", causal, NULL, "cpu");
      for (guint n = 0; n < 3; n++)
        {
          g_auto (Run) r = { .x = small_tokens () };
          const gfloat *exact, *map;

          run (&r, numbers[n], causal, NULL, "cpu");
          exact = map_of (&softmax);
          map = map_of (&r);
          for (gsize i = 0; i < B * H * N * N; i++)
            error[n] += fabs ((gdouble) exact[i] - map[i]) / (B * H * N);
        }
      g_test_message ("%g, %g, %g of a row's weight at another place", error[0] / 2, error[1] / 2, error[2] / 2);
      g_assert_cmpfloat (error[1], <, 0.5 * error[0]);
      g_assert_cmpfloat (error[2], <, 0.5 * error[1]);
      g_assert_cmpfloat (error[2], <, 0.1);
    }
}

/* A parameter of the plugin as check-case.c draws it. */
static gdouble *
drawn (const char *name, gsize n)
{
  g_autofree char *path = g_strdup_printf ("plugin.%s", name);
  g_autofree gfloat *values = fm_check_normals (SEED, fm_hash (path), n);
  gdouble *x = g_new (gdouble, n);

  for (gsize i = 0; i < n; i++)
    x[i] = 0.3f * values[i];
  return x;
}

/* q and k [B,N,D] of @r, and q k / sqrt (d) of a pair. */
static gdouble
product (const gdouble *q, const gdouble *k, gsize h, gsize i, gsize j)
{
  gdouble sum = 0;

  for (gsize t = 0; t < WIDTH; t++)
    sum += q[i * D + h * WIDTH + t] * k[j * D + h * WIDTH + t];
  return sum / sqrt (WIDTH);
}

static void
projected (const Run *r, gdouble **q, gdouble **k)
{
  g_autofree gdouble *x = g_new (gdouble, B * N * D);

  for (gsize i = 0; i < B * N * D; i++)
    x[i] = r->x[i];
  *q = linear (x, "q");
  *k = linear (x, "k");
}

/* Synthesizer, random: the drawn scores, alone and added to the products; dense: a row knows its own token alone. */
static void
test_scores (void)
{
  for (guint products = 0; products < 2; products++)
    {
      g_auto (Run) r = { 0 };
      g_autofree gdouble *q = NULL, *k = NULL, *random = drawn ("random", H * N * N);
      const gfloat *map;

      run (&r, products ? "synthesizer" : "synthesizer products=no", FALSE, NULL, "cpu");
      projected (&r, &q, &k);
      map = map_of (&r);
      for (gsize m = 0; m < B * H * N; m++)
        {
          gsize b = m / (H * N), h = m / N % H, i = m % N;
          gdouble sum = 0, score[N];

          for (gsize j = 0; j < N; j++)
            sum += score[j] = exp (random[(h * N + i) * N + j] + (products ? product (q, k, h, b * N + i, b * N + j) : 0));
          for (gsize j = 0; j < N; j++)
            g_assert_cmpfloat_with_epsilon (map[m * N + j], score[j] / sum, 1e-5);
        }
    }
  for (guint form = 0; form < 2; form++)
    {
      const char *text = form ? "synthesizer form=dense products=no" : "synthesizer form=factorised-dense products=no";
      g_auto (Run) a = { 0 }, b = { .x = fm_check_normals (3, 1, B * N * D) };

      b.x[5 * D] += 1.0f; /* the sixth token of the first row */
      run (&a, text, FALSE, NULL, "cpu");
      run (&b, text, FALSE, NULL, "cpu");
      for (gsize m = 0; m < H * N; m++)
        if (m % N == 5)
          g_assert_true (memcmp (map_of (&a) + m * N, map_of (&b) + m * N, N * 4) != 0);
        else
          g_assert_cmpmem (map_of (&a) + m * N, N * 4, map_of (&b) + m * N, N * 4);
    }
}

enum { W = 4, BLOCKS = 6 };

/* [B,H,BLOCKS,BLOCKS]: share of a block (column) in each mixed one (row), from the keys of @lengths tokens */
static gdouble *
soft_order (const gdouble *k, const gint32 *lengths)
{
  g_autofree gdouble *in = drawn ("sort.in", H * WIDTH * WIDTH), *out = drawn ("sort.out", H * WIDTH * BLOCKS);
  gdouble *order = g_new (gdouble, B * H * BLOCKS * BLOCKS);

  for (gsize m = 0; m < B * H; m++)
    {
      gdouble *o = order + m * BLOCKS * BLOCKS;
      gsize b = m / H, h = m % H;

      for (gsize c = 0; c < BLOCKS; c++)
        {
          gdouble sums[WIDTH] = { 0 }, hidden[WIDTH] = { 0 };

          for (gsize j = c * W; j < MIN (c * W + W, (gsize) lengths[b]); j++)
            for (gsize t = 0; t < WIDTH; t++)
              sums[t] += k[(b * N + j) * D + h * WIDTH + t] / sqrt (W);
          for (gsize t = 0; t < WIDTH; t++)
            for (gsize u = 0; u < WIDTH; u++)
              hidden[u] += sums[t] * in[(h * WIDTH + t) * WIDTH + u];
          for (gsize a = 0; a < BLOCKS; a++)
            {
              o[a * BLOCKS + c] = 0;
              for (gsize u = 0; u < WIDTH; u++)
                o[a * BLOCKS + c] += MAX (hidden[u], 0) * out[(h * WIDTH + u) * BLOCKS + a];
              o[a * BLOCKS + c] = exp (o[a * BLOCKS + c] / 0.75);
            }
        }
      for (guint round = 0; round < 400; round++)
        for (guint way = 0; way < 2; way++)
          for (gsize a = 0; a < BLOCKS; a++)
            {
              gdouble sum = 0;

              for (gsize c = 0; c < BLOCKS; c++)
                sum += o[way ? a * BLOCKS + c : c * BLOCKS + a];
              for (gsize c = 0; c < BLOCKS; c++)
                o[way ? a * BLOCKS + c : c * BLOCKS + a] /= sum;
            }
    }
  return order;
}

/* Sinkhorn attention in double: one softmax over the tokens of the own block that are there and all of the mixed one. */
static void
test_sorted (void)
{
  static const gint32 whole[B] = { N, N };

  for (guint padded = 0; padded < 2; padded++)
    {
      const gint32 *lengths = padded ? ragged : whole;
      g_auto (Run) r = { 0 };
      g_autofree gdouble *q = NULL, *k = NULL, *order = NULL;
      const gfloat *map;

      run (&r, "sinkhorn block=4 iterations=400 noise=0", FALSE, padded ? lengths : NULL, "cpu");
      projected (&r, &q, &k);
      order = soft_order (k, lengths);
      map = map_of (&r);
      for (gsize m = 0; m < B * H * N; m++)
        {
          gsize b = m / (H * N), h = m / N % H, i = m % N, a = i / W;
          const gdouble *o = order + ((b * H + h) * BLOCKS + a) * BLOCKS;
          gdouble own[W] = { 0 }, mixed[W] = { 0 }, sum = 0;

          if (i >= (gsize) lengths[b])
            continue;
          for (gsize t = 0; t < W; t++)
            {
              if (a * W + t < (gsize) lengths[b])
                sum += own[t] = exp (product (q, k, h, b * N + i, b * N + a * W + t));
              for (gsize c = 0; c < BLOCKS; c++)
                if (c * W + t < (gsize) lengths[b])
                  mixed[t] += o[c] * product (q, k, h, b * N + i, b * N + c * W + t);
              sum += mixed[t] = exp (mixed[t]);
            }
          for (gsize j = 0; j < (gsize) lengths[b]; j++)
            g_assert_cmpfloat_with_epsilon (map[m * N + j], (j / W == a ? own[j % W] / sum : 0)
                                            + mixed[j % W] / sum * o[j / W], 2e-5);
        }
    }
}

/* Rows and columns of the soft order have sum 1; a block's tokens share its row. */
static void
test_order (void)
{
  g_auto (Run) r = { 0 };
  const gfloat *order = NULL;

  run (&r, "sinkhorn block=4 iterations=60", FALSE, NULL, "cpu");
  for (guint i = 0; i < r.c.found->len; i++)
    if (g_str_equal (((FmCheckProbe *) g_ptr_array_index (r.c.found, i))->row->name, "assignment"))
      order = ((FmCheckProbe *) g_ptr_array_index (r.c.found, i))->data;
  g_assert_nonnull (order);
  for (gsize m = 0; m < B * H; m++)
    for (gsize i = 0; i < 5; i++) /* whole blocks */
      {
        gdouble row = 0, column = 0;

        for (gsize j = 0; j < 6; j++) /* one token of each block; the last block lacks one */
          {
            row += order[(m * N + 4 * i) * N + 4 * j] * 4;
            column += order[(m * N + 4 * j) * N + 4 * i] * 4;
          }
        g_assert_cmpfloat_with_epsilon (row, 1.0, 1e-4);
        g_assert_cmpfloat_with_epsilon (column, 1.0, 1e-4);
        g_assert_cmpmem (order + (m * N + 4 * i) * N, N * 4, order + (m * N + 4 * i + 3) * N, N * 4);
      }
}

/* Tokens that are alike hash alike: with two copies of every token each meets its twin in some round, unless chunks part
 * them; a token alone in reach sees itself. */
static void
test_buckets (void)
{
  g_auto (Run) r = { 0 };
  const gfloat *map;
  guint met = 0;

  r.x = fm_check_normals (3, 1, B * N * D);
  for (gsize b = 0; b < B; b++)
    memcpy (r.x + (b * N + 12) * D, r.x + b * N * D, 11 * D * sizeof (gfloat));
  run (&r, "reformer chunk=8 buckets=8 rounds=2", FALSE, NULL, "cpu");
  map = map_of (&r);
  for (gsize m = 0; m < B * H; m++)
    for (gsize i = 0; i < 11; i++)
      {
        met += map[(m * N + i) * N + i + 12] > 0;
        /* A twin is in reach: the token itself has no weight. */
        if (map[(m * N + i) * N + i + 12] > 0)
          g_assert_cmpfloat (map[(m * N + i) * N + i], <, 1e-6);
      }
  g_assert_cmpuint (met, >, B * H * 11 * 9 / 10);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    {
      g_autofree char *name = g_strdelimit (g_strdup (settings[i].settings), " =", '-');
      g_autofree char *shown = g_strdup_printf ("/mixers/shown/%s", name), *causal = g_strdup_printf ("/mixers/causal/%s", name);
      g_autofree char *padding = g_strdup_printf ("/mixers/padding/%s", name);

      g_test_add_data_func (shown, &settings[i], test_shown);
      g_test_add_data_func (padding, &settings[i], test_padding);
      if (g_test_slow ())
        {
          g_autofree char *vulkan = g_strdup_printf ("/mixers/vulkan/%s", name);

          g_test_add_data_func (vulkan, &settings[i], test_vulkan);
        }
      if (settings[i].causal && !g_str_has_prefix (name, "reformer")) /* its chunks end where all tokens say */
        g_test_add_data_func (causal, &settings[i], test_causal);
    }
  g_test_add_func ("/mixers/patterns", test_patterns);
  g_test_add_func ("/mixers/random-blocks", test_random_blocks);
  g_test_add_func ("/mixers/whole", test_whole);
  g_test_add_func ("/mixers/features", test_features);
  g_test_add_func ("/mixers/scores", test_scores);
  g_test_add_func ("/mixers/order", test_order);
  g_test_add_func ("/mixers/sorted", test_sorted);
  g_test_add_func ("/mixers/buckets", test_buckets);
  return g_test_run ();
}
