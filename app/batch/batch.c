/* batch.c: what a batch file's lines mean, each value checked where it stands. */
#include "config.h"

#include "app/batch/batch-private.h"
#include "app/batch/measure-axes.h"

#include <errno.h>
#include <string.h>

#define MAX_BYTES (1 << 20)
#define MAX_SEEDS 1000
#define MAX_SEED (G_GINT64_CONSTANT (1) << 53) /* JSON keeps whole numbers up to here */

static const char * const schedules[] = { "cosine", "linear", "constant", NULL };
static const char * const optimizers[] = { "adamw", "sgd", NULL };

const FmParam fm_batch_setting_params[] = {
  FM_PARAM_INT (FmBatchSettings, layers, 2, 1, 1000, "layers", "Blocks of the skeleton"),
  FM_PARAM_INT (FmBatchSettings, width, 64, 1, 1 << 20, "numbers", "Width of the model"),
  /* 0 is only the default: four times the width. */
  FM_PARAM_INT (FmBatchSettings, hidden, 0, 1, 1 << 24, "numbers", "Width inside the feed-forward"),
  FM_PARAM_INT (FmBatchSettings, batch, 64, 1, 1 << 20, "examples", "Examples a step"),
  FM_PARAM_DOUBLE (FmBatchSettings, rate, 3e-3, 1e-12, 1e30, NULL, "Highest learning rate"),
  FM_PARAM_CHOICE (FmBatchSettings, schedule, schedules, "How the rate falls after warm-up: half a cosine or a line to 0, or not at all"),
  FM_PARAM_INT (FmBatchSettings, warmup, 50, 0, 1e9, "steps", "Steps in which the rate rises"),
  FM_PARAM_DOUBLE (FmBatchSettings, decay, 0.01, 0, 1e3, NULL, "Weight decay"),
  FM_PARAM_DOUBLE (FmBatchSettings, clip, 1, 0, 1e9, NULL, "Largest norm of the gradient; 0 is none"),
  FM_PARAM_CHOICE (FmBatchSettings, optimizer, optimizers, "How gradients become steps"),
  FM_PARAM_DOUBLE (FmBatchSettings, momentum, 0.9, 0, 0.9999, NULL, "Share of the last direction that sgd keeps"),
  FM_PARAM_BOOL (FmBatchSettings, nesterov, 0, "sgd looks one step of its momentum ahead"),
  FM_PARAM_INT (FmBatchSettings, accumulate, 1, 1, 1 << 20, "parts",
                "Of a batch, one after another for less memory; must divide it"),
  FM_PARAM_DOUBLE (FmBatchSettings, average, 0, 0, 0.999999, NULL,
                   "Weights are scored as an exponential average with this factor; 0 is none"),
  FM_PARAM_INT (FmBatchSettings, recompute, 0, 0, 1000, "layers",
                "First ones whose activations are computed twice instead of kept: less memory, more time"),
  /* 0 is only the default: all there are. */
  FM_PARAM_INT (FmBatchSettings, evaluate, 0, 1, 1e9, "examples", "Scored of validation and of test, the first ones; all when left out"),
  FM_PARAM_BOOL (FmBatchSettings, causal, 0, "Tokens see earlier tokens only"),
  FM_PARAM_END
};

/* Keys of [batch] that are no plain parameters. */
static const FmBatchKey other_keys[] = {
  { "title", "Of the batch; the file's name when left out" },
  { "task", "What is learned; `;` for one task after another, `+` for a mixture that one model learns, as in "
            "2*mqar+listops" },
  { "mixer", "Plugins that mix tokens; `;` for several variants, `,` for one a layer" },
  { "feedforward", "Plugins behind them; likewise" },
  { "variants", "Pairs MIXER x FEEDFORWARD in place of every combination" },
  { "include", "Parts of the matrix that alone are run, as labels name them: local-attention, window=16; pooling x mlp" },
  { "exclude", "Parts of the matrix that are not run, likewise; seed=N, tasks and devices are parts, too" },
  { "seeds", "How many, or a list; 3 when left out" },
  { "budget", "steps:N, examples:N, tokens:N or flops:N; steps:0 trains nothing; steps:1000 when left out" },
  { "tune", "Settings that trials choose for each variant on validation, as in rate:0.001,0.003; decay:0,0.01; every "
            "combination is a trial; a plugin's section may have its own, or none" },
  { "hold", "What equals the first variant's: parameters:1% (solves hidden), bytes (a ceiling), trials (of tune), and one of "
            "steps, examples, tokens, flops, seconds (of a model machine; solves steps)" },
  { "device", "cpu, vulkan or vulkan:N; cpu when left out" },
  { "measure", FM_METER_AXIS_HELP },
  { NULL, NULL }
};

const FmBatchKey *
fm_batch_other_keys (void)
{
  return other_keys;
}

const FmParam *
fm_batch_keys (void)
{
  return fm_batch_setting_params;
}

char *
fm_batch_key_default (const char *key)
{
  FmBatchSettings settings;

  fm_params_set_defaults (fm_batch_setting_params, &settings);
  return fm_params_get (fm_batch_setting_params, &settings, key);
}

/* --- Messages -----------------------------------------------------------------------------------------------------*/

static const char *
display_name (FmBatchFile *file)
{
  return file->name ? file->name : "batch file";
}

gboolean
fm_batch_blame (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  if (error == NULL || *error == NULL)
    return FALSE;
  if (entry == NULL)
    g_prefix_error (error, "%s: ", display_name (file));
  else if (entry->line == 0)
    g_prefix_error (error, "%s with %s set to %s: ", display_name (file), entry->key, entry->value);
  else
    g_prefix_error (error, "%s, line %u, [%s] ", display_name (file), entry->line, entry->group);
  (*error)->domain = FM_APP_ERROR;
  if (!g_str_has_suffix ((*error)->message, ".") && !g_str_has_suffix ((*error)->message, "?"))
    {
      char *sentence = g_strconcat ((*error)->message, ".", NULL);

      g_free ((*error)->message);
      (*error)->message = sentence;
    }
  (*error)->code = FM_APP_ERROR_INPUT;
  return FALSE;
}

gboolean
fm_batch_fail (FmBatchFile *file, const FmBatchEntry *entry, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, what);
  return fm_batch_blame (file, entry, error);
}

/* --- Lists --------------------------------------------------------------------------------------------------------*/

GPtrArray *
fm_batch_split (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = g_strsplit (entry->value, ";", -1);
  guint n = g_strv_length (parts);

  if (n == 0)
    {
      fm_batch_fail (file, entry, error, "%s=: a value is missing", entry->key);
      return NULL;
    }
  if (n > 1 && *g_strstrip (parts[n - 1]) == '\0') /* one `;` at the end is no item */
    n--;
  for (guint i = 0; i < n; i++)
    {
      g_strstrip (parts[i]);
      if (*parts[i] == '\0')
        {
          fm_batch_fail (file, entry, error, "%s=%s: an item between two `;` is empty", entry->key, entry->value);
          return NULL;
        }
      if (g_ptr_array_find_with_equal_func (list, parts[i], g_str_equal, NULL))
        {
          fm_batch_fail (file, entry, error, "%s=%s: names %s twice", entry->key, entry->value, parts[i]);
          return NULL;
        }
      g_ptr_array_add (list, g_strdup (parts[i]));
    }
  return g_steal_pointer (&list);
}

/* --- Parameters: [batch] numbers and sections of plugins and tasks -------------------------------------------------*/

static void
axis_free (FmBatchAxis *axis)
{
  g_ptr_array_unref (axis->values);
  g_free (axis);
}

static const FmPluginDescriptor *
find_plugin (const char *id)
{
  GPtrArray *plugins = fm_plugins_list ();

  for (guint i = 0; i < plugins->len; i++)
    {
      const FmPlugin *plugin = g_ptr_array_index (plugins, i);

      if (g_str_equal (plugin->descriptor->id, id))
        return plugin->descriptor;
    }
  return NULL;
}

/* (transfer full): @text as the table writes it; of a plugin, `,` gives a value per layer. */
static char *
canonical_value (const FmBatchEntry *entry, const char *owner, const FmParam *params, gpointer scratch, const char *text,
                 GError **error)
{
  g_auto (GStrv) parts = NULL;
  gboolean same = TRUE;

  if (strchr (text, ',') == NULL || find_plugin (owner) == NULL)
    return fm_params_set (params, scratch, entry->key, text, error) ? fm_params_get (params, scratch, entry->key) : NULL;
  parts = g_strsplit (text, ",", -1);
  for (guint i = 0; parts[i]; i++)
    {
      if (!fm_params_set (params, scratch, entry->key, g_strstrip (parts[i]), error))
        return NULL;
      g_free (parts[i]);
      parts[i] = fm_params_get (params, scratch, entry->key);
      same &= g_str_equal (parts[i], parts[0]);
    }
  return same ? g_strdup (parts[0]) : g_strjoinv (",", parts);
}

static gboolean
add_axis (FmBatchFile *file, const FmBatchEntry *entry, const char *owner, const FmParam *params, gsize params_size,
          GError **error)
{
  g_autoptr (GPtrArray) list = NULL;
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  g_autofree gpointer scratch = g_malloc0 (MAX (params_size, 1));
  FmBatchAxis *axis;

  if (strchr (entry->value, ',') && find_plugin (owner) == NULL)
    return fm_batch_fail (file, entry, error,
                          "%s=%s: `,` gives a value per layer, which only parameters of plugins have; use one value, or "
                          "`;` for several variants", entry->key, entry->value);
  list = fm_batch_split (file, entry, error);
  if (list == NULL)
    return FALSE;
  fm_params_set_defaults (params, scratch);
  for (guint i = 0; i < list->len; i++)
    {
      g_autofree char *canonical = NULL;

      canonical = canonical_value (entry, owner, params, scratch, g_ptr_array_index (list, i), error);
      if (canonical == NULL)
        return fm_batch_blame (file, entry, error);
      if (g_ptr_array_find_with_equal_func (values, canonical, g_str_equal, NULL))
        return fm_batch_fail (file, entry, error, "%s=%s: names %s twice", entry->key, entry->value, canonical);
      g_ptr_array_add (values, g_steal_pointer (&canonical));
    }
  axis = g_new0 (FmBatchAxis, 1);
  axis->owner = owner;
  axis->params = params;
  axis->name = fm_params_find (params, entry->key)->name;
  axis->values = g_steal_pointer (&values);
  axis->entry = entry;
  g_ptr_array_add (file->axes, axis);
  return TRUE;
}

static gboolean
unknown_key (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *all = NULL;
  const char *near;

  for (const FmBatchKey *key = other_keys; key->name; key++)
    g_ptr_array_add (names, (gpointer) key->name);
  for (const FmParam *p = fm_batch_setting_params; p->name; p++)
    g_ptr_array_add (names, (gpointer) p->name);
  for (const char *const *key = fm_batch_judging_keys (); *key; key++)
    g_ptr_array_add (names, (gpointer) *key);
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (entry->key, (const char * const *) names->pdata);
  if (near)
    return fm_batch_fail (file, entry, error, "%s: no such key; did you mean “%s”?", entry->key, near);
  all = g_strjoinv (", ", (char **) names->pdata);
  return fm_batch_fail (file, entry, error, "%s: no such key; there are %s", entry->key, all);
}

static gboolean
unknown_section (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  GPtrArray *plugins = fm_plugins_list ();
  const char *near;

  g_ptr_array_add (names, (gpointer) "batch");
  g_ptr_array_add (names, (gpointer) "paper");
  g_ptr_array_add (names, (gpointer) "expect");
  for (guint i = 0; i < plugins->len; i++)
    g_ptr_array_add (names, (gpointer) ((FmPlugin *) g_ptr_array_index (plugins, i))->descriptor->id);
  for (const FmTaskClass * const *cls = fm_task_classes (); *cls; cls++)
    g_ptr_array_add (names, (gpointer) (*cls)->id);
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (entry->group, (const char * const *) names->pdata);
  if (near)
    return fm_batch_fail (file, entry, error, "names no plugin and no task; did you mean [%s]?", near);
  return fm_batch_fail (file, entry, error,
                        "names no plugin and no task; a section is [batch], [stage NAME] or one of `formarium list`");
}

/* --- [batch] ------------------------------------------------------------------------------------------------------*/

static gboolean
parse_whole (const char *text, gint64 *value)
{
  char *end;

  errno = 0;
  *value = g_ascii_strtoll (text, &end, 10);
  return end != text && *end == '\0' && errno == 0;
}

static gboolean
parse_seeds (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  gint64 value;

  if (list == NULL)
    return FALSE;
  g_array_set_size (file->seeds, 0);
  if (strchr (entry->value, ';') == NULL)
    {
      if (!parse_whole (entry->value, &value) || value < 1 || value > MAX_SEEDS)
        return fm_batch_fail (file, entry, error,
                              "seeds=%s: must be a number of seeds from 1 to %d, or a list such as 0;1;2",
                              entry->value, MAX_SEEDS);
      for (gint64 i = 0; i < value; i++)
        g_array_append_val (file->seeds, i);
      return TRUE;
    }
  for (guint i = 0; i < list->len; i++)
    {
      if (!parse_whole (g_ptr_array_index (list, i), &value) || value < 0 || value > MAX_SEED)
        return fm_batch_fail (file, entry, error, "seeds=%s: each seed must be a whole number from 0 to 2^53",
                              entry->value);
      for (guint k = 0; k < file->seeds->len; k++)
        if (g_array_index (file->seeds, gint64, k) == value)
          return fm_batch_fail (file, entry, error, "seeds=%s: names %" G_GINT64_FORMAT " twice", entry->value, value);
      g_array_append_val (file->seeds, value);
    }
  return TRUE;
}

static gboolean
parse_devices (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);

  if (list == NULL)
    return FALSE;
  g_ptr_array_set_size (file->devices, 0);
  for (guint i = 0; i < list->len; i++)
    {
      const char *device = g_ptr_array_index (list, i);
      gint64 number = 0;

      if (!g_str_equal (device, "cpu") && !g_str_equal (device, "vulkan") &&
          (!g_str_has_prefix (device, "vulkan:") || !parse_whole (device + strlen ("vulkan:"), &number) || number < 0))
        return fm_batch_fail (file, entry, error, "device=%s: must be cpu, vulkan or vulkan:N", entry->value);
      /* The first device has one name, or the same stage would have two ids. */
      if (g_str_equal (device, "vulkan:0"))
        device = "vulkan";
      if (g_ptr_array_find_with_equal_func (file->devices, device, g_str_equal, NULL))
        return fm_batch_fail (file, entry, error, "device=%s: names %s twice", entry->value, device);
      g_ptr_array_add (file->devices, g_strdup (device));
    }
  return TRUE;
}

gboolean
fm_batch_parse_mixture (const char *text, GPtrArray *ids, GArray *weights)
{
  g_auto (GStrv) parts = g_strsplit (text, "+", -1);

  for (guint i = 0; parts[i]; i++)
    {
      char *star = strchr (parts[i], '*'), *id = g_strstrip (star ? star + 1 : parts[i]);
      gint64 weight = 1;

      if (star)
        {
          *star = '\0';
          if (!parse_whole (g_strstrip (parts[i]), &weight) || weight < 1 || weight > 1000)
            return FALSE;
        }
      g_ptr_array_add (ids, g_strdup (id));
      g_array_append_val (weights, weight);
    }
  return TRUE;
}

char *
fm_batch_check_mixture (FmBatchFile *file, const FmBatchEntry *entry, const char *text, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) weights = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GString) out = g_string_new (NULL);

  if (!fm_batch_parse_mixture (text, ids, weights))
    {
      fm_batch_fail (file, entry, error, "task=%s: weights are whole numbers from 1 to 1000, as in 2*mqar+listops",
                     entry->value);
      return NULL;
    }
  if (ids->len == 1 && strchr (text, '*'))
    {
      fm_batch_fail (file, entry, error, "task=%s: a weight says how much of a mixture a task is; write %s alone",
                     entry->value, (char *) g_ptr_array_index (ids, 0));
      return NULL;
    }
  for (guint i = 0; i < ids->len; i++)
    {
      const char *id = g_ptr_array_index (ids, i);
      gint64 weight = g_array_index (weights, gint64, i);

      if (strchr (id, ',') || *id == '\0')
        {
          fm_batch_fail (file, entry, error, "task=%s: write `;` for one task after another and `+` for a mixture",
                         entry->value);
          return NULL;
        }
      if (fm_task_class_find (id) == NULL)
        {
          g_autoptr (FmTask) none = fm_task_new (id, NULL, error); /* its sentence offers the nearest name */

          g_prefix_error (error, "task=%s: ", entry->value);
          fm_batch_blame (file, entry, error);
          return NULL;
        }
      for (guint k = 0; k < i; k++)
        if (g_str_equal (g_ptr_array_index (ids, k), id))
          {
            fm_batch_fail (file, entry, error, "task=%s: names %s twice in a mixture; give it a weight, as in 2*%s",
                           entry->value, id, id);
            return NULL;
          }
      g_string_append (out, i ? "+" : "");
      if (weight > 1)
        g_string_append_printf (out, "%" G_GINT64_FORMAT "*", weight);
      g_string_append (out, id);
    }
  return g_strdup (out->str);
}

static gboolean
parse_tasks (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  g_autoptr (GPtrArray) tasks = g_ptr_array_new_with_free_func (g_free);

  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      char *task = fm_batch_check_mixture (file, entry, g_ptr_array_index (list, i), error);

      if (task == NULL)
        return FALSE;
      if (g_ptr_array_find_with_equal_func (tasks, task, g_str_equal, NULL))
        {
          fm_batch_fail (file, entry, error, "task=%s: names %s twice", entry->value, task);
          g_free (task);
          return FALSE;
        }
      g_ptr_array_add (tasks, task);
    }
  g_ptr_array_unref (file->tasks);
  file->tasks = g_steal_pointer (&tasks);
  return TRUE;
}

char **
fm_batch_parse_role (FmBatchFile *file, const FmBatchEntry *entry, FmRole role, const char *text, GError **error)
{
  g_auto (GStrv) ids = g_strsplit (text, ",", -1);

  if (strchr (text, '+'))
    {
      fm_batch_fail (file, entry, error,
                     "%s=%s: alternating roles (`+`) do not work yet; write one name a layer with `,`", entry->key,
                     entry->value);
      return NULL;
    }
  for (guint i = 0; ids[i]; i++)
    {
      g_strstrip (ids[i]);
      if (*ids[i] == '\0')
        {
          fm_batch_fail (file, entry, error, "%s=%s: a name is missing", entry->key, entry->value);
          return NULL;
        }
      if (fm_plugins_find (role, ids[i], error) == NULL)
        {
          g_prefix_error (error, "%s=%s: ", entry->key, entry->value);
          fm_batch_blame (file, entry, error);
          return NULL;
        }
    }
  return g_steal_pointer (&ids);
}

static void
pair_free (FmBatchPair *pair)
{
  g_strfreev (pair->mixers);
  g_strfreev (pair->feedforwards);
  g_free (pair);
}

static gboolean
add_pair (FmBatchFile *file, const FmBatchEntry *mixer_entry, const char *mixer, const FmBatchEntry *ff_entry,
          const char *feedforward, GError **error)
{
  FmBatchPair *pair = g_new0 (FmBatchPair, 1);

  g_ptr_array_add (file->pairs, pair);
  pair->entry = mixer_entry;
  pair->mixers = fm_batch_parse_role (file, mixer_entry, FM_ROLE_MIXER, mixer, error);
  if (pair->mixers == NULL)
    return FALSE;
  pair->feedforwards = fm_batch_parse_role (file, ff_entry, FM_ROLE_FEEDFORWARD, feedforward, error);
  return pair->feedforwards != NULL;
}

static gboolean
parse_variants (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < list->len; i++)
    {
      g_auto (GStrv) sides = g_strsplit (g_ptr_array_index (list, i), " x ", -1);

      if (g_strv_length (sides) != 2)
        return fm_batch_fail (file, entry, error, "variants=%s: “%s” must be MIXER x FEEDFORWARD", entry->value,
                              (char *) g_ptr_array_index (list, i));
      if (!add_pair (file, entry, g_strstrip (sides[0]), entry, g_strstrip (sides[1]), error))
        return FALSE;
      if (!g_hash_table_add (seen, g_strconcat (sides[0], " x ", sides[1], NULL)))
        return fm_batch_fail (file, entry, error, "variants=%s: names %s x %s twice", entry->value, sides[0],
                              sides[1]);
    }
  return TRUE;
}

static gboolean
parse_pairs (FmBatchFile *file, GError **error)
{
  const FmBatchEntry *variants = fm_batch_find (file, "batch", "variants");
  const FmBatchEntry *mixer = fm_batch_find (file, "batch", "mixer");
  const FmBatchEntry *feedforward = fm_batch_find (file, "batch", "feedforward");
  g_autoptr (GPtrArray) mixers = NULL, feedforwards = NULL;

  if (variants && (mixer || feedforward))
    return fm_batch_fail (file, variants, error,
                          "variants names the pairs already; remove mixer and feedforward, or variants");
  if (variants)
    return parse_variants (file, variants, error);
  if (mixer == NULL || feedforward == NULL)
    return fm_batch_fail (file, NULL, error, "[batch] has no %s; write %s", mixer ? "feedforward" : "mixer",
                          mixer ? "feedforward=mlp, for one" : "mixer=softmax-attention, for one");
  mixers = fm_batch_split (file, mixer, error);
  if (mixers == NULL)
    return FALSE;
  feedforwards = fm_batch_split (file, feedforward, error);
  if (feedforwards == NULL)
    return FALSE;
  for (guint k = 0; k < feedforwards->len; k++)
    for (guint i = 0; i < mixers->len; i++)
      if (!add_pair (file, mixer, g_ptr_array_index (mixers, i), feedforward, g_ptr_array_index (feedforwards, k),
                     error))
        return FALSE;
  return TRUE;
}

static gboolean
parse_batch_key (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  if (fm_params_find (fm_batch_setting_params, entry->key))
    return add_axis (file, entry, "", fm_batch_setting_params, sizeof (FmBatchSettings), error);
  if (g_str_equal (entry->key, "title"))
    {
      if (*entry->value == '\0')
        return fm_batch_fail (file, entry, error,
                              "title=: a title is missing; leave the line out to use the file's name");
      g_free (file->title);
      file->title = g_strdup (entry->value);
      return TRUE;
    }
  if (g_str_equal (entry->key, "task"))
    return parse_tasks (file, entry, error);
  if (g_str_equal (entry->key, "seeds"))
    return parse_seeds (file, entry, error);
  if (g_str_equal (entry->key, "budget"))
    return fm_batch_parse_budget (file, entry, error);
  if (g_str_equal (entry->key, "hold"))
    return fm_batch_parse_hold (file, entry, error);
  if (g_str_equal (entry->key, "tune"))
    return fm_batch_parse_tune (file, entry, "", error);
  if (g_str_equal (entry->key, "device"))
    return parse_devices (file, entry, error);
  if (g_strv_contains (fm_batch_judging_keys (), entry->key))
    return fm_batch_judging_set (file->judging, entry->key, entry->value, error) ||
           fm_batch_blame (file, entry, error);
  if (g_strv_contains ((const char * const[]) { "mixer", "feedforward", "variants", "include", "exclude", "measure", NULL },
                       entry->key))
    return TRUE; /* parse_pairs() and fm_batch_parse_patterns() read them when the rest is known */
  return unknown_key (file, entry, error);
}

/* --- The file -----------------------------------------------------------------------------------------------------*/

const FmBatchEntry *
fm_batch_find (FmBatchFile *file, const char *group, const char *key)
{
  for (guint i = 0; i < file->entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (file->entries, i);

      if (g_str_equal (entry->group, group) && g_str_equal (entry->key, key))
        return entry;
    }
  return NULL;
}

static gboolean
parse_entry (FmBatchFile *file, const FmBatchEntry *entry, GError **error)
{
  const FmPluginDescriptor *plugin;
  const FmTaskClass *task;

  if (g_str_equal (entry->group, "batch"))
    return *entry->key == '\0' || parse_batch_key (file, entry, error);
  if (fm_batch_is_claim_section (entry->group))
    return TRUE; /* fm_batch_claim_parse() reads both together */
  if (fm_batch_is_stage_section (entry->group))
    return TRUE; /* fm_batch_parse_stages() reads them when the rest is known */
  plugin = find_plugin (entry->group);
  task = fm_task_class_find (entry->group);
  if (plugin == NULL && task == NULL)
    return unknown_section (file, entry, error);
  if (*entry->key == '\0')
    return TRUE;
  if (plugin && g_str_equal (entry->key, "tune"))
    return fm_batch_parse_tune (file, entry, entry->group, error);
  return add_axis (file, entry, entry->group, plugin ? plugin->params : task->params,
                   plugin ? plugin->params_size : task->params_size, error);
}

static char *
default_title (FmBatchFile *file)
{
  g_autofree char *base = file->name ? g_path_get_basename (file->name) : NULL;

  if (base == NULL)
    return g_strdup ("Batch");
  if (g_str_has_suffix (base, ".batch"))
    base[strlen (base) - strlen (".batch")] = '\0';
  return g_steal_pointer (&base);
}

static gboolean
parse_entries (FmBatchFile *file, GError **error)
{
  g_clear_pointer (&file->title, g_free);
  g_ptr_array_set_size (file->tasks, 0);
  g_ptr_array_set_size (file->pairs, 0);
  g_ptr_array_set_size (file->axes, 0);
  g_ptr_array_set_size (file->tunings, 0);
  g_ptr_array_set_size (file->devices, 0);
  g_ptr_array_add (file->devices, g_strdup ("cpu"));
  g_array_set_size (file->seeds, 0);
  for (gint64 i = 0; i < 3; i++)
    g_array_append_val (file->seeds, i);
  file->budget = 1000;
  file->budget_unit = FM_LENGTH_STEPS;
  file->hold = (FmBatchHold){ 0 };
  g_clear_pointer (&file->judging, fm_batch_judging_free);
  file->judging = fm_batch_judging_new ();

  if (fm_batch_find (file, "batch", "") == NULL)
    return fm_batch_fail (file, NULL, error, "there is no section [batch]");
  for (guint i = 0; i < file->entries->len; i++)
    if (!parse_entry (file, g_ptr_array_index (file->entries, i), error))
      return FALSE;
  g_clear_pointer (&file->claim, fm_batch_claim_free);
  if (fm_batch_find (file, "paper", "") || fm_batch_find (file, "expect", ""))
    {
      file->claim = fm_batch_claim_parse (file->entries, file->text, display_name (file), error);
      if (file->claim == NULL)
        return FALSE;
    }
  if (file->tasks->len == 0)
    return fm_batch_fail (file, NULL, error, "[batch] has no task; write task=fashion-mnist, for one");
  if (!fm_batch_parse_measure (file, error) || !parse_pairs (file, error) || !fm_batch_parse_stages (file, error)
      || !fm_batch_check_hold (file, error) || !fm_batch_check_tune (file, error) || !fm_batch_parse_patterns (file, error))
    return FALSE;
  if (file->title == NULL)
    file->title = default_title (file);
  return TRUE;
}

FmBatchFile *
fm_batch_file_parse (const char *text, gssize length, const char *name, GError **error)
{
  g_autoptr (FmBatchFile) file = g_new0 (FmBatchFile, 1);
  gsize size = length < 0 ? strlen (text) : (gsize) length;

  file->name = name ? g_canonicalize_filename (name, NULL) : NULL;
  file->tasks = g_ptr_array_new_with_free_func (g_free);
  file->pairs = g_ptr_array_new_with_free_func ((GDestroyNotify) pair_free);
  file->axes = g_ptr_array_new_with_free_func ((GDestroyNotify) axis_free);
  file->tunings = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_tuning_free);
  file->devices = g_ptr_array_new_with_free_func (g_free);
  file->include = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_pattern_free);
  file->exclude = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_pattern_free);
  file->stages = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_section_free);
  file->seeds = g_array_new (FALSE, FALSE, sizeof (gint64));
  file->measure = g_ptr_array_new_with_free_func (g_free);
  file->entries = fm_batch_scan (text, size, display_name (file), error);
  if (file->entries == NULL)
    return NULL;
  file->text = g_strndup (text, size);
  if (!parse_entries (file, error))
    return NULL;
  return g_steal_pointer (&file);
}

FmBatchFile *
fm_batch_file_load (const char *path, GError **error)
{
  g_autoptr (GFile) gfile = g_file_new_for_path (path);
  g_autoptr (GFileInfo) info = g_file_query_info (gfile, "standard::type,standard::size", G_FILE_QUERY_INFO_NONE, NULL,
                                                  NULL);
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  gsize length;

  if (info == NULL)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                 "There is no batch file %s; examples/first.batch shows what one looks like.", path);
  else if (g_file_info_get_file_type (info) == G_FILE_TYPE_DIRECTORY)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s is a folder; name a batch file in it.", path);
  else if (g_file_info_get_size (info) > MAX_BYTES)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s is larger than a batch file can be (%d bytes).", path,
                 MAX_BYTES);
  else if (!g_file_get_contents (path, &text, &length, &local))
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The batch file %s cannot be read: %s.", path,
                 local->message);
  else
    return fm_batch_file_parse (text, length, path, error);
  return NULL;
}

void
fm_batch_file_free (FmBatchFile *file)
{
  if (file == NULL)
    return;
  g_free (file->name);
  g_free (file->text);
  g_free (file->title);
  g_clear_pointer (&file->entries, g_ptr_array_unref);
  g_ptr_array_unref (file->tasks);
  g_ptr_array_unref (file->pairs);
  g_ptr_array_unref (file->axes);
  g_ptr_array_unref (file->tunings);
  g_ptr_array_unref (file->devices);
  g_ptr_array_unref (file->include);
  g_ptr_array_unref (file->exclude);
  g_ptr_array_unref (file->stages);
  g_array_unref (file->seeds);
  g_clear_pointer (&file->measure, g_ptr_array_unref);
  fm_batch_judging_free (file->judging);
  fm_batch_claim_free (file->claim);
  g_free (file);
}

const char *
fm_batch_file_get_title (FmBatchFile *file)
{
  return file->title;
}

const char *
fm_batch_file_get_text (FmBatchFile *file)
{
  return file->text;
}

const FmBatchClaim *
fm_batch_file_get_claim (FmBatchFile *file)
{
  return file->claim;
}

gboolean
fm_batch_file_set (FmBatchFile *file, const char *key, const char *value, GError **error)
{
  FmBatchEntry *entry = (FmBatchEntry *) fm_batch_find (file, "batch", key);

  if (entry == NULL)
    {
      entry = g_new0 (FmBatchEntry, 1);
      entry->group = g_strdup ("batch");
      entry->key = g_strdup (key);
      g_ptr_array_add (file->entries, entry);
    }
  g_free (entry->value);
  entry->value = g_strdup (value);
  entry->line = 0;
  return parse_entries (file, error);
}
