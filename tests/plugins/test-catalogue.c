/* test-catalogue.c: the catalogue is the test list. Every plugin found goes through every check, unasked. */
#include "config.h"

#include "app/architecture/check.h"

typedef struct
{
  const FmPlugin *plugin;
  const char     *check;
} Cell;

static void
test_cell (gconstpointer data)
{
  const Cell *cell = data;
  g_autoptr (FmCheckRow) row = fm_check_plugin (cell->plugin, cell->check);

  if (row->state == FM_CHECK_SKIPPED)
    g_test_skip (row->detail);
  else if (row->state == FM_CHECK_FAILED)
    {
      g_test_message ("%s", row->detail);
      g_test_fail ();
    }
}

static void
test_found (void)
{
  GPtrArray *rejected = fm_plugins_rejected ();

  for (guint i = 0; i < rejected->len; i++)
    {
      FmRejected *r = g_ptr_array_index (rejected, i);

      g_test_message ("%s: found %s, wanted %s: %s", r->file, r->found, r->wanted, r->reason);
    }
  g_assert_cmpuint (rejected->len, ==, 0);
  g_assert_cmpuint (fm_plugins_list ()->len, >=, 7);
}

int
main (int argc, char **argv)
{
  GPtrArray *plugins;

  g_test_init (&argc, &argv, NULL);
  plugins = fm_plugins_list ();
  g_test_add_func ("/catalogue/found", test_found);
  for (guint i = 0; i < plugins->len; i++)
    for (const char * const *check = fm_check_names (); *check; check++)
      {
        const FmPlugin *plugin = g_ptr_array_index (plugins, i);
        g_autofree char *path = g_strdup_printf ("/catalogue/%s/%s", plugin->descriptor->id, *check);
        Cell *cell = g_new (Cell, 1);

        *cell = (Cell){ plugin, *check };
        g_test_add_data_func_full (path, cell, test_cell, g_free);
      }
  return g_test_run ();
}
