/* report-private.h: inside app/report only. */
#pragma once

#include "app/figures/figures.h"
#include "app/report/report.h"
#include "app/results/claims.h"
#include "app/results/modes.h"

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
  GPtrArray      *tasks;    /* FmTaskRecord: each once, in order of first use */
  GPtrArray      *runs;     /* FmResultRow, in the order of the batch */
  GPtrArray      *records;  /* FmRunRecord: the same runs with their chains of stages */
  GPtrArray      *stages;   /* FmStageRecord: each once, in order of first use */
  GPtrArray      *machines; /* char *: what workers wrote of the machines they ran on, each once */
  GHashTable     *made_on;  /* id of a stage -> number of its machine, from 1 */
  GHashTable     *words;    /* "task word" -> in how many rows; "task" -> how many rows there are of it */
  FmModeList     *modes;    /* what was measured beside, a row a run */
  FmClaimResult  *claim;    /* or NULL: the batch expects nothing */
} FmReportData;

FmReportData *fm_report_data_load (FmStore *store, gint64 batch, GError **error);
void          fm_report_data_free (FmReportData *data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmReportData, fm_report_data_free)

/* --- Tables ---------------------------------------------------------------------------------------------------------
 * The same ones in every document, so that all say the same: report-tables.c fills them, each writer only sets them. */

typedef struct
{
  char   *text;  /* never NULL */
  char   *extra; /* less loud, after it: an interval; or NULL */
  char   *sign;  /* before it: a verdict's; or NULL */
  char   *to;    /* name of the row of another table that this comes from; or NULL */
  gdouble value; /* to sort by; NAN: by text */
} FmReportCell;

typedef struct
{
  char      *name;    /* what `to` of other rows means, unique in a document; or NULL */
  gint       variant; /* whose marker stands before it, or FM_REPORT_NO_VARIANT */
  gboolean   dim;
  GPtrArray *cells; /* FmReportCell */
  char      *more;  /* text to unfold under it (a recipe), or NULL */
} FmReportRow;
#define FM_REPORT_NO_VARIANT (-2)

typedef struct
{
  const char *title;
  gboolean    left; /* words and not numbers */
  gboolean    mono; /* ids and commands */
} FmReportColumn;

typedef struct
{
  const char           *id;    /* "results", "costs", ...: part of anchors and of JSON */
  const char           *title; /* heading */
  char                 *above; /* what was held equal, and how to read it; or NULL */
  char                 *below; /* or NULL */
  const FmReportColumn *columns; /* up to a title of NULL */
  GPtrArray            *rows;    /* FmReportRow */
  guint                 n_levels; /* so many of the last rows are no runs (chance), and stay last */
} FmReportTable;

void fm_report_table_free (FmReportTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmReportTable, fm_report_table_free)

FmReportTable *fm_report_table_results     (FmReportData *data); /* all (transfer full) */
FmReportTable *fm_report_table_costs       (FmReportData *data);
FmReportTable *fm_report_table_comparisons (FmReportData *data);
FmReportTable *fm_report_table_modes       (FmReportData *data);
FmReportTable *fm_report_table_claim       (FmReportData *data); /* without rows where nothing is expected */
FmReportTable *fm_report_table_runs        (FmReportData *data);
FmReportTable *fm_report_table_stages      (FmReportData *data);
FmReportTable *fm_report_table_machines    (FmReportData *data);

/** fm_report_tables: (transfer full): FmReportTable: all of these in this order. */
GPtrArray *fm_report_tables (FmReportData *data);
enum
{
  FM_REPORT_CLAIM, FM_REPORT_RESULTS, FM_REPORT_COMPARISONS, FM_REPORT_COSTS, FM_REPORT_MODES, FM_REPORT_RUNS,
  FM_REPORT_STAGES, FM_REPORT_MACHINES,
};

/** fm_report_ground: (transfer full): what tells the row's task and device from those of other rows: "length=128, cpu";
 * "" where all rows have the same. */
char *fm_report_ground (FmReportData *data, const FmVariantResult *r);
/** fm_report_cell_text: (transfer full): sign, text and extra as one. */
char *fm_report_cell_text (const FmReportCell *cell);
/** fm_report_redo: (transfer full): the command that makes one run again, or all of the batch with 0. */
char *fm_report_redo (FmReportData *data, gint64 run);
/** fm_report_levels: (transfer full): "Chance level 10.0 %; ..." of each task; "" when nothing is known. */
char *fm_report_levels (FmReportData *data);

/* --- What pages of HTML and of PDF share --------------------------------------------------------------------------*/

typedef struct
{
  char           *name; /* as `formarium figure` and JSON call it */
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

/* A table that can be sorted; @heading: 2 or 3, or 0 for one that unfolds under its title. */
void fm_page_table (FmPage *page, const FmReportTable *table, guint heading);

/* html-results.c and html-looks.c: the sections. */
void fm_page_add_claim (FmPage *page, FmReportData *data); /* nothing where nothing is expected */
void fm_page_add_results (FmPage *page, FmReportData *data);
void fm_page_add_figures (FmPage *page, FmReportData *data);
void fm_page_add_attention (FmPage *page, FmReportData *data);
void fm_page_add_routing (FmPage *page, FmReportData *data);
void fm_page_add_measuring (FmPage *page, FmReportData *data);
void fm_page_add_redo (FmPage *page, FmReportData *data);
void fm_page_add_appendix (FmPage *page, FmReportData *data);

/* (transfer full): the documents that end in .tex, .pdf, .md and .json. */
char   *fm_report_to_latex    (FmStore *store, gint64 batch, GError **error);
GBytes *fm_report_to_pdf      (FmStore *store, gint64 batch, GError **error);
char   *fm_report_to_markdown (FmStore *store, gint64 batch, GError **error);
char   *fm_report_to_json     (FmStore *store, gint64 batch, GError **error);

/* (transfer full): the batch file's name without folders, or "the batch file" for one without. */
char *fm_report_file_name (FmReportData *data);

G_END_DECLS
