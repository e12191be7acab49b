/* init.c: from the models of earlier stages to the parameters that a stage begins with. */
#include "config.h"

#include "app/architecture/paths.h"
#include "app/architecture/plugins.h"
#include "app/run/init.h"
#include "app/run/profile.h"

#include <string.h>

/* --- Rules --------------------------------------------------------------------------------------------------------*/

static void
rule_free (gpointer data)
{
  FmStartRule *rule = data;

  g_free (rule->text);
  g_free (rule->target);
  g_free (rule->source);
  g_free (rule);
}

void
fm_start_rules_free (FmStartRules *rules)
{
  if (rules == NULL)
    return;
  g_ptr_array_unref (rules->rules);
  g_free (rules);
}

static gboolean
fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (FM_APP_ERROR, FM_APP_ERROR_INPUT, format, args);
  va_end (args);
  return FALSE;
}

/* "{2*+1}" with * = @number; FALSE when it is no such text, or comes to less than 0. */
static gboolean
reckon (const char *piece, gint64 number, gint64 *value)
{
  const char *at = piece + 1;
  char *end;
  gint64 by;
  char op;

  *value = number;
  if (g_ascii_isdigit (*at))
    {
      by = g_ascii_strtoll (at, &end, 10);
      if (by > G_MAXINT32)
        return FALSE;
      *value *= by;
      at = end;
    }
  if (*at++ != '*')
    return FALSE;
  op = *at;
  if (op != '}')
    {
      if (!strchr ("+-/%", op) || !g_ascii_isdigit (at[1]))
        return FALSE;
      by = g_ascii_strtoll (at + 1, &end, 10);
      if (by > G_MAXINT32 || ((op == '/' || op == '%') && by == 0))
        return FALSE;
      *value = op == '+' ? *value + by : op == '-' ? *value - by : op == '/' ? *value / by : *value % by;
      at = end;
    }
  return g_str_equal (at, "}");
}

static guint
count_stars (char **pieces)
{
  guint n = 0;

  for (guint i = 0; pieces[i]; i++)
    n += g_str_equal (pieces[i], "*") || *pieces[i] == '{';
  return n;
}

static gboolean
check_rule (const FmStartRule *rule, GError **error)
{
  g_auto (GStrv) target = g_strsplit (rule->target, ".", -1);
  g_auto (GStrv) source = g_strsplit (rule->source ? rule->source : "", ".", -1);
  gint64 value;

  for (guint i = 0; target[i]; i++)
    if (*target[i] == '\0' || strpbrk (target[i], "{} "))
      return fail (error, "“%s”: “%s” must be a path such as layers.*.mixer; only the right side may reckon in braces",
                   rule->text, rule->target);
  for (guint i = 0; source[i] && rule->source; i++)
    {
      if (*source[i] == '\0' || (strpbrk (source[i], "* ") && *source[i] != '{' && !g_str_equal (source[i], "*")))
        return fail (
            error,
            "“%s”: “%s” must be a path such as layers.*.mixer or layers.{2*}.mixer, then slice or repeat where "
            "shapes differ",
            rule->text, rule->source);
      if (*source[i] == '{' && !reckon (source[i], 1 << 20, &value))
        return fail (error, "“%s”: %s must look like {2*}, {2*+1}, {*-1}, {*/2} or {*%%2}", rule->text, source[i]);
    }
  if (count_stars (source) > count_stars (target))
    return fail (error, "“%s”: the right side has more `*` than the left one", rule->text);
  return TRUE;
}

static FmStartRule *
parse_rule (const char *text, GError **error)
{
  static const struct { const char *word; FmStartHow how; } words[] = { { " slice", FM_START_SLICE },
                                                                        { " repeat", FM_START_REPEAT } };
  FmStartRule *rule = g_new0 (FmStartRule, 1);
  const char *equals = strchr (text, '=');

  rule->text = g_strdup (text);
  if (equals == NULL)
    {
      fail (error, "“%s” must be TARGET=SOURCE, TARGET=SOURCE slice, TARGET=SOURCE repeat, TARGET=new or mean", text);
      rule_free (rule);
      return NULL;
    }
  rule->target = g_strstrip (g_strndup (text, (gsize) (equals - text)));
  rule->source = g_strstrip (g_strdup (equals + 1));
  if (g_str_equal (rule->source, "new"))
    {
      rule->how = FM_START_NEW;
      g_clear_pointer (&rule->source, g_free);
    }
  for (guint i = 0; rule->source && i < G_N_ELEMENTS (words); i++)
    if (g_str_has_suffix (rule->source, words[i].word))
      {
        rule->how = words[i].how;
        rule->source[strlen (rule->source) - strlen (words[i].word)] = '\0';
        g_strstrip (rule->source);
      }
  if (check_rule (rule, error))
    return rule;
  rule_free (rule);
  return NULL;
}

FmStartRules *
fm_start_rules_parse (const char * const *items, GError **error)
{
  g_autoptr (FmStartRules) rules = g_new0 (FmStartRules, 1);

  rules->rules = g_ptr_array_new_with_free_func (rule_free);
  for (guint i = 0; items && items[i]; i++)
    {
      FmStartRule *rule;

      if (g_str_equal (items[i], "mean"))
        {
          rules->mean = TRUE;
          continue;
        }
      rule = parse_rule (items[i], error);
      if (rule == NULL)
        return NULL;
      g_ptr_array_add (rules->rules, rule);
    }
  return g_steal_pointer (&rules);
}

/* (transfer full): @source with what the stars of the target stood for, and @rest below it. */
static char *
fill_in (const FmStartRule *rule, const char *path, GPtrArray *stars, const char *rest, GError **error)
{
  g_auto (GStrv) pieces = g_strsplit (rule->source, ".", -1);
  g_autofree char *joined = NULL;
  guint star = 0;

  for (guint i = 0; pieces[i]; i++)
    {
      const char *stood = star < stars->len ? g_ptr_array_index (stars, star) : "";
      gboolean reckons = *pieces[i] == '{';
      gint64 number, value;

      if (!reckons && !g_str_equal (pieces[i], "*"))
        continue;
      star++;
      if (reckons && (!g_ascii_string_to_signed (stood, 10, 0, G_MAXINT32, &number, NULL)
                      || !reckon (pieces[i], number, &value) || value < 0))
        {
          fail (error, "“%s”: %s has no value for %s, where `*` is %s", rule->text, pieces[i], path, stood);
          return NULL;
        }
      g_free (pieces[i]);
      pieces[i] = reckons ? g_strdup_printf ("%" G_GINT64_FORMAT, value) : g_strdup (stood);
    }
  joined = g_strjoinv (".", pieces);
  return g_strconcat (joined, *rest ? "." : "", rest, NULL);
}

/* --- Does it fit? -------------------------------------------------------------------------------------------------*/

/* Axes are counted from the last one; what is not there is 1 long. */
static gint64
axis_from_end (const FmShape *shape, guint i)
{
  return i < shape->rank ? shape->dims[shape->rank - 1 - i] : 1;
}

static gboolean
fits (FmStartHow how, const FmShape *target, const FmShape *source)
{
  if (how == FM_START_COPY && target->rank != source->rank)
    return FALSE;
  if ((how == FM_START_SLICE && target->rank > source->rank) || (how == FM_START_REPEAT && target->rank < source->rank))
    return FALSE;
  for (guint i = 0; i < MAX (target->rank, source->rank); i++)
    {
      gint64 t = axis_from_end (target, i), s = axis_from_end (source, i);

      if (how == FM_START_COPY ? t != s : how == FM_START_SLICE ? t > s : t % s != 0)
        return FALSE;
    }
  return TRUE;
}

/* Of a tensor that is in memory already, so it cannot overflow. */
static gint64
count_of (const FmShape *shape)
{
  gint64 n = 1;

  for (guint i = 0; i < shape->rank; i++)
    n *= shape->dims[i];
  return n;
}

/* Where shapes come from: graphs while it is planned, checkpoints when it runs. */
typedef gboolean (*ShapeFunc) (gpointer data, guint source, const char *path, FmShape *shape);

typedef struct
{
  ShapeFunc           func;
  gpointer            data;
  const char * const *names; /* of the sources */
  guint               n;
} Sources;

static const char *
word_of (FmStartHow how)
{
  return how == FM_START_SLICE ? "the first part of " : how == FM_START_REPEAT ? "repeated " : "";
}

/* @path (out) (transfer full): what the parameter @target of shape @shape starts from in every source; NULL: drawn. */
static gboolean
resolve (const FmStartRules *rules, const char *target, const FmShape *shape, const Sources *sources, char **path,
         FmStartHow *how, GError **error)
{
  g_autoptr (GPtrArray) stars = g_ptr_array_new_with_free_func (g_free);
  FmStartRule *rule = NULL;
  const char *rest = NULL;
  FmShape first = { 0 };

  *how = FM_START_COPY;
  for (guint i = rules->rules->len; i-- > 0;)
    {
      FmStartRule *r = g_ptr_array_index (rules->rules, i);

      g_ptr_array_set_size (stars, 0);
      if (!fm_path_match (r->target, target, stars, &rest))
        continue;
      r->matched++;
      rule = r;
      *how = r->how;
      break;
    }
  *path = NULL;
  if (rule && rule->how == FM_START_NEW)
    return TRUE;
  *path = rule ? fill_in (rule, target, stars, rest, error) : g_strdup (target);
  if (*path == NULL)
    return FALSE;
  for (guint i = 0; i < sources->n; i++)
    {
      FmShape have;
      g_autofree char *want = fm_shape_text (shape), *has = NULL;

      if (!sources->func (sources->data, i, *path, &have))
        return fail (error, "%s would start from %s, which %s does not have; say what it starts from, or %s=new",
                     target, *path, sources->names[i], target);
      has = fm_shape_text (&have);
      if (!fits (*how, shape, &have))
        return fail (error,
                     "%s has shape %s and cannot start from %s%s of shape %s in %s; say slice or repeat where that is "
                     "meant, or %s=new",
                     target, want, word_of (*how), *path, has, sources->names[i], target);
      if (i > 0 && (have.rank != first.rank || memcmp (have.dims, first.dims, first.rank * sizeof (gint64)) != 0))
        return fail (error,
                     "%s has another shape in %s than in %s, so they have no mean; say what %s starts from, or %s=new",
                     *path, sources->names[i], sources->names[0], target, target);
      first = have;
    }
  return TRUE;
}

/* --- Planning -----------------------------------------------------------------------------------------------------*/

static gboolean
shape_in_graph (gpointer data, guint source, const char *path, FmShape *shape)
{
  FmGraph * const *graphs = data;
  FmTensor *t = fm_graph_find_variable (graphs[source], path);

  if (t)
    *shape = fm_tensor_get_shape (t);
  return t != NULL;
}

gboolean
fm_start_check (const FmStartRules *rules, FmGraph *target, FmGraph *const *sources, const char *const *names, guint n,
                GError **error)
{
  g_autoptr (GPtrArray) paths = fm_graph_param_paths (target);
  Sources from = { shape_in_graph, (gpointer) sources, names, n };

  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      FmShape shape = fm_tensor_get_shape (fm_graph_find_variable (target, path));
      g_autofree char *source = NULL;
      FmStartHow how;

      if (!resolve (rules, path, &shape, &from, &source, &how, error))
        return FALSE;
    }
  return TRUE;
}

/* --- Doing it -----------------------------------------------------------------------------------------------------*/

static gboolean
shape_in_checkpoint (gpointer data, guint source, const char *path, FmShape *shape)
{
  GPtrArray *checkpoints = data;
  FmType type;

  return fm_variables_get_shape (g_ptr_array_index (checkpoints, source), path, &type, shape) && type == FM_F32;
}

/* Adds @x of shape @from to @sums of shape @to: element i of an axis takes element i of the source, modulo its length.
 */
static void
add_onto (gdouble *sums, const FmShape *to, const gfloat *x, const FmShape *from)
{
  gint64 n = count_of (to);

  for (gint64 k = 0; k < n; k++)
    {
      gint64 left = k, at = 0, stride = 1;

      for (guint i = 0; i < to->rank; i++)
        {
          gint64 have = axis_from_end (from, i), want = axis_from_end (to, i);

          at += left % want % have * stride;
          left /= want;
          stride *= have;
        }
      sums[k] += x[at];
    }
}

static gboolean
start_one (FmVariables *variables, const char *target, const FmShape *shape, GPtrArray *checkpoints, const char *source,
           GError **error)
{
  gint64 n = count_of (shape);
  g_autofree gdouble *sums = g_new0 (gdouble, n);
  g_autofree gfloat *values = g_new (gfloat, n);

  for (guint i = 0; i < checkpoints->len; i++)
    {
      FmVariables *from = g_ptr_array_index (checkpoints, i);
      g_autofree gfloat *x = NULL;
      FmShape have;
      gsize count;

      if (!shape_in_checkpoint (checkpoints, i, source, &have))
        return fail (error, "%s is gone", source);
      count = (gsize) count_of (&have);
      x = g_new (gfloat, count);
      if (!fm_variables_read (from, source, x, count * sizeof (gfloat), error))
        return FALSE;
      add_onto (sums, shape, x, &have);
    }
  for (gint64 k = 0; k < n; k++)
    values[k] = (gfloat) (sums[k] / checkpoints->len);
  return fm_variables_replace (variables, target, FM_F32, *shape, values, (gsize) n * sizeof (gfloat), error);
}

/* What is no parameter, a running statistic or a fixed projection, goes with the model it belongs to: the first one. */
static gboolean
take_states (FmVariables *variables, FmGraph *target, GPtrArray *params, FmVariables *from, GError **error)
{
  g_autoptr (GPtrArray) paths = fm_variables_paths (from);

  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      FmTensor *t = fm_graph_find_variable (target, path);
      g_autofree gpointer data = NULL;
      FmShape shape, want;
      FmType type;
      gsize bytes;

      if (t == NULL || g_ptr_array_find_with_equal_func (params, path, g_str_equal, NULL)
          || !fm_variables_get_shape (from, path, &type, &shape) || type != fm_tensor_get_type (t))
        continue;
      want = fm_tensor_get_shape (t);
      if (want.rank != shape.rank || memcmp (want.dims, shape.dims, shape.rank * sizeof (gint64)) != 0)
        continue;
      bytes = (gsize) count_of (&shape) * fm_type_size (type);
      data = g_malloc (bytes);
      if (!fm_variables_read (from, path, data, bytes, error)
          || !fm_variables_replace (variables, path, type, shape, data, bytes, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_start_apply (const FmStartRules *rules, FmGraph *target, const char * const *checkpoints, FmVariables *variables,
                GError **error)
{
  g_autoptr (GPtrArray) loaded = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_variables_unref);
  g_autoptr (GPtrArray) paths = fm_graph_param_paths (target);
  g_autoptr (FmDevice) host = fm_device_open ("cpu", 1, error);
  Sources from = { shape_in_checkpoint, loaded, checkpoints, 0 };

  if (host == NULL)
    return FALSE;
  for (guint i = 0; checkpoints && checkpoints[i]; i++)
    {
      FmVariables *v = fm_variables_new (host, 0);

      g_ptr_array_add (loaded, v);
      if (!fm_variables_load (v, checkpoints[i], error))
        {
          g_prefix_error (error,
                          "The model that this stage starts from cannot be read; `formarium store prune` may have "
                          "taken it, and the stage that left it would have to run again: ");
          return FALSE;
        }
    }
  if (loaded->len == 0 || (loaded->len > 1 && !rules->mean))
    return fail (error, "A stage that starts from %u models needs %s", loaded->len,
                 loaded->len ? "init=mean" : "one at least");
  from.n = loaded->len;
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      FmShape shape = fm_tensor_get_shape (fm_graph_find_variable (target, path));
      g_autofree char *source = NULL;
      FmStartHow how;

      if (!resolve (rules, path, &shape, &from, &source, &how, error)
          || (source && !start_one (variables, path, &shape, loaded, source, error)))
        return FALSE;
    }
  return take_states (variables, target, paths, g_ptr_array_index (loaded, 0), error);
}
