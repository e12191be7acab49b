/* profile.c: see profile.h. */
#include "config.h"

#include "app/run/profile.h"

#include "app/json.h"

#include <math.h>
#include <string.h>

static const char * const phases[] = { "forward", "backward", "optimizer" };

char *
fm_shape_text (const FmShape *shape)
{
  GString *text = g_string_new ("[");

  for (guint i = 0; i < shape->rank; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? "," : "", shape->dims[i]);
  return g_string_free (g_string_append_c (text, ']'), FALSE);
}

/* --- The tree ------------------------------------------------------------------------------------------------------*/

void
fm_profile_tree_free (FmProfileTree *tree)
{
  if (tree == NULL)
    return;
  g_free (tree->name);
  g_clear_pointer (&tree->children, g_ptr_array_unref);
  g_free (tree);
}

static FmProfileTree *
tree_new (const char *name, guint depth)
{
  FmProfileTree *tree = g_new0 (FmProfileTree, 1);

  tree->name = g_strdup (name);
  tree->depth = depth;
  return tree;
}

static FmProfileTree *
child (FmProfileTree *tree, const char *name)
{
  FmProfileTree *found;

  if (tree->children == NULL)
    tree->children = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_profile_tree_free);
  for (guint i = 0; i < tree->children->len; i++)
    {
      found = g_ptr_array_index (tree->children, i);
      if (g_str_equal (found->name, name))
        return found;
    }
  found = tree_new (name, tree->depth + 1);
  g_ptr_array_add (tree->children, found);
  return found;
}

static void
add_to (FmProfileTree *tree, const FmNodeProfile *node, gdouble seconds, const FmRoof *roof)
{
  tree->nodes++;
  tree->seconds += seconds;
  tree->cost.flops += node->cost.flops;
  tree->cost.bytes += node->cost.bytes;
  tree->floor_s += roof ? fm_roof_share (roof, &node->cost, 1.0) : NAN;
}

/* The folders of a scope: "layers.0.mixer" -> "layers.0", "mixer". */
static GPtrArray *
folders (const char *scope)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = g_strsplit (scope, ".", -1);

  for (guint i = 0; parts[i]; i++)
    {
      if (*parts[i] && strspn (parts[i], "0123456789") == strlen (parts[i]) && names->len)
        {
          char **last = (char **) &g_ptr_array_index (names, names->len - 1);
          char *joined = g_strconcat (*last, ".", parts[i], NULL);

          g_free (*last);
          *last = joined;
        }
      else if (*parts[i])
        g_ptr_array_add (names, g_strdup (parts[i]));
    }
  return names;
}

static gint
dearest_first (gconstpointer a, gconstpointer b)
{
  const FmProfileTree *x = *(FmProfileTree * const *) a, *y = *(FmProfileTree * const *) b;

  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* Layers keep the order in which they run; the parts of a layer come dearest first. */
static void
sort (FmProfileTree *tree)
{
  if (tree->children == NULL)
    return;
  if (tree->depth >= 2)
    g_ptr_array_sort (tree->children, dearest_first);
  for (guint i = 0; i < tree->children->len; i++)
    sort (g_ptr_array_index (tree->children, i));
}

FmProfileTree *
fm_profile_tree (const GArray *nodes, const FmRoof *roof)
{
  FmProfileTree *root = tree_new ("run", 0);

  for (guint i = 0; i < nodes->len; i++)
    {
      const FmNodeProfile *node = &g_array_index (nodes, FmNodeProfile, i);
      g_autoptr (GPtrArray) names = folders (node->scope ? node->scope : "");
      g_autofree char *shape = fm_shape_text (&node->shape);
      g_autofree char *op = g_strconcat (node->op, node->inside ? " (" : "", node->inside ? node->inside : "",
                                         node->inside ? ") " : " ", shape, NULL);
      gdouble seconds = node->calls ? node->seconds / (gdouble) node->calls : 0;
      FmProfileTree *at = root;

      add_to (at, node, seconds, roof);
      at = child (at, phases[node->phase]);
      add_to (at, node, seconds, roof);
      for (guint k = 0; k < names->len; k++)
        {
          at = child (at, g_ptr_array_index (names, k));
          add_to (at, node, seconds, roof);
        }
      add_to (child (at, op), node, seconds, roof);
    }
  sort (root);
  return root;
}

static void
print_branch (GString *text, const FmProfileTree *tree, const FmProfileTree *root, guint depth)
{
  g_autofree char *name = g_strdup_printf ("%*s%s", (int) (2 * tree->depth), "", tree->name);

  g_string_append_printf (text, "%-46.46s %9.3f %6.1f%% %6" G_GUINT64_FORMAT " %9.1f %8.1f", name, tree->seconds * 1e3,
                          100 * tree->seconds / root->seconds, tree->nodes, tree->cost.flops / tree->seconds / 1e9,
                          tree->cost.bytes / tree->seconds / 1e9);
  if (isfinite (tree->floor_s))
    g_string_append_printf (text, " %5.0f%%", 100 * tree->floor_s / tree->seconds);
  g_string_append_c (text, '\n');
  for (guint i = 0; tree->depth < depth && tree->children && i < tree->children->len; i++)
    {
      const FmProfileTree *below = g_ptr_array_index (tree->children, i);

      if (below->seconds > 0)
        print_branch (text, below, root, depth);
    }
}

char *
fm_profile_tree_to_text (const FmProfileTree *tree, guint depth)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "%-46s %9s %7s %6s %9s %8s %6s\n", "where", "ms a run", "share", "nodes", "GFLOP/s",
                          "GB/s", "roof");
  if (tree->seconds > 0)
    print_branch (text, tree, tree, depth);
  return g_string_free (text, FALSE);
}

JsonObject *
fm_profile_tree_to_json (const FmProfileTree *tree, guint depth)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "name", tree->name);
  json_object_set_int_member (object, "nodes", (gint64) tree->nodes);
  json_object_set_double_member (object, "seconds", tree->seconds);
  json_object_set_double_member (object, "flops", tree->cost.flops);
  json_object_set_double_member (object, "bytes", tree->cost.bytes);
  if (isfinite (tree->floor_s) && tree->seconds > 0)
    json_object_set_double_member (object, "roof_share", tree->floor_s / tree->seconds);
  if (tree->depth < depth && tree->children)
    {
      JsonArray *children = json_array_new ();

      for (guint i = 0; i < tree->children->len; i++)
        json_array_add_object_element (children,
                                       fm_profile_tree_to_json (g_ptr_array_index (tree->children, i), depth));
      json_object_set_array_member (object, "children", children);
    }
  return object;
}

/* --- The trace -----------------------------------------------------------------------------------------------------*/

struct _FmTrace
{
  JsonArray *events;
  gint64     first_us; /* where time begins: the start of the first run */
  gboolean   begun;
};

static void
add_name (FmTrace *trace, const char *what, const char *name)
{
  JsonObject *event = json_object_new (), *args = json_object_new ();

  json_object_set_string_member (args, "name", name);
  json_object_set_string_member (event, "name", what);
  json_object_set_string_member (event, "ph", "M");
  json_object_set_int_member (event, "pid", 1);
  json_object_set_int_member (event, "tid", 1);
  json_object_set_object_member (event, "args", args);
  json_array_add_object_element (trace->events, event);
}

FmTrace *
fm_trace_new (const char *title, const char *device)
{
  FmTrace *trace = g_new0 (FmTrace, 1);

  trace->events = json_array_new ();
  add_name (trace, "process_name", title);
  add_name (trace, "thread_name", device);
  return trace;
}

void
fm_trace_free (FmTrace *trace)
{
  if (trace == NULL)
    return;
  json_array_unref (trace->events);
  g_free (trace);
}

void
fm_trace_add_run (FmTrace *trace, gint64 start_us, const GArray *nodes, const FmRoof *roof)
{
  if (!trace->begun)
    trace->first_us = start_us;
  trace->begun = TRUE;
  for (guint i = 0; i < nodes->len; i++)
    {
      const FmNodeProfile *node = &g_array_index (nodes, FmNodeProfile, i);
      JsonObject *event = json_object_new (), *args = json_object_new ();
      g_autofree char *shape = fm_shape_text (&node->shape);

      json_object_set_string_member (args, "scope", node->scope ? node->scope : "");
      json_object_set_string_member (args, "shape", shape);
      if (node->inside)
        json_object_set_string_member (args, "inside", node->inside);
      json_object_set_double_member (args, "flops", node->cost.flops);
      json_object_set_double_member (args, "bytes", node->cost.bytes);
      if (roof && node->last_s > 0)
        json_object_set_double_member (args, "roof_share", fm_roof_share (roof, &node->cost, node->last_s));
      json_object_set_string_member (event, "name", node->op);
      json_object_set_string_member (event, "cat", phases[node->phase]);
      json_object_set_string_member (event, "ph", "X");
      json_object_set_double_member (event, "ts", (gdouble) (start_us - trace->first_us) + node->start_s * 1e6);
      json_object_set_double_member (event, "dur", node->last_s * 1e6);
      json_object_set_int_member (event, "pid", 1);
      json_object_set_int_member (event, "tid", 1);
      json_object_set_object_member (event, "args", args);
      json_array_add_object_element (trace->events, event);
    }
}

gboolean
fm_trace_save (FmTrace *trace, const char *filename, GError **error)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  g_autofree char *text = NULL;

  json_object_set_string_member (object, "displayTimeUnit", "ms");
  json_object_set_array_member (object, "traceEvents", json_array_ref (trace->events));
  json_node_take_object (node, object);
  text = json_to_string (node, FALSE);
  fm_json_repair_numbers (text);
  return g_file_set_contents (filename, text, -1, error);
}
