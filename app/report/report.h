/* report.h: what a batch found as a document that can be sent to somebody: HTML, PDF, LaTeX, Markdown, CSV, JSON. */
#pragma once

#include "app/figures/figures.h"
#include "app/results/results.h"
#include "storage/storage.h"

G_BEGIN_DECLS

/**
 * fm_report_write:
 * @store: open for reading
 * @batch: number of a batch, as in fm_store_find_batch()
 * @path: the ending decides: .html one self-contained page; .pdf the same on A4; .tex a document with the table as a
 *   paper prints it (booktabs); .md the same as plain text; .csv one line a run, named as the columns of the view
 *   `results`; .json all of it for programs, as fm_report_schema() says
 *
 * Written beside @path and renamed, so that a reader sees all of it or what was there before. FM_APP_ERROR_INPUT for an
 * ending that is none of these; else the store's or the file system's error. A part without data (no attention map, no
 * experts) is a sentence in the page, no error.
 */
FM_API gboolean fm_report_write (FmStore *store, gint64 batch, const char *path, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/** fm_report_to_html: (transfer full): the page of fm_report_write(). */
FM_API char *fm_report_to_html (FmStore *store, gint64 batch, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_report_write_figure:
 * @name: "plot", "accuracy", "loss", "scaling", "scaling-memory"
 * @path: .svg, .png or .pdf, or .csv for the numbers behind it
 *
 * Returns: (transfer full): what the figure shows, in words; NULL with FM_APP_ERROR_INPUT, which says which ones the
 * batch has
 */
FM_API char *fm_report_write_figure (FmStore *store, gint64 batch, const char *name, gdouble width, gdouble height,
                                     const FmFigureStyle *style, const char *path,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_report_schema: (transfer full): the JSON Schema (draft 2020-12) that every .json of fm_report_write() keeps. */
FM_API char *fm_report_schema (void);

G_END_DECLS
