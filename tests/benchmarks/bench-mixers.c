/* bench-mixers.c: what a mixer costs as the text grows: forward and backward of one mixer, batch 1, width 64, four heads.
 *
 *     bench-mixers [THREADS [WORD [LONGEST]]]      settings whose text has WORD, lengths up to LONGEST (16384; 4096
 *                                                   for those that are quadratic)
 *
 * The four projections are timed by themselves at every length and taken off, so that a row is the mixing alone; bytes are the
 * planned arena less that of the projections. The slope is that of the least squares through the logarithms. */
#include "bench.h"

#include "app/architecture/architecture-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 64, HEADS = 4, MOST_LENGTHS = 5 };

typedef struct
{
  const char *settings; /* plugin, then NAME=VALUE; `root` is the root of the length */
  gdouble     bar;      /* of the slope; 0: none */
} Case;

static const Case cases[] = {
  { "softmax-attention", 0 },
  { "local-attention form=block window=32", 1.15 },
  { "sparse-fixed block=root summary=2", 1.6 },
  { "sparse-strided stride=root", 1.6 },
  { "longformer window=32 globals=1", 1.15 },
  { "bigbird block=16", 1.15 },
  { "linformer k=32", 1.15 },
  { "linear-attention", 1.15 },
  { "performer features=64", 1.15 },
  { "reformer chunk=32 rounds=1", 1.15 },
  { "sinkhorn block=root", 1.6 },
  { "sinkhorn block=32 cut=2", 1.15 },
  { "combiner span=root", 1.6 },
  { "masformer full=0 span=32", 1.15 },
  { "synthesizer", 0 },
};

static gpointer
read_params (const FmPlugin *plugin, const char *settings, gint64 n)
{
  gpointer params = g_malloc0 (MAX (plugin->descriptor->params_size, 1));
  g_auto (GStrv) words = g_strsplit (settings, " ", -1);
  g_autofree char *root = g_strdup_printf ("%.0f", sqrt ((gdouble) n));
  g_autoptr (GError) error = NULL;

  fm_params_set_defaults (plugin->descriptor->params, params);
  for (guint i = 1; words[i]; i++)
    {
      g_auto (GStrv) pair = g_strsplit (words[i], "=", 2);

      if (!fm_params_set (plugin->descriptor->params, params, pair[0], g_str_equal (pair[1], "root") ? root : pair[1], &error))
        g_error ("%s", error->message);
    }
  return params;
}

/* @plugin NULL: the projections alone. */
static FmTensor *
build (FmGraph *g, const FmPlugin *plugin, gconstpointer params, FmModel *model, FmTensor *x)
{
  static const char * const names[] = { "q", "k", "v" };
  FmValues *inputs = fm_values_new ();
  FmBuildHost host = { .model = model, .graph = g, .plugin = plugin, .inputs = inputs };
  FmBuild b = { .size = sizeof b, .params = params, .layers = 1, .mode = FM_MODE_TRAIN, .batch = 1,
                .length = fm_tensor_get_dim (x, 1), .width = D, .hidden = D, .host = &host };
  FmTensor *y = NULL;

  if (plugin)
    y = plugin->descriptor->build (g, &b, x);
  else
    {
      for (guint i = 0; i < 3; i++)
        {
          FmTensor *part = fm_linear (g, x, D, names[i]);

          y = y ? fm_add (g, y, part) : part;
        }
      y = fm_linear (g, y, D, "out");
    }
  fm_values_free (inputs);
  return y;
}

/* Seconds of forward and backward, bytes of the arena; FALSE where it does not fit. */
static gboolean
measure (FmDevice *device, const Case *c, gint64 n, FmBenchTime *time, gdouble *bytes)
{
  g_autoptr (GError) error = NULL;
  const FmPlugin *plugin = NULL;
  g_autofree gpointer params = NULL;
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (GPtrArray) shares = g_ptr_array_new (), outputs = g_ptr_array_new (), logs = g_ptr_array_new ();
  g_autoptr (GPtrArray) probes = g_ptr_array_new (), paths = NULL;
  g_autoptr (FmProgram) program = NULL;
  g_autofree FmTensor **wrt = NULL, **gradients = NULL;
  g_autofree float *data = NULL, *weights = NULL;
  FmModel model = { .graph = g, .applications = 1, .shares = shares, .outputs = outputs, .logs = logs,
                    .found_probes = probes };
  const gint32 seed[2] = { 1, 0 }, step = 1;
  FmTensor *x, *y;

  if (c)
    {
      g_auto (GStrv) words = g_strsplit (c->settings, " ", 2);

      plugin = fm_plugins_find (FM_ROLE_MIXER, words[0], &error);
      if (!plugin)
        g_error ("%s", error->message);
      params = read_params (plugin, c->settings, n);
    }
  x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1, n, D));
  y = build (g, plugin, params, &model, x);
  y = fm_sum_all (g, fm_mul (g, y, fm_graph_input (g, "weights", FM_F32, FM_SHAPE (1, n, D))));
  paths = fm_graph_param_paths (g);
  wrt = g_new0 (FmTensor *, paths->len + 1);
  gradients = g_new0 (FmTensor *, paths->len + 1);
  for (guint i = 0; i < paths->len; i++)
    wrt[i] = fm_graph_find_variable (g, g_ptr_array_index (paths, i));
  wrt[paths->len] = x;
  fm_grad (g, y, wrt, paths->len + 1, gradients);
  for (guint i = 0; i <= paths->len; i++)
    {
      g_autofree char *name = g_strdup_printf ("d%u", i);

      fm_graph_output (g, name, gradients[i]);
    }
  program = fm_program_new (g, device, variables, &error);
  if (!program)
    {
      g_print ("    %s\n", error->message);
      return FALSE;
    }
  data = fm_bench_fill (program, g, "x");
  weights = fm_bench_fill (program, g, "weights");
  if ((fm_program_has_input (program, "@seed") && !fm_program_write (program, "@seed", seed, sizeof seed, &error))
      || (fm_program_has_input (program, "@step") && !fm_program_write (program, "@step", &step, sizeof step, &error)))
    g_error ("%s", error->message);
  *time = fm_bench_program (program);
  *bytes = (gdouble) fm_program_get_plan (program)->arena_bytes;
  return TRUE;
}

static gdouble
slope (const gdouble *x, const gdouble *y, guint n)
{
  gdouble mx = 0, my = 0, xy = 0, xx = 0;

  for (guint i = 0; i < n; i++)
    {
      mx += log (x[i]) / n;
      my += log (y[i]) / n;
    }
  for (guint i = 0; i < n; i++)
    {
      xy += (log (x[i]) - mx) * (log (y[i]) - my);
      xx += (log (x[i]) - mx) * (log (x[i]) - mx);
    }
  return xy / xx;
}

int
main (int argc, char **argv)
{
  guint threads = argc > 1 ? (guint) atoi (argv[1]) : g_get_num_processors ();
  gint64 longest = argc > 3 ? atoi (argv[3]) : 16384;
  g_autoptr (GError) error = NULL;
  g_autoptr (FmDevice) device = fm_device_open ("cpu", threads, &error);
  guint missed = 0;

  if (!device)
    g_error ("%s", error->message);
  g_print ("Mixing alone, forward and backward, B1 D64 H4, %u threads: ms (of the whole with projections), MiB\n", threads);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gdouble x[MOST_LENGTHS], seconds[MOST_LENGTHS], bytes[MOST_LENGTHS], s;
      guint n = 0;

      if (argc > 2 && strstr (cases[i].settings, argv[2]) == NULL)
        continue;
      g_print ("%s\n", cases[i].settings);
      for (gint64 length = 1024; length <= (cases[i].bar > 0 ? longest : MIN (longest, 4096)) && n < MOST_LENGTHS; length *= 2)
        {
          FmBenchTime whole, projections;
          gdouble arena, arena_projections;

          /* Side by side, since the machine drifts. */
          if (!measure (device, NULL, length, &projections, &arena_projections)
              || !measure (device, &cases[i], length, &whole, &arena))
            break;
          x[n] = (gdouble) length;
          seconds[n] = MAX (whole.median - projections.median, 1e-7);
          bytes[n] = MAX (arena - arena_projections, 1024);
          g_print ("  %6" G_GINT64_FORMAT " %9.3f (%9.3f) %9.1f\n", length, 1e3 * seconds[n], 1e3 * whole.median,
                   bytes[n] / (1 << 20));
          n++;
        }
      if (n < 2)
        continue;
      s = slope (x, seconds, n);
      g_print ("  slope: time %.2f, bytes %.2f%s", s, slope (x, bytes, n), cases[i].bar > 0 ? "" : ", no bar\n");
      if (cases[i].bar > 0)
        g_print (", bar %.2f: %s\n", cases[i].bar, s <= cases[i].bar ? "met" : "missed");
      missed += cases[i].bar > 0 && s > cases[i].bar;
    }
  return missed > 0;
}
