/* stage-sections.c: [stage NAME]: the trainings that a run goes through before the one it is scored on. The last
 * section is that one, so what its model is and what it is scored on stand in [batch]; sections before it say where
 * they differ. */
#include "config.h"

#include "app/architecture/paths.h"
#include "app/batch/batch-private.h"
#include "app/run/init.h"

#include <string.h>

#define PREFIX "stage "
#define MOST_STAGES 1000 /* of a run, repeated ones counted */

struct _FmBatchSection
{
  char               *name;
  const FmBatchEntry *entry;   /* the section's line */
  GPtrArray          *entries; /* FmBatchEntry, no ref: all its keys */
  GPtrArray          *from;    /* FmBatchSection, no ref: empty: it starts from nothing */
  char              **trains;  /* (nullable): all */
  GPtrArray          *init;    /* char *: as it was written */
  FmStartRules       *rules;
  char               *each;    /* (nullable): the key that is another in every repetition */
  GPtrArray          *values;  /* char *: of it */
  gdouble             budget;
  FmBatchLength       budget_unit;
  gboolean            used;
};

static const FmBatchKey stage_keys[] = {
  { "from", "Stages before it whose models it starts from, or none; the one before when left out" },
  { "trains", "Parameters that are trained, the rest is frozen: head;layers.1.mixer;**.bias; all when left out" },
  { "init",
    "What parameters start from: mean (of several models), TARGET=SOURCE, with slice or repeat where shapes differ, or "
    "TARGET=new: layers.*=layers.{2*};head=new" },
  { "each", "Repeats the stage: each=task in listops;mqar" },
  { "task", "What it learns, where it is not the run's task" },
  { "budget", "Its own; otherwise that of [batch]" },
  { "mixer", "Of its model, where it is not the run's" },
  { "feedforward", "Likewise" },
  { "seed", "Its own, so that runs share it; otherwise the run's" },
  { NULL, NULL }
};

/* What a later stage may have of its own, but not the last one: the run's model, its seed and what it is scored on. */
static const char * const of_the_run[] = { "task",   "mixer",  "feedforward", "layers", "width",
                                          "hidden", "causal", "seed",        "each",   NULL };

const FmBatchKey *
fm_batch_stage_keys (void)
{
  return stage_keys;
}

void
fm_batch_section_free (FmBatchSection *section)
{
  if (section == NULL)
    return;
  g_free (section->name);
  g_free (section->each);
  g_strfreev (section->trains);
  fm_start_rules_free (section->rules);
  g_clear_pointer (&section->entries, g_ptr_array_unref);
  g_clear_pointer (&section->from, g_ptr_array_unref);
  g_clear_pointer (&section->init, g_ptr_array_unref);
  g_clear_pointer (&section->values, g_ptr_array_unref);
  g_free (section);
}

gboolean
fm_batch_is_stage_section (const char *group)
{
  return g_str_has_prefix (group, PREFIX) || g_str_equal (group, "stage");
}

static const FmBatchEntry *
find (const FmBatchSection *section, const char *key)
{
  for (guint i = 0; i < section->entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (section->entries, i);

      if (g_str_equal (entry->key, key))
        return entry;
    }
  return NULL;
}

/* --- Its keys -----------------------------------------------------------------------------------------------------*/

static gboolean
unknown_key (FmBatchFile *file, const FmBatchEntry *entry, const char *key, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *all = NULL;
  const char *near;

  for (const FmBatchKey *k = stage_keys; k->name; k++)
    g_ptr_array_add (names, (gpointer) k->name);
  for (const FmParam *p = fm_batch_setting_params; p->name; p++)
    g_ptr_array_add (names, (gpointer) p->name);
  g_ptr_array_add (names, NULL);
  near = fm_nearest_name (key, (const char * const *) names->pdata);
  if (near)
    return fm_batch_fail (file, entry, error, "%s: no such key of a stage; did you mean “%s”?", key, near);
  all = g_strjoinv (", ", (char **) names->pdata);
  return fm_batch_fail (file, entry, error, "%s: no such key of a stage; there are %s", key, all);
}

static gboolean
parse_seed (const char *text, gint64 *seed)
{
  return g_ascii_string_to_signed (text, 10, 0, G_GINT64_CONSTANT (1) << 53, seed, NULL);
}

/* Is @value one that @key of a stage may have? */
static gboolean
check_value (FmBatchFile *file, const FmBatchEntry *entry, const char *key, const char *value, GError **error)
{
  FmBatchSettings scratch;
  gint64 seed;

  if (g_str_equal (key, "task"))
    {
      g_autofree char *task = fm_batch_check_mixture (file, entry, value, error);

      return task != NULL;
    }
  if (g_str_equal (key, "mixer") || g_str_equal (key, "feedforward"))
    {
      g_auto (GStrv) ids =
          fm_batch_parse_role (file, entry, *key == 'm' ? FM_ROLE_MIXER : FM_ROLE_FEEDFORWARD, value, error);

      return ids != NULL;
    }
  if (g_str_equal (key, "seed"))
    return parse_seed (value, &seed) ||
           fm_batch_fail (file, entry, error, "%s=%s: must be a whole number from 0 to 2^53", entry->key, entry->value);
  if (fm_params_find (fm_batch_setting_params, key) == NULL)
    return unknown_key (file, entry, key, error);
  fm_params_set_defaults (fm_batch_setting_params, &scratch);
  return fm_params_set (fm_batch_setting_params, &scratch, key, value, error) || fm_batch_blame (file, entry, error);
}

static gboolean
parse_each (FmBatchFile *file, FmBatchSection *section, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  const char *first, *in;

  if (list == NULL)
    return FALSE;
  first = g_ptr_array_index (list, 0);
  in = strstr (first, " in ");
  if (in == NULL)
    return fm_batch_fail (file, entry, error, "each=%s: must be KEY in A;B;C, as in each=task in listops;mqar",
                          entry->value);
  section->each = g_strstrip (g_strndup (first, (gsize) (in - first)));
  section->values = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (section->values, g_strstrip (g_strdup (in + strlen (" in "))));
  for (guint i = 1; i < list->len; i++)
    g_ptr_array_add (section->values, g_strdup (g_ptr_array_index (list, i)));
  if (find (section, section->each))
    return fm_batch_fail (file, entry, error, "each=%s: %s stands in the section already; keep one of the two",
                          entry->value, section->each);
  for (guint i = 0; i < section->values->len; i++)
    for (guint k = 0; k < i; k++)
      if (g_str_equal (g_ptr_array_index (section->values, i), g_ptr_array_index (section->values, k)))
        return fm_batch_fail (file, entry, error, "each=%s: names %s twice", entry->value,
                              (char *) g_ptr_array_index (section->values, i));
  for (guint i = 0; i < section->values->len; i++)
    if (!check_value (file, entry, section->each, g_ptr_array_index (section->values, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
parse_from (FmBatchFile *file, FmBatchSection *section, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  if (list == NULL)
    return FALSE;
  for (guint i = 0; i < file->stages->len; i++)
    g_ptr_array_add (names, ((FmBatchSection *) g_ptr_array_index (file->stages, i))->name);
  g_ptr_array_add (names, NULL);
  for (guint i = 0; i < list->len; i++)
    {
      const char *name = g_ptr_array_index (list, i), *near;
      FmBatchSection *earlier = NULL;

      if (g_str_equal (name, "none") && list->len == 1)
        return TRUE;
      for (guint k = 0; k < file->stages->len; k++)
        if (g_str_equal (((FmBatchSection *) g_ptr_array_index (file->stages, k))->name, name))
          earlier = g_ptr_array_index (file->stages, k);
      near = fm_nearest_name (name, (const char * const *) names->pdata);
      if (earlier == NULL && near)
        return fm_batch_fail (file, entry, error, "from=%s: no stage before this one is called %s; did you mean “%s”?",
                              entry->value, name, near);
      if (earlier == NULL)
        return fm_batch_fail (file, entry, error,
                              "from=%s: no stage before this one is called %s; name one that stands above, "
                              "or none",
                              entry->value, name);
      g_ptr_array_add (section->from, earlier);
    }
  return TRUE;
}

static gboolean
parse_init (FmBatchFile *file, FmBatchSection *section, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) items = entry ? fm_batch_split (file, entry, error) : g_ptr_array_new_with_free_func (g_free);

  if (items == NULL)
    return FALSE;
  g_ptr_array_add (items, NULL);
  section->rules = fm_start_rules_parse ((const char * const *) items->pdata, error);
  if (section->rules == NULL)
    {
      g_prefix_error (error, "init: ");
      return fm_batch_blame (file, entry, error);
    }
  g_ptr_array_remove_index (items, items->len - 1);
  section->init = g_steal_pointer (&items);
  return TRUE;
}

static gboolean
parse_trains (FmBatchFile *file, FmBatchSection *section, const FmBatchEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) list = fm_batch_split (file, entry, error);

  if (list == NULL)
    return FALSE;
  if (list->len == 1 && g_str_equal (g_ptr_array_index (list, 0), "all"))
    return TRUE;
  g_ptr_array_add (list, NULL);
  section->trains = g_strdupv ((char **) list->pdata);
  return TRUE;
}

/* The budget of [batch], or its own. */
static gboolean
parse_budget (FmBatchFile *file, FmBatchSection *section, const FmBatchEntry *entry, GError **error)
{
  gdouble budget = file->budget;
  FmBatchLength unit = file->budget_unit;

  if (entry && !fm_batch_parse_budget (file, entry, error))
    return FALSE;
  section->budget = file->budget;
  section->budget_unit = file->budget_unit;
  file->budget = budget;
  file->budget_unit = unit;
  return TRUE;
}

static gboolean
parse_keys (FmBatchFile *file, FmBatchSection *section, GError **error)
{
  static const char * const own[] = { "from", "trains", "init", "each", "budget", NULL };
  const FmBatchEntry *from = find (section, "from"), *trains = find (section, "trains"), *each = find (section, "each");
  guint n = file->stages->len, models = 0;

  for (guint i = 0; i < section->entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (section->entries, i);

      if (g_strv_contains (own, entry->key))
        continue;
      if (!check_value (file, entry, entry->key, entry->value, error))
        return FALSE;
    }
  if (from == NULL && n > 0)
    g_ptr_array_add (section->from, g_ptr_array_index (file->stages, n - 1));
  if ((from && !parse_from (file, section, from, error)) || (trains && !parse_trains (file, section, trains, error)) ||
      !parse_init (file, section, find (section, "init"), error) ||
      (each && !parse_each (file, section, each, error)) ||
      !parse_budget (file, section, find (section, "budget"), error))
    return FALSE;
  for (guint i = 0; i < section->from->len; i++)
    {
      FmBatchSection *earlier = g_ptr_array_index (section->from, i);

      earlier->used = TRUE;
      models += earlier->values ? earlier->values->len : 1;
    }
  if (models == 0 && section->init->len > 0)
    return fm_batch_fail (file, find (section, "init"), error,
                          "init: the stage starts from nothing, so there is nothing to "
                          "map; remove the line, or name a stage with from=");
  if (models > 1 && !section->rules->mean)
    return fm_batch_fail (file, from ? from : section->entry, error,
                          "starts from %u models; write init=mean to start from the "
                          "mean of their weights, or from= with one of them",
                          models);
  return TRUE;
}

/* --- The sections -------------------------------------------------------------------------------------------------*/

static gboolean
good_name (const char *name)
{
  for (const char *c = name; *c; c++)
    if (!g_ascii_isalnum (*c) && *c != '-' && *c != '_')
      return FALSE;
  return *name && !g_str_equal (name, "none");
}

static FmBatchSection *
section_new (FmBatchFile *file, const FmBatchEntry *first)
{
  FmBatchSection *section = g_new0 (FmBatchSection, 1);

  section->name = g_strstrip (g_strdup (first->group + MIN (strlen (PREFIX), strlen (first->group))));
  section->entry = first;
  section->entries = g_ptr_array_new ();
  section->from = g_ptr_array_new ();
  for (guint i = 0; i < file->entries->len; i++)
    {
      FmBatchEntry *entry = g_ptr_array_index (file->entries, i);

      if (g_str_equal (entry->group, first->group) && *entry->key)
        g_ptr_array_add (section->entries, entry);
    }
  return section;
}

/* What does not go with the section that a run is scored on. */
static gboolean
check_last (FmBatchFile *file, GError **error)
{
  FmBatchSection *last = g_ptr_array_index (file->stages, file->stages->len - 1);

  for (guint i = 0; i < last->entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (last->entries, i);

      if (g_strv_contains (of_the_run, entry->key))
        return fm_batch_fail (file, entry, error,
                              "%s: the last stage is what the run is scored on, so its %s stands in [batch]; "
                              "stages before it may differ",
                              entry->key, g_str_equal (entry->key, "each") ? "variants" : entry->key);
      for (guint k = 0; k < file->axes->len; k++)
        {
          const FmBatchAxis *axis = g_ptr_array_index (file->axes, k);

          if (*axis->owner == '\0' && g_str_equal (axis->name, entry->key) && axis->values->len > 1)
            return fm_batch_fail (file, entry, error,
                                  "%s=%s: [batch] lists %s=%s, which this would make one; keep one of the two",
                                  entry->key, entry->value, axis->name, axis->entry->value);
        }
    }
  last->used = TRUE;
  file->budget = last->budget;
  file->budget_unit = last->budget_unit;
  return TRUE;
}

gboolean
fm_batch_parse_stages (FmBatchFile *file, GError **error)
{
  g_ptr_array_set_size (file->stages, 0);
  for (guint i = 0; i < file->entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (file->entries, i);
      FmBatchSection *section;

      if (*entry->key || !fm_batch_is_stage_section (entry->group))
        continue;
      section = section_new (file, entry);
      if (!good_name (section->name) || !parse_keys (file, section, error))
        {
          if (error == NULL || *error == NULL)
            fm_batch_fail (file, entry, error,
                           "must be [stage NAME], with a name of letters, digits, - and _ that is not none");
          fm_batch_section_free (section);
          return FALSE;
        }
      g_ptr_array_add (file->stages, section);
    }
  if (file->stages->len > 0 && !check_last (file, error))
    return FALSE;
  for (guint i = 0; file->stages->len > 0 && i < file->tunings->len; i++)
    {
      const FmBatchTuning *tuning = g_ptr_array_index (file->tunings, i);

      if (tuning->tuned->len > 0)
        return fm_batch_fail (file, tuning->entry, error,
                              "tune=%s: trials of a chain of stages are not known; remove tune=, or "
                              "the [stage NAME] sections",
                              tuning->entry->value);
    }
  for (guint i = 0; i < file->stages->len; i++)
    {
      const FmBatchSection *section = g_ptr_array_index (file->stages, i);

      if (!section->used)
        return fm_batch_fail (file, section->entry, error,
                              "no later stage starts from it; name it in a from=, or remove it");
    }
  return TRUE;
}

/* (transfer none) (nullable): what @key is in repetition @k of @section; NULL: as in [batch]. @entry (out): its line.
 */
static const char *
value_of (const FmBatchSection *section, guint k, const char *key, const FmBatchEntry **entry)
{
  if (section->each && g_str_equal (section->each, key))
    {
      *entry = find (section, "each");
      return g_ptr_array_index (section->values, k);
    }
  *entry = find (section, key);
  return *entry ? (*entry)->value : NULL;
}

static guint
count (const FmBatchSection *section)
{
  return section->values ? section->values->len : 1;
}

/* Is @owner the task, one of a mixture, or a plugin of a layer? */
static gboolean
names (const char *value, gboolean task, const char *owner)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) weights = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_auto (GStrv) layers = g_strsplit (value, ",", -1);

  if (task)
    return fm_batch_parse_mixture (value, ids, weights) &&
           g_ptr_array_find_with_equal_func (ids, owner, g_str_equal, NULL);
  for (guint i = 0; layers[i]; i++)
    if (g_str_equal (g_strstrip (layers[i]), owner))
      return TRUE;
  return FALSE;
}

gboolean
fm_batch_stages_use (FmBatchFile *file, const char *owner)
{
  static const char * const keys[] = { "task", "mixer", "feedforward" };

  for (guint i = 0; i < file->stages->len; i++)
    for (guint k = 0; k < count (g_ptr_array_index (file->stages, i)); k++)
      for (guint n = 0; n < G_N_ELEMENTS (keys); n++)
        {
          const FmBatchEntry *entry;
          const char *value = value_of (g_ptr_array_index (file->stages, i), k, keys[n], &entry);

          if (value && names (value, n == 0, owner))
            return TRUE;
        }
  return FALSE;
}

static gboolean
set_all (FmBatchFile *file, const FmBatchSection *section, guint k, FmBatchSettings *settings, GError **error)
{
  for (const FmParam *p = fm_batch_setting_params; p->name; p++)
    {
      const FmBatchEntry *entry;
      const char *value = value_of (section, k, p->name, &entry);

      if (value && !fm_params_set (fm_batch_setting_params, settings, p->name, value, error))
        return fm_batch_blame (file, entry, error);
    }
  if (settings->batch % settings->accumulate != 0)
    return fm_batch_fail (file, section->entry, error,
                          "accumulate=%" G_GINT64_FORMAT ": must divide batch=%" G_GINT64_FORMAT, settings->accumulate,
                          settings->batch);
  return TRUE;
}

gboolean
fm_batch_stages_settle (FmBatchFile *file, FmBatchSettings *settings, GError **error)
{
  return file->stages->len == 0
         || set_all (file, g_ptr_array_index (file->stages, file->stages->len - 1), 0, settings, error);
}

/* --- A variant's stages -------------------------------------------------------------------------------------------*/

/* One stage of a variant, all seeds. */
typedef struct
{
  FmBatchSection  *section; /* no ref */
  char            *name;    /* "pretrain", "pretrain task=mqar" */
  FmBatchSettings  settings;
  FmArchitecture  *architecture;
  FmTask          *task;
  gint64           steps;
  gint64           seed; /* -1: the run's */
  GArray          *from; /* guint: places in the list */
  FmModelGraph    *graph; /* while the list is made: the shapes of its parameters */
} Prepared;

static void
prepared_free (gpointer data)
{
  Prepared *p = data;

  g_free (p->name);
  g_clear_pointer (&p->architecture, fm_architecture_unref);
  g_clear_pointer (&p->task, fm_task_unref);
  g_clear_pointer (&p->graph, fm_model_graph_free);
  g_array_unref (p->from);
  g_free (p);
}

static char **
role_of (FmBatchFile *file, const FmBatchSection *section, guint k, const char *key, FmRole role,
         const FmBatchEntry **entry)
{
  const FmBatchEntry *line;
  const char *value = value_of (section, k, key, &line);

  if (value && *entry == NULL)
    *entry = line;
  return value ? fm_batch_parse_role (file, line, role, value, NULL) : NULL; /* was read once */
}

/* The stage's own model and data, where it has them. */
static gboolean
make_parts (FmBatchFile *file, const FmBatchMaker *maker, Prepared *p, guint k, const FmBatchSettings *base,
            gint64 hidden, const FmRecipeParts *last, GError **error)
{
  const FmBatchEntry *entry, *model = NULL;
  const char *task = value_of (p->section, k, "task", &entry), *seed = value_of (p->section, k, "seed", &entry);
  gboolean wide = value_of (p->section, k, "width", &entry) != NULL;
  FmBatchPair pair = { .mixers = role_of (file, p->section, k, "mixer", FM_ROLE_MIXER, &model) };

  pair.feedforwards = role_of (file, p->section, k, "feedforward", FM_ROLE_FEEDFORWARD, &model);
  pair.entry = model ? model : p->section->entry;
  p->settings = *base;
  if (!wide) /* a solved one goes for all stages */
    p->settings.hidden = hidden;
  if (set_all (file, p->section, k, &p->settings, error))
    {
      if (p->settings.hidden == 0)
        p->settings.hidden = 4 * p->settings.width;
      if (seed)
        parse_seed (seed, &p->seed);
      p->task = task ? maker->make_task (maker->data, task, error) : fm_task_ref (last->task);
      p->architecture = p->task ? maker->make_architecture (maker->data, &p->settings, &pair, p->task, error) : NULL;
    }
  g_strfreev (pair.mixers);
  g_strfreev (pair.feedforwards);
  return p->architecture
         && fm_batch_budget_steps (&(FmBatchCandidate){ .task = p->task, .settings = &p->settings }, p->architecture,
                                   p->section->budget_unit, p->section->budget, &p->steps, error);
}

/* Can its model start from theirs, and is what it trains there? */
static gboolean
check_model (FmBatchFile *file, GPtrArray *list, Prepared *p, GError **error)
{
  g_autoptr (FmModel) model = fm_model_new (p->architecture, p->task, "");
  g_autoptr (GPtrArray) graphs = g_ptr_array_new (), names = g_ptr_array_new ();
  const FmBatchEntry *trains = find (p->section, "trains"), *init = find (p->section, "init");
  g_autoptr (GPtrArray) paths = NULL;

  p->graph = fm_model_graph_new (model, FM_MODE_EVALUATE, 1, NULL, FALSE, error);
  if (p->graph == NULL)
    return FALSE;
  paths = fm_graph_param_paths (p->graph->graph);
  for (guint i = 0; p->section->trains && p->section->trains[i]; i++)
    {
      gboolean any = FALSE;

      for (guint k = 0; k < paths->len && !any; k++)
        any = fm_path_match (p->section->trains[i], g_ptr_array_index (paths, k), NULL, NULL);
      if (!any)
        return fm_batch_fail (file, trains, error,
                              "trains=%s: no parameter of the model lies at %s; there are %s to %s, for two",
                              trains->value, p->section->trains[i], (char *) g_ptr_array_index (paths, 0),
                              (char *) g_ptr_array_index (paths, paths->len - 1));
    }
  for (guint i = 0; i < p->from->len; i++)
    {
      const Prepared *source = g_ptr_array_index (list, g_array_index (p->from, guint, i));

      g_ptr_array_add (graphs, source->graph->graph);
      g_ptr_array_add (names, source->name);
    }
  if (p->from->len > 0
      && !fm_start_check (p->section->rules, p->graph->graph, (FmGraph * const *) graphs->pdata,
                          (const char * const *) names->pdata, graphs->len, error))
    {
      g_prefix_error (error, "%s: ", init ? "init" : "the model does not follow from the one before");
      return fm_batch_blame (file, init ? init : p->section->entry, error);
    }
  return TRUE;
}

GPtrArray *
fm_batch_stages_prepare (FmBatchFile *file, const FmBatchMaker *maker, const FmBatchSettings *base, gint64 hidden,
                         const FmRecipeParts *last, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (prepared_free);

  for (guint s = 0; s < file->stages->len; s++)
    for (guint k = 0; k < count (g_ptr_array_index (file->stages, s)); k++)
      {
        Prepared *p = g_new0 (Prepared, 1);

        p->section = g_ptr_array_index (file->stages, s);
        p->seed = -1;
        p->from = g_array_new (FALSE, FALSE, sizeof (guint));
        p->name = p->section->each ? g_strdup_printf ("%s %s=%s", p->section->name, p->section->each,
                                                      (char *) g_ptr_array_index (p->section->values, k))
                                   : g_strdup (p->section->name);
        for (guint i = 0; i < list->len; i++)
          if (g_ptr_array_find (p->section->from, ((Prepared *) g_ptr_array_index (list, i))->section, NULL))
            g_array_append_val (p->from, i);
        g_ptr_array_add (list, p);
        if (list->len > MOST_STAGES)
          {
            fm_batch_fail (file, p->section->entry, error, "a run has more than %d stages; shorten the lists of each=",
                           MOST_STAGES);
            return NULL;
          }
        if (s == file->stages->len - 1)
          {
            p->settings = *last->settings;
            p->architecture = fm_architecture_ref (last->architecture);
            p->task = fm_task_ref (last->task);
            p->steps = last->steps;
          }
        else if (!make_parts (file, maker, p, k, base, hidden, last, error))
          {
            fm_batch_blame (file, p->section->entry, error);
            return NULL;
          }
        if (!check_model (file, list, p, error))
          return NULL;
      }
  for (guint i = 0; i < list->len; i++)
    g_clear_pointer (&((Prepared *) g_ptr_array_index (list, i))->graph, fm_model_graph_free);
  return g_steal_pointer (&list);
}

FmBatchStage *
fm_batch_stages_add (GPtrArray *prepared, const FmRecipeParts *last, GPtrArray *earlier, FmBatchKeepFunc keep,
                     gpointer data)
{
  g_autoptr (GPtrArray) stages = g_ptr_array_new (); /* FmBatchStage, by place */

  for (guint i = 0; i < prepared->len; i++)
    {
      const Prepared *p = g_ptr_array_index (prepared, i);
      g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
      FmRecipeParts parts = *last;
      FmBatchStage *stage;

      for (guint k = 0; k < p->from->len; k++)
        g_ptr_array_add (inputs, g_ptr_array_index (stages, g_array_index (p->from, guint, k)));
      parts.architecture = p->architecture;
      parts.task = p->task;
      parts.seed = p->seed < 0 ? last->seed : p->seed;
      parts.steps = p->steps;
      parts.settings = &p->settings;
      parts.trains = (const char * const *) p->section->trains;
      parts.init = p->section->init;
      parts.starts = inputs->len > 0 ? inputs : NULL;
      stage = fm_recipe_stage (&parts, FM_STAGE_KIND_TRAIN, NULL);
      stage->name = g_strdup (p->name);
      g_ptr_array_add (stages, keep (data, stage));
      if (i + 1 < prepared->len && !g_ptr_array_find (earlier, g_ptr_array_index (stages, i), NULL))
        g_ptr_array_add (earlier, g_ptr_array_index (stages, i));
    }
  return g_ptr_array_index (stages, stages->len - 1);
}

gboolean
fm_batch_check_stages (FmBatchFile *file, GError **error)
{
  for (guint i = 0; i < file->stages->len; i++)
    {
      const FmBatchSection *section = g_ptr_array_index (file->stages, i);

      for (guint k = 0; k < section->rules->rules->len; k++)
        {
          const FmStartRule *rule = g_ptr_array_index (section->rules->rules, k);

          if (rule->matched == 0)
            return fm_batch_fail (
                file, find (section, "init"), error,
                "init: “%s” means no parameter of any variant, or later rules mean all of them; correct or "
                "remove it",
                rule->text);
        }
    }
  return TRUE;
}
