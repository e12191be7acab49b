#!/bin/sh
# make-ops-table.sh NAME...: prints the C file that lists the rows of every op file.
echo '/* Generated from compute/ops/meson.build. */'
echo '#include "compute/compute-private.h"'
for n; do echo "extern const FmOp * const fm_ops_$(echo "$n" | tr - _)[];"; done
echo 'static const FmOp * const * const files[] = {'
for n; do echo "  fm_ops_$(echo "$n" | tr - _),"; done
cat <<'C'
  NULL
};

const FmOp * const *
fm_ops_list (void)
{
  static gsize once;
  static GPtrArray *list;

  if (g_once_init_enter (&once))
    {
      list = g_ptr_array_new ();
      for (guint i = 0; files[i]; i++)
        for (guint j = 0; files[i][j]; j++)
          g_ptr_array_add (list, (gpointer) files[i][j]);
      g_ptr_array_add (list, NULL);
      g_once_init_leave (&once, 1);
    }
  return (const FmOp * const *) list->pdata;
}
C
