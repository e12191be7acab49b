/* results-private.h: inside app/results only (tests excepted). */
#pragma once

#include "app/results/results.h"

G_BEGIN_DECLS

GPtrArray  *fm_results_table_peek_runs       (FmResultsTable *table);
/* @sentence (transfer full) */
void        fm_results_table_set_held_equal  (FmResultsTable *table, char *sentence);
const char *fm_results_table_peek_held_equal (FmResultsTable *table);

/* Reads the recipes of the training stages and sets the sentence. */
gboolean    fm_results_table_find_held_equal (FmResultsTable *table, FmStore *store, GError **error);

G_END_DECLS
