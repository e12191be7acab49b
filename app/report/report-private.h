/* report-private.h: inside app/report only. */
#pragma once

#include "app/figures/figures.h"
#include "app/report/report.h"

G_BEGIN_DECLS

/* Of one variant: what its first finished seed left. */
typedef struct
{
  FmResultsRow *row; /* no ref: the table's */
  gint64        run; /* whose artifacts these are */
  FmMaps       *maps;    /* or NULL */
  FmRouting    *routing; /* or NULL */
} FmReportLooks;

/* All a page shows, loaded before the first line is written. */
typedef struct
{
  FmBatchRecord  *batch;
  FmResultsTable *table;
  GPtrArray      *accuracy; /* FmResultsCurve: validation accuracy */
  GPtrArray      *loss;     /* FmResultsCurve: validation loss, or training loss where that was not kept */
  gboolean        training_loss;
  GPtrArray      *looks;    /* FmReportLooks */
  FmTaskRecord   *task;     /* of the first row, or NULL */
  char           *train_provenance, *measure_provenance; /* JSON objects, or NULL */
} FmReportData;

FmReportData *fm_report_data_load (FmStore *store, gint64 batch, GError **error);
void          fm_report_data_free (FmReportData *data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmReportData, fm_report_data_free)

/* --- What pages of HTML and of PDF share --------------------------------------------------------------------------*/

typedef struct
{
  const FmFigure *figure;
  gconstpointer   model;
  char           *caption;     /* a sentence or two under it */
  char           *alternative; /* what the picture says in words */
} FmReportFigure;

/* (transfer container): FmReportFigure: accuracy against latency, curves; they borrow from @data. */
GPtrArray *fm_report_figures (FmReportData *data);

/* One head of the first variant that has maps, and one looking position, for all variants. */
typedef struct
{
  const FmMaps *lead; /* no ref */
  gint64        layer, head, looking;
  gdouble       maximum, map_maximum; /* of the looking position, and of whole maps, over all variants */
  gboolean      hidden; /* some map has places that cannot be seen */
  gint64        run;    /* the first that is shown */
} FmReportView;

gboolean fm_report_view_choose (FmReportData *data, FmReportView *view); /* FALSE: no run left maps */
gboolean fm_report_view_shows  (const FmReportView *view, const FmReportLooks *looks);

/* (transfer full): "27 November 2026", when the batch ended, or began. */
char *fm_report_date (FmReportData *data);

/* --- A page under construction ------------------------------------------------------------------------------------*/

typedef struct
{
  GString *out;
  guint    n_pictures; /* so that ids differ */
} FmPage;

void fm_page_printf (FmPage *page, const char *format, ...) G_GNUC_PRINTF (2, 3); /* markup; string arguments escaped */

/* Both a light and a dark drawing; the reader's preference decides which one shows. @alternative (nullable): what the
 * picture says in words; NULL for one that only repeats the text beside it. */
void fm_page_figure (FmPage *page, const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                     const char *alternative);
/* "Table" that unfolds. */
void fm_page_details (FmPage *page, const char *summary, FmFigureTable *table);

/* html-results.c and html-looks.c: the sections. */
void fm_page_add_results (FmPage *page, FmReportData *data);
void fm_page_add_figures (FmPage *page, FmReportData *data);
void fm_page_add_attention (FmPage *page, FmReportData *data);
void fm_page_add_routing (FmPage *page, FmReportData *data);
void fm_page_add_measuring (FmPage *page, FmReportData *data);
void fm_page_add_redo (FmPage *page, FmReportData *data);

/* (transfer full): the documents that end in .tex and .pdf. */
char   *fm_report_to_latex (FmStore *store, gint64 batch, GError **error);
GBytes *fm_report_to_pdf   (FmStore *store, gint64 batch, GError **error);

/* (transfer full): the batch file's name without folders, or "the batch file" for one without. */
char *fm_report_file_name (FmReportData *data);

G_END_DECLS
