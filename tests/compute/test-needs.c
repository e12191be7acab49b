/* test-needs.c: compute/ops/README.md, the table from the cards' needs, against the code; and what every op row owes.
 *
 * Open needs are printed, not failed; a row that claims something untrue fails. */
#include "config.h"

#include "compute/compute-private.h"

#include <string.h>

typedef struct
{
  char *need, *how, *builders, *users;
} Row;

static GPtrArray  *rows;  /* Row, in the order of the page */
static GHashTable *cards; /* id -> needs, separated by semicolons */
static GPtrArray  *card_list;
static GPtrArray  *problems; /* of the page as such */
static char       *declarations; /* both public headers */

static char *
load (const char *path) /* (nullable): a file of the source tree */
{
  g_autofree char *full = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), path, NULL);
  char *text = NULL;

  g_file_get_contents (full, &text, NULL, NULL);
  return text;
}

/* The cells of a table's line, or NULL for other lines, for headings and for the rule below them. */
static char **
cells (const char *line, guint n)
{
  g_auto(GStrv) parts = NULL;

  if (line[0] != '|' || g_str_has_prefix (line, "| ---") || g_str_has_prefix (line, "| need |")
      || g_str_has_prefix (line, "| card |"))
    return NULL;
  parts = g_strsplit (line, "|", -1);
  if (g_strv_length (parts) != n + 2)
    {
      g_ptr_array_add (problems, g_strdup_printf ("this row has not %u columns: %s", n, line));
      return NULL;
    }
  for (guint i = 0; i < n + 2; i++)
    g_strstrip (parts[i]);
  return g_steal_pointer (&parts);
}

static void
read_page (void)
{
  g_autofree char *page = load ("compute/ops/README.md");
  g_autofree char *compute = load ("compute/compute.h"), *ops = load ("compute/ops/ops.h");
  g_autofree char *plugin = load ("plugins/plugin.h");
  g_auto(GStrv) lines = NULL;
  gboolean in_cards = FALSE;

  g_assert_nonnull (page);
  g_assert_nonnull (compute);
  g_assert_nonnull (ops);
  g_assert_nonnull (plugin);
  declarations = g_strconcat (compute, ops, plugin, NULL);
  rows = g_ptr_array_new ();
  cards = g_hash_table_new (g_str_hash, g_str_equal);
  card_list = g_ptr_array_new ();
  problems = g_ptr_array_new ();
  lines = g_strsplit (page, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto(GStrv) c = NULL;

      if (g_str_has_prefix (lines[i], "## "))
        in_cards = g_str_equal (lines[i], "## Cards");
      c = cells (lines[i], in_cards ? 3 : 4);
      if (c == NULL)
        continue;
      if (in_cards)
        {
          char *id = g_strdup (c[1]);

          if (!g_hash_table_insert (cards, id, g_strdup (c[2])))
            g_ptr_array_add (problems, g_strdup_printf ("card %s stands here twice", id));
          g_ptr_array_add (card_list, id);
        }
      else
        {
          Row *row = g_new (Row, 1);

          *row = (Row){ g_strdup (c[1]), g_strdup (c[2]), g_strdup (c[3]), g_strdup (c[4]) };
          g_ptr_array_add (rows, row);
        }
    }
}

static gboolean
is_open (const Row *row)
{
  return g_str_has_prefix (row->how, "open");
}

/* (transfer full): what stands in backquotes, less a trailing " ()". */
static GPtrArray *
quoted (const char *cell)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_auto(GStrv) parts = g_strsplit (cell, "`", -1);

  for (guint i = 1; parts[0] != NULL && parts[i] != NULL; i += 2)
    {
      char *name = g_strdup (parts[i]);

      if (g_str_has_suffix (name, " ()"))
        name[strlen (name) - 3] = '\0';
      g_ptr_array_add (names, name);
      if (parts[i + 1] == NULL)
        break;
    }
  return names;
}

static const FmOp *
find_op (const char *name)
{
  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    if (g_str_equal ((*op)->name, name))
      return *op;
  return NULL;
}

static gboolean
calls (const char *text, const char *builder)
{
  g_autofree char *pattern = g_strdup_printf ("\\b%s\\s*\\(", builder);

  return g_regex_match_simple (pattern, text, 0, 0);
}

static void
wrong (const Row *row, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
wrong (const Row *row, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_test_message ("compute/ops/README.md, “%s”: %s", row->need, what);
  g_test_fail ();
}

static void
check_users (const Row *row, GPtrArray *builders)
{
  g_autoptr(GPtrArray) files = quoted (row->users), texts = g_ptr_array_new_with_free_func (g_free);
  const char *planned = strstr (row->users, "planned: ");

  for (guint i = 0; i < files->len; i++)
    {
      const char *path = g_ptr_array_index (files, i);
      char *text = load (path);

      if (text == NULL)
        wrong (row, "its user %s is not there", path);
      else if (!g_str_has_prefix (path, "plugins/") && !g_str_has_prefix (path, "app/")
               && !g_str_has_prefix (path, "tests/compute/models/"))
        wrong (row, "its user %s is neither a plugin nor a reference model nor the program", path);
      g_ptr_array_add (texts, text ? text : g_strdup (""));
    }
  if (planned && !g_hash_table_contains (cards, planned + strlen ("planned: ")))
    wrong (row, "it is %s, which is no card below", planned);
  if (files->len == 0 && !planned)
    wrong (row, "nobody uses it: name a file or “planned: CARD”");
  for (guint b = 0; b < builders->len && !planned; b++)
    {
      gboolean called = FALSE;

      for (guint i = 0; i < texts->len; i++)
        called |= calls (g_ptr_array_index (texts, i), g_ptr_array_index (builders, b));
      if (!called)
        wrong (row, "no user named there calls %s ()", (char *) g_ptr_array_index (builders, b));
    }
}

static void
test_rows (void)
{
  static const char * const hows[] = { "op `", "composition", "host", "engine", "open", NULL };
  g_autoptr(GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  g_assert_cmpuint (rows->len, >, 0);
  for (guint i = 0; i < problems->len; i++)
    {
      g_test_message ("%s", (char *) g_ptr_array_index (problems, i));
      g_test_fail ();
    }
  for (guint r = 0; r < rows->len; r++)
    {
      const Row *row = g_ptr_array_index (rows, r);
      g_autoptr(GPtrArray) ops = quoted (row->how), builders = quoted (row->builders);
      gboolean known = FALSE;

      if (!g_hash_table_add (seen, row->need))
        wrong (row, "there are two rows of that need");
      for (guint i = 0; hows[i] != NULL; i++)
        known |= g_str_has_prefix (row->how, hows[i]);
      if (!known)
        wrong (row, "“%s” is neither op, composition, host routine, engine, host nor open", row->how);
      for (guint i = 0; i < ops->len; i++)
        if (find_op (g_ptr_array_index (ops, i)) == NULL)
          wrong (row, "there is no op %s", (char *) g_ptr_array_index (ops, i));
      if (builders->len == 0 && !is_open (row))
        wrong (row, "it names no builder");
      for (guint i = 0; i < builders->len; i++)
        if (!calls (declarations, g_ptr_array_index (builders, i)))
          wrong (row, "%s () is not declared in compute.h, ops.h or plugin.h", (char *) g_ptr_array_index (builders, i));
      check_users (row, builders);
    }
}

static void
test_ops_listed (void)
{
  g_autoptr(GHashTable) listed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint r = 0; r < rows->len; r++)
    {
      g_autoptr(GPtrArray) ops = quoted (((Row *) g_ptr_array_index (rows, r))->how);

      for (guint i = 0; i < ops->len; i++)
        g_hash_table_add (listed, g_strdup (g_ptr_array_index (ops, i)));
    }
  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    if (!g_hash_table_contains (listed, (*op)->name))
      {
        g_test_message ("op %s stands in no row of compute/ops/README.md", (*op)->name);
        g_test_fail ();
      }
}

/* Every card's needs have a row; those whose row is open are printed with who waits for them. */
static void
test_cards (void)
{
  g_autoptr(GHashTable) by_need = g_hash_table_new (g_str_hash, g_str_equal);
  guint asked = 0, open = 0;

  g_assert_cmpuint (card_list->len, >=, 78);
  for (guint r = 0; r < rows->len; r++)
    g_hash_table_insert (by_need, ((Row *) g_ptr_array_index (rows, r))->need, g_ptr_array_index (rows, r));
  for (guint i = 0; i < card_list->len; i++)
    {
      const char *id = g_ptr_array_index (card_list, i);
      g_auto(GStrv) needs = g_strsplit (g_hash_table_lookup (cards, id), ";", -1);

      for (guint k = 0; needs[k] != NULL; k++)
        {
          const Row *row = g_hash_table_lookup (by_need, g_strstrip (needs[k]));

          asked++;
          if (row == NULL)
            {
              g_test_message ("card %s needs “%s”, which has no row", id, needs[k]);
              g_test_fail ();
            }
          else if (is_open (row))
            {
              open++;
              g_test_message ("uncovered: %s (card %s)", needs[k], id);
            }
        }
    }
  g_test_message ("%u cards ask %u times; %u are covered, %u are open", card_list->len, asked, asked - open, open);
}

/* All C files of a folder of the source tree, one after the other. */
static char *
load_folder (const char *path)
{
  g_autofree char *full = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), path, NULL);
  g_autoptr(GDir) dir = g_dir_open (full, 0, NULL);
  GString *text = g_string_new (NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".c"))
      {
        g_autofree char *file = g_build_filename (path, name, NULL), *one = load (file);

        g_string_append (text, one ? one : "");
      }
  return g_string_free (text, FALSE);
}

/* Does a row promise the card that will call it? */
static gboolean
is_planned (const char *builder)
{
  g_autofree char *word = g_strdup_printf ("`%s ()`", builder);

  for (guint i = 0; i < rows->len; i++)
    {
      const Row *row = g_ptr_array_index (rows, i);

      if (strstr (row->builders, word) && strstr (row->users, "planned: "))
        return TRUE;
    }
  return FALSE;
}

/* A builder that nothing made of ops calls may be wrong in ways that its own test does not know. */
static void
test_builders_used (void)
{
  g_autofree char *ops = load ("compute/ops/ops.h"), *plugins = load_folder ("plugins");
  g_autofree char *models = load_folder ("tests/compute/models");
  g_autoptr(GRegex) declared = g_regex_new ("FM_API[^;(]*\\b(fm_\\w+)\\s*\\(", 0, 0, NULL);
  g_autoptr(GMatchInfo) match = NULL;
  guint n = 0;

  for (g_regex_match (declared, ops, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL))
    {
      g_autofree char *builder = g_match_info_fetch (match, 1);

      n++;
      if (!calls (plugins, builder) && !calls (models, builder))
        {
          g_test_message ("no plugin and no reference model calls %s ()", builder);
          if (!is_planned (builder))
            g_test_fail ();
        }
    }
  g_test_message ("%u builders are declared in ops.h", n);
  g_assert_cmpuint (n, >, 200);
}

/* What an op owes: a gradient or the reason why none, a kernel on both backends, a name of its own. */
static void
test_op_rows (void)
{
  g_autoptr(GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);

  for (const FmOp * const *list = fm_ops_list (); *list != NULL; list++)
    {
      const FmOp *op = *list;
      const char *lacks = NULL;

      if (!g_hash_table_add (names, (gpointer) op->name))
        lacks = "a name that no other op has";
      else if (!g_regex_match_simple ("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", op->name, 0, 0))
        lacks = "a name of lower-case words joined by hyphens";
      else if (op->infer == NULL)
        lacks = "a shape rule";
      else if (op->gradient == NULL && (op->no_gradient == NULL || strlen (op->no_gradient) < 10))
        lacks = "a gradient, or in no_gradient the reason why none";
      else if (!(op->flags & FM_OP_VIEW) && op->cpu == NULL)
        lacks = "a CPU kernel";
      else if (!(op->flags & FM_OP_VIEW) && op->vulkan == NULL)
        lacks = "a Vulkan kernel";
      else if (op->n_out > FM_NODE_MAX_OUT || op->n_in_min > op->n_in_max
               || (op->n_out == 0 && !(op->flags & FM_OP_EFFECT)))
        lacks = "possible numbers of operands and results";
      if (lacks)
        {
          g_test_message ("op %s lacks %s", op->name, lacks);
          g_test_fail ();
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  read_page ();
  g_test_add_func ("/compute/needs/rows", test_rows);
  g_test_add_func ("/compute/needs/ops-listed", test_ops_listed);
  g_test_add_func ("/compute/needs/cards", test_cards);
  g_test_add_func ("/compute/needs/op-rows", test_op_rows);
  g_test_add_func ("/compute/needs/builders-used", test_builders_used);
  return g_test_run ();
}
