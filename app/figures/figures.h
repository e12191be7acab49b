/* figures.h: every picture of the program, for window, report and files alike.
 *
 * A figure is a plain model (one of the structs below) and a constant FmFigure that can draw it with cairo at any
 * size and write it as a table. Nothing here measures, loads or keeps anything: model in, picture out. Models borrow
 * what they point to. A picture of nothing says so in a sentence. Colours, markers and scales follow one set of rules,
 * so that a variant looks the same everywhere; what colour tells, marker, dash or number tells too. */
#pragma once

#include <cairo.h>
#include <gio/gio.h>

#include "app/results/artifacts.h"
#include "app/results/claims.h"
#include "app/results/statistics.h"
#include "base/base.h"

G_BEGIN_DECLS

#define FM_FIGURES_ERROR (fm_figures_error_quark ())
FM_API GQuark fm_figures_error_quark (void);
typedef enum
{
  FM_FIGURES_ERROR_FORMAT, /* a file ending that is not .svg, .pdf or .png; a size that cannot be */
  FM_FIGURES_ERROR_WRITE,
} FmFiguresError;

/* --- Style --------------------------------------------------------------------------------------------------------*/

typedef enum
{
  FM_SCHEME_LIGHT,
  FM_SCHEME_DARK,
  FM_SCHEME_PRINT, /* light on white paper */
} FmScheme;

typedef struct
{
  FmScheme scheme;
  gdouble  scale;         /* of text and markers; 1.0 = body text of 14.7 px */
  gboolean high_contrast; /* larger markers, hatches instead of alpha */
} FmFigureStyle;

#define FM_FIGURE_STYLE_LIGHT ((FmFigureStyle) { FM_SCHEME_LIGHT, 1.0, FALSE })
#define FM_FIGURE_STYLE_DARK  ((FmFigureStyle) { FM_SCHEME_DARK, 1.0, FALSE })
#define FM_FIGURE_STYLE_PRINT ((FmFigureStyle) { FM_SCHEME_PRINT, 1.0, FALSE })

typedef struct { gdouble red, green, blue, alpha; } FmColour;

typedef enum
{
  FM_COLOUR_PAGE,   /* where zero of the sequential map lies */
  FM_COLOUR_INK,
  FM_COLOUR_DIM,    /* units, conditions, ticks */
  FM_COLOUR_GRID,
  FM_COLOUR_BAND,   /* the baseline's interval through the others */
  FM_COLOUR_CURSOR, /* looking patch, dead expert: orange */
  FM_COLOUR_ACCENT, /* selection and action, never data */
  FM_COLOUR_FINISHED, /* lines that nobody has chosen */
} FmColourName;

FM_API FmColour fm_style_colour (const FmFigureStyle *style, FmColourName name);

/* A variant is a number, the same on every page: 0 is the baseline, 1, 2, ... the others in the order of the batch. */
#define FM_VARIANT_FAILED (-1)

/** fm_style_variant: its colour (Okabe-Ito, shifted to keep 3:1 against the page). */
FM_API FmColour fm_style_variant    (const FmFigureStyle *style, gint variant);
/** fm_style_sequential: ColorBrewer Blues at @t in 0..1 (clamped; NaN as 0); zero is the page's own in dark style. */
FM_API FmColour fm_style_sequential (const FmFigureStyle *style, gdouble t);
/** fm_style_category: colours of things without an order (experts); the number is printed beside it always. */
FM_API FmColour fm_style_category   (const FmFigureStyle *style, guint index);
/** fm_colour_css: (transfer full): "#rrggbb". */
FM_API char    *fm_colour_css       (FmColour colour);
/** fm_colour_on: ink or white, whichever reads better on @colour. */
FM_API FmColour fm_colour_on        (FmColour colour);

/** fm_draw_marker: the variant's marker (circle, square, diamond, triangle, hexagon; hollow from the sixth on; a cross
 * for FM_VARIANT_FAILED) of @radius around (@x, @y). */
FM_API void fm_draw_marker (cairo_t *cr, const FmFigureStyle *style, gint variant, gdouble x, gdouble y,
                            gdouble radius);

/* --- A figure -----------------------------------------------------------------------------------------------------*/

/* Rows of texts; the first row holds the column titles. */
typedef struct
{
  char      *caption;
  GPtrArray *rows; /* GStrv */
} FmFigureTable;

FM_API FmFigureTable *fm_figure_table_new     (const char *caption, const char *first_title,
                                               ...) G_GNUC_NULL_TERMINATED;
/** fm_figure_table_add: @cells (transfer full): NULL-terminated, as many as there are titles. */
FM_API void           fm_figure_table_add     (FmFigureTable *table, GStrv cells);
FM_API char          *fm_figure_table_to_text (const FmFigureTable *table);
FM_API char          *fm_figure_table_to_csv  (const FmFigureTable *table);
FM_API void           fm_figure_table_free    (FmFigureTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmFigureTable, fm_figure_table_free)

typedef struct
{
  const char *name; /* "plot", "curves", ... */
  void (*draw) (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style);
  FmFigureTable *(*table) (gconstpointer model); /* (transfer full) */
  /* index of what lies at (x, y) of a picture of this size (point, cell, patch, curve), or -1; NULL = nothing to hit */
  gint64 (*hit) (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y);
  /* (transfer full): one sentence about one of them, spoken when the cursor is there; NULL as hit */
  char *(*describe) (gconstpointer model, gint64 index);
} FmFigure;

/**
 * fm_figure_write:
 * @figure: one of those below
 * @model: its model
 * @width: px, as @height; a PDF takes 0.75 pt a px
 * @path: ends in .svg, .pdf or .png (drawn at twice the size); written beside it and renamed
 */
FM_API gboolean fm_figure_write (const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                                 const FmFigureStyle *style, const char *path, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_figure_to_svg:
 * @prefix: (nullable): put before every id of the document, so that many can stand in one page
 *
 * Returns: (transfer full): the `<svg>` element alone, without XML declaration and with a transparent page
 */
FM_API char *fm_figure_to_svg (const FmFigure *figure, gconstpointer model, gdouble width, gdouble height,
                               const FmFigureStyle *style, const char *prefix);

/* --- Accuracy against latency, area is memory ---------------------------------------------------------------------*/

typedef struct
{
  const char *label;
  gint        variant;
  gdouble     x;        /* cost, smaller is better */
  FmEstimate  y;        /* larger is better */
  gdouble     area;     /* in area_unit; NaN = no bubble */
  gboolean    selected;
} FmPlotPoint;

typedef struct
{
  const char        *x_title, *y_title, *area_title; /* for the table: "Latency", "Test accuracy", "Peak memory" */
  const char        *x_unit, *y_unit, *area_unit;    /* "µs", "%", "MB" */
  gsize              n_points;
  const FmPlotPoint *points;
} FmPlot;

FM_API extern const FmFigure fm_figure_plot;

/* --- Learning curves ----------------------------------------------------------------------------------------------*/

typedef struct
{
  const char       *label;
  gint              variant;
  gsize             n;
  const gdouble    *x;
  const FmEstimate *y; /* [n]; a mean of NaN breaks the line; a band where there is an interval */
  gboolean          selected;
  gboolean          running; /* a halo at the end: more is to come */
} FmCurve;

typedef struct
{
  const char    *title; /* for table and description */
  const char    *x_unit, *y_unit; /* "steps", "%" or "" */
  gsize          n_curves;
  const FmCurve *curves;
  gdouble        y_low, y_high; /* NaN = from the data; lines leave the picture where they are outside */
  gdouble        cursor;        /* x of the common cursor, NaN = none */
  gboolean       calm;          /* nobody is selected, so all lines are drawn in their own strength */
} FmCurves;

FM_API extern const FmFigure fm_figure_curves;

/** fm_curves_x: the x value under pixel @x of a picture of this size, for the cursor; NaN outside. */
FM_API gdouble fm_curves_x (const FmCurves *curves, gdouble width, gdouble height, const FmFigureStyle *style,
                            gdouble x);

/* --- A cost against the length, both logarithmic ------------------------------------------------------------------*/

typedef struct
{
  const char       *label;
  gint              variant;
  gsize             n;
  const gdouble    *x; /* lengths, ascending, positive */
  const FmEstimate *y; /* [n]; positive; a mean of NaN is left out */
} FmScalingLine;

typedef struct
{
  const char          *title;
  const char          *x_title, *x_unit, *y_title, *y_unit; /* "N", "tokens", "Latency", "µs"; units may be "" */
  gsize                n_lines;
  const FmScalingLine *lines;
} FmScaling;

FM_API extern const FmFigure fm_figure_scaling;

/* Beyond @x the line @cheaper lies below the line @dearer; both were measured at @x_low and @x_high. */
typedef struct
{
  gsize    cheaper, dearer;
  gdouble  x, y; /* where straight lines in logarithms meet */
  gdouble  x_low, x_high;
  gboolean certain; /* at both lengths the intervals leave no doubt about the order */
} FmCrossing;

/** fm_scaling_crossings: (transfer full) (element-type FmCrossing): ascending; of more than four lines only those with
 * the baseline. */
FM_API GArray *fm_scaling_crossings (const FmScaling *scaling);
/** fm_scaling_text: (transfer full): crossings and how fast each line grows at its end, in sentences. */
FM_API char   *fm_scaling_text      (const FmScaling *scaling);

/* --- The interval in a table cell ---------------------------------------------------------------------------------*/

typedef struct
{
  FmEstimate value, baseline; /* baseline.n = 0: no band */
  gint       variant;
  gdouble    low, high; /* the column's scale */
} FmIntervalCell;

FM_API extern const FmFigure fm_figure_interval;        /* one cell */
FM_API extern const FmFigure fm_figure_interval_header; /* the scale's numbers above the cells; same model */

/** fm_interval_scale: round ends around all intervals of a column. */
FM_API void fm_interval_scale (const FmEstimate *values, gsize n, gdouble *low, gdouble *high);

/* The marker alone, in the middle of its picture; the model is a gint: the variant's number. */
FM_API extern const FmFigure fm_figure_marker;

/* --- Verdicts -----------------------------------------------------------------------------------------------------*/

/* What was expected, as a region beside an edge, and what was found. hit and describe count cards. */
typedef struct
{
  const char *title;      /* the expectation as it was written */
  const char *sign, *word; /* of its verdict */
  const char *text;       /* what was found, in words */
  const char *kind;       /* what the scale is: "difference over seeds", "ratio" */
  const char *unit;       /* " points", "×" */
  gdouble     value, low, high; /* NaN: not there (yet) */
  gdouble     bound;
  gboolean    at_least;   /* the region lies right of the bound */
  gboolean    ratio;      /* numbers above 0, drawn on the logarithm */
} FmVerdictCard;

typedef struct
{
  gsize                n_cards;
  const FmVerdictCard *cards;
} FmVerdictChart;

FM_API extern const FmFigure fm_figure_verdicts;

/** fm_verdict_chart_new: (transfer full): borrows texts of @result. */
FM_API FmVerdictChart *fm_verdict_chart_new  (const FmClaimResult *result);
FM_API void            fm_verdict_chart_free (FmVerdictChart *chart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmVerdictChart, fm_verdict_chart_free)
/** fm_verdict_chart_height: px that the cards need at @scale of text. */
FM_API gdouble         fm_verdict_chart_height (const FmVerdictChart *chart, gdouble scale);

/* --- Attention ----------------------------------------------------------------------------------------------------*/

/* Where one patch of a picture looks. hit and describe count patches row by row. */
typedef struct
{
  const FmMaps *maps; /* with image and grid */
  gint64        layer, head;
  const gfloat *weights; /* [keys] instead of layer and head (mean over heads, rollout), or NULL */
  gint64        looking; /* patch, -1 = none */
  gint64        seen;    /* patch whose value is printed, -1 = the largest */
  gdouble       maximum; /* end of the scale, NaN = the largest weight */
  gboolean      bare;    /* picture alone: no scale under it (several pictures that share one) */
} FmAttentionImage;

FM_API extern const FmFigure fm_figure_attention_image;

/** fm_attention_maximum: the largest weight of a looking position over the layers and heads asked for (-1 = all). */
FM_API gdouble fm_attention_maximum (const FmMaps *maps, gint64 layer, gint64 head, gint64 looking);

/* One head's whole map; hit counts looking * keys + seen. */
typedef struct
{
  gint64             queries, keys;
  const gfloat      *weights;  /* [queries, keys]; NaN = cannot be seen: hatched */
  const char *const *tokens;   /* texts beside rows and columns, or NULL */
  gint64             looking, seen; /* cross-hair, -1 = none */
  gdouble            maximum;  /* NaN = the largest weight */
  gboolean           thumbnail; /* no numbers, no scale */
  gboolean           selected;  /* framed */
} FmAttentionMap;

FM_API extern const FmFigure fm_figure_attention_map;

/* The scale bar alone, with both ends numbered, for several pictures that share it. */
typedef struct
{
  gdouble     maximum;
  const char *unit;   /* "" or " %" */
  gboolean    hatched; /* explain "cannot be seen" */
  gboolean    looking; /* explain the orange frame */
} FmScaleBar;

FM_API extern const FmFigure fm_figure_scale_bar;

/* --- Routing ------------------------------------------------------------------------------------------------------*/

typedef struct
{
  const FmRouting *routing;
  gint64           layer;  /* selected; -1 = none */
  gint64           expert; /* selected; -1 = none */
  gint64           klass;  /* emphasised row of the class map; -1 = none */
} FmRoutingView;

FM_API extern const FmFigure fm_figure_expert_shares;  /* layer by expert; hit counts layer * experts + expert */
FM_API extern const FmFigure fm_figure_expert_load;    /* one layer's experts over training; hit gives the expert */
FM_API extern const FmFigure fm_figure_expert_classes; /* class by expert in one layer; class * experts + expert */

/* One example in one layer: each patch in the colour and with the number of the expert that took it; beside it how many
 * each expert got, where there is room. hit and describe count patches row by row. */
typedef struct
{
  gint64        image_rows, image_columns;
  const gfloat *image; /* or NULL */
  gint64        grid_rows, grid_columns;
  gint64        experts;
  gint64        n_tokens; /* grid_rows * grid_columns */
  const gint32 *expert;   /* [n_tokens], -1 = dropped */
  gint64        chosen;   /* expert; the others are faded; -1 = none */
} FmExpertPatches;

FM_API extern const FmFigure fm_figure_expert_patches;

/** fm_routing_alarm: (transfer full) (nullable): "Expert 6 of layer 3 is dead." and what follows, of the first dead
 * expert; NULL when all live. */
FM_API char *fm_routing_alarm (const FmRouting *routing);

G_END_DECLS
