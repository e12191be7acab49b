/* verdicts.c: what was expected and what was found: a card an expectation, the interval against its region's edge. */
#include <math.h>

#include "app/figures/figures-private.h"
#include "app/results/format.h"

#define CARD_HEIGHT 116.0
#define CARD_GAP 10.0
#define REGION_ALPHA 0.14

gdouble
fm_verdict_chart_height (const FmVerdictChart *chart, gdouble scale)
{
  return scale * (MAX (chart->n_cards, 1) * (CARD_HEIGHT + CARD_GAP) - CARD_GAP);
}

/* --- The scale of a card ------------------------------------------------------------------------------------------*/

typedef struct
{
  FmBox    box; /* of the plot proper */
  gdouble  low, high; /* ends of the scale, on the logarithm for ratios */
  gboolean ratio;
} Frame;

static gdouble
on_scale (const Frame *frame, gdouble value)
{
  return frame->ratio ? log (value) : value;
}

static gdouble
x_of (const Frame *frame, gdouble value)
{
  gdouble x = frame->box.x + (on_scale (frame, value) - frame->low) / (frame->high - frame->low) * frame->box.width;

  return CLAMP (x, frame->box.x, frame->box.x + frame->box.width);
}

static gboolean
fits (const FmVerdictCard *card, gdouble value)
{
  return isfinite (value) && (!card->ratio || value > 0);
}

static void
frame_init (Frame *frame, const FmVerdictCard *card, gdouble top, gdouble width, gdouble height, gdouble scale)
{
  const gdouble values[] = { card->bound, card->value, card->low, card->high, card->ratio ? 1 : 0 };
  gdouble least;

  *frame = (Frame) { { 10 * scale, top + 42 * scale, width - 20 * scale, height - 66 * scale }, INFINITY, -INFINITY,
                     card->ratio };
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    if (fits (card, values[i]))
      {
        frame->low = MIN (frame->low, on_scale (frame, values[i]));
        frame->high = MAX (frame->high, on_scale (frame, values[i]));
      }
  /* A region needs room to be seen as one, also where all numbers lie together. */
  least = card->ratio ? log (1.5) : MAX (fabs (card->bound), 1e-3);
  if (!(frame->low <= frame->high))
    frame->low = frame->high = 0;
  if (frame->high - frame->low < least)
    {
      gdouble middle = (frame->low + frame->high) / 2;

      frame->low = middle - least / 2;
      frame->high = middle + least / 2;
    }
  least = 0.3 * (frame->high - frame->low);
  frame->low -= least;
  frame->high += least;
}

static void
draw_tick (cairo_t *cr, const FmFigureStyle *style, const Frame *frame, gdouble value, const char *text, gdouble *end)
{
  gdouble x = x_of (frame, value), bottom = frame->box.y + frame->box.height, w;
  gdouble right = frame->box.x * 2 + frame->box.width; /* of the picture: its margins are alike */

  fm_text_measure (cr, style, text, FM_TEXT_TICK, FALSE, &w, NULL);
  if (x - w / 2 < *end + 8 * style->scale || x - w / 2 < 0 || x + w / 2 > right)
    return;
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_DIM));
  cairo_set_line_width (cr, 1);
  cairo_move_to (cr, floor (x) + 0.5, bottom);
  cairo_line_to (cr, floor (x) + 0.5, bottom + 4 * style->scale);
  cairo_stroke (cr);
  fm_text (cr, style, text, FM_TEXT_TICK, FALSE, fm_style_colour (style, FM_COLOUR_DIM), FM_ALIGN_CENTRE, x,
           bottom + 14 * style->scale);
  *end = x + w / 2;
}

static void
draw_scale (cairo_t *cr, const FmFigureStyle *style, const Frame *frame, const char *unit)
{
  gdouble end = -INFINITY, bottom = floor (frame->box.y + frame->box.height) + 0.5;

  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_GRID));
  cairo_set_line_width (cr, 1);
  cairo_move_to (cr, frame->box.x, bottom);
  cairo_line_to (cr, frame->box.x + frame->box.width, bottom);
  cairo_stroke (cr);
  if (frame->ratio && frame->high - frame->low > log (3))
    {
      /* Doublings, every second or fourth one where there are many. */
      gint step = (gint) MAX (1, ceil ((frame->high - frame->low) / G_LN2 / 8));

      for (gint k = (gint) ceil (frame->low / G_LN2 / step) * step; k * G_LN2 <= frame->high; k += step)
        {
          gdouble value = ldexp (1, k);
          g_autofree char *number = fm_format_number (value, k >= 0 ? 0 : MIN ((guint) -k, 3));
          g_autofree char *text = g_strconcat (number, unit, NULL);

          draw_tick (cr, style, frame, value, text, &end);
        }
    }
  else
    {
      FmAxis axis;

      fm_axis_init (&axis, frame->ratio ? exp (frame->low) : frame->low, frame->ratio ? exp (frame->high) : frame->high,
                    5);
      for (guint i = 0; i < axis.n_ticks; i++)
        {
          g_autofree char *number = fm_format_number (fm_axis_tick (&axis, i), axis.decimals);
          gboolean plus = !frame->ratio && fm_axis_tick (&axis, i) > axis.step / 2;
          g_autofree char *text = g_strconcat (plus ? "+" : "", number, frame->ratio ? unit : "", NULL);

          draw_tick (cr, style, frame, fm_axis_tick (&axis, i), text, &end);
        }
    }
}

/* --- A card -------------------------------------------------------------------------------------------------------*/

/* A line that ends in … where it does not fit. */
static void
draw_line (cairo_t *cr, const FmFigureStyle *style, const char *text, gdouble size, gboolean bold, FmColour colour,
           gdouble x, gdouble y, gdouble room)
{
  g_autofree char *shown = g_strdup (text);
  glong length = g_utf8_strlen (text, -1);
  gdouble w;

  for (fm_text_measure (cr, style, shown, size, bold, &w, NULL); w > room && length > 1;
       fm_text_measure (cr, style, shown, size, bold, &w, NULL))
    {
      g_autofree char *cut = g_utf8_substring (text, 0, length = MIN (length - 1, (glong) (length * room / w)));

      g_free (shown);
      shown = g_strconcat (cut, "…", NULL);
    }
  fm_text (cr, style, shown, size, bold, colour, FM_ALIGN_LEFT, x, y);
}

static void
draw_region (cairo_t *cr, const FmFigureStyle *style, const FmVerdictCard *card, const Frame *frame)
{
  FmColour colour = fm_style_variant (style, 1);
  gdouble edge = x_of (frame, card->bound), right = frame->box.x + frame->box.width, pad = 6 * style->scale;
  gdouble from = card->at_least ? edge : frame->box.x, to = card->at_least ? right : edge, w;

  cairo_rectangle (cr, from, frame->box.y, to - from, frame->box.height);
  if (style->high_contrast)
    fm_fill_hatched (cr, colour, 0.9, 6 * style->scale);
  else
    {
      fm_set_colour_alpha (cr, colour, REGION_ALPHA);
      cairo_fill (cr);
    }
  fm_set_colour (cr, colour);
  cairo_set_line_width (cr, 2);
  cairo_move_to (cr, edge, frame->box.y - 4 * style->scale);
  cairo_line_to (cr, edge, frame->box.y + frame->box.height);
  cairo_stroke (cr);
  fm_text_measure (cr, style, "expected", FM_TEXT_TICK, TRUE, &w, NULL);
  if (to - from > w + 2 * pad)
    fm_text (cr, style, "expected", FM_TEXT_TICK, TRUE, colour, card->at_least ? FM_ALIGN_LEFT : FM_ALIGN_RIGHT,
             card->at_least ? edge + pad : edge - pad, frame->box.y + 9 * style->scale);
}

static void
draw_interval (cairo_t *cr, const FmFigureStyle *style, const FmVerdictCard *card, const Frame *frame)
{
  FmColour ink = fm_style_variant (style, 0);
  gdouble y = frame->box.y + frame->box.height * 0.68, cap = 6 * style->scale, pad = 8 * style->scale, w;
  gdouble x = x_of (frame, card->value), left = x - 6 * style->scale, right = x + 6 * style->scale;

  if (fits (card, card->low) && fits (card, card->high) && card->high > card->low)
    {
      left = x_of (frame, card->low);
      right = x_of (frame, card->high);
      fm_set_colour (cr, ink);
      cairo_set_line_width (cr, 3);
      cairo_move_to (cr, left, y);
      cairo_line_to (cr, right, y);
      cairo_stroke (cr);
      cairo_set_line_width (cr, 2);
      cairo_move_to (cr, left, y - cap);
      cairo_line_to (cr, left, y + cap);
      cairo_move_to (cr, right, y - cap);
      cairo_line_to (cr, right, y + cap);
      cairo_stroke (cr);
    }
  fm_set_colour (cr, fm_style_colour (style, FM_COLOUR_PAGE));
  cairo_arc (cr, x, y, 7 * style->scale, 0, 2 * G_PI);
  cairo_fill (cr);
  fm_draw_marker (cr, style, 0, x, y, 5.5 * style->scale);
  fm_text_measure (cr, style, "we got", FM_TEXT_TICK, FALSE, &w, NULL);
  if (left - pad - w >= frame->box.x)
    fm_text (cr, style, "we got", FM_TEXT_TICK, FALSE, ink, FM_ALIGN_RIGHT, left - pad, y);
  else if (right + pad + w <= frame->box.x + frame->box.width)
    fm_text (cr, style, "we got", FM_TEXT_TICK, FALSE, ink, FM_ALIGN_LEFT, right + pad, y);
}

static void
draw_card (cairo_t *cr, const FmFigureStyle *style, const FmVerdictCard *card, gdouble top, gdouble width,
           gdouble height)
{
  g_autofree char *word = g_strconcat (card->sign, " ", card->word, NULL);
  FmColour ink = fm_style_colour (style, FM_COLOUR_INK), dim = fm_style_colour (style, FM_COLOUR_DIM);
  gdouble margin = 10 * style->scale, right = width - margin, w, kind_width;
  Frame frame;

  frame_init (&frame, card, top, width, height, style->scale);
  if (frame.box.width < 40 || frame.box.height < 10)
    return;
  fm_text_measure (cr, style, word, FM_TEXT_LABEL, TRUE, &w, NULL);
  fm_text (cr, style, word, FM_TEXT_LABEL, TRUE, ink, FM_ALIGN_RIGHT, right, top + 9 * style->scale);
  draw_line (cr, style, card->title, FM_TEXT_LABEL, TRUE, ink, margin, top + 9 * style->scale, right - w - 2 * margin);
  fm_text_measure (cr, style, card->text, FM_TEXT_TICK, FALSE, &w, NULL);
  if (w <= width - 2 * margin)
    {
      fm_text (cr, style, card->text, FM_TEXT_TICK, FALSE, dim, FM_ALIGN_RIGHT, right, top + 25 * style->scale);
      fm_text_measure (cr, style, card->kind, FM_TEXT_TICK, FALSE, &kind_width, NULL);
      if (kind_width <= right - w - 2 * margin)
        fm_text (cr, style, card->kind, FM_TEXT_TICK, FALSE, dim, FM_ALIGN_LEFT, margin, top + 25 * style->scale);
    }
  else
    draw_line (cr, style, card->text, FM_TEXT_TICK, FALSE, dim, margin, top + 25 * style->scale, width - 2 * margin);
  if (!fits (card, card->bound))
    return;
  draw_region (cr, style, card, &frame);
  draw_scale (cr, style, &frame, card->unit);
  if (fits (card, card->value))
    draw_interval (cr, style, card, &frame);
}

static void
draw_verdicts (gconstpointer model, cairo_t *cr, gdouble width, gdouble height, const FmFigureStyle *style)
{
  const FmVerdictChart *chart = model;
  gdouble gap = CARD_GAP * style->scale, each = (height + gap) / MAX (chart->n_cards, 1) - gap;

  if (chart->n_cards == 0)
    fm_draw_sentence (cr, style, width, height, "This batch expects nothing.");
  for (gsize i = 0; i < chart->n_cards; i++)
    draw_card (cr, style, &chart->cards[i], i * (each + gap), width, each);
}

static gint64
hit_verdicts (gconstpointer model, gdouble width, gdouble height, const FmFigureStyle *style, gdouble x, gdouble y)
{
  const FmVerdictChart *chart = model;
  gdouble each = (height + CARD_GAP * style->scale) / MAX (chart->n_cards, 1);
  gint64 index = (gint64) floor (y / each);

  return x >= 0 && x < width && index >= 0 && index < (gint64) chart->n_cards ? index : -1;
}

static char *
describe_verdicts (gconstpointer model, gint64 index)
{
  const FmVerdictChart *chart = model;
  const FmVerdictCard *card;

  if (index < 0 || index >= (gint64) chart->n_cards)
    return g_strdup ("");
  card = &chart->cards[index];
  return g_strdup_printf ("%s: %s, %s", card->title, card->word, card->text);
}

static FmFigureTable *
table_verdicts (gconstpointer model)
{
  const FmVerdictChart *chart = model;
  FmFigureTable *table = fm_figure_table_new (NULL, "Expected", "Bound", "Found", "Low", "High", "Unit", "Verdict",
                                              NULL);

  for (gsize i = 0; i < chart->n_cards; i++)
    {
      const FmVerdictCard *card = &chart->cards[i];
      GStrv cells = g_new0 (char *, 8);

      cells[0] = g_strdup (card->title);
      cells[1] = fm_format_number (card->bound, 3);
      cells[2] = fm_format_number (card->value, 3);
      cells[3] = fm_format_number (card->low, 3);
      cells[4] = fm_format_number (card->high, 3);
      cells[5] = g_strstrip (g_strdup (card->unit));
      cells[6] = g_strdup (card->word);
      fm_figure_table_add (table, cells);
    }
  return table;
}

const FmFigure fm_figure_verdicts = { "verdicts", draw_verdicts, table_verdicts, hit_verdicts, describe_verdicts };

/* --- From a claim -------------------------------------------------------------------------------------------------*/

FmVerdictChart *
fm_verdict_chart_new (const FmClaimResult *result)
{
  FmVerdictChart *chart = g_new0 (FmVerdictChart, 1);
  FmVerdictCard *cards = g_new0 (FmVerdictCard, result->findings->len + 1);

  chart->n_cards = result->findings->len;
  chart->cards = cards;
  for (gsize i = 0; i < chart->n_cards; i++)
    {
      const FmClaimFinding *f = g_ptr_array_index (result->findings, i);
      gboolean score = fm_expect_quantity_is_score (f->expectation->quantity);

      cards[i] = (FmVerdictCard) {
        .title = f->expectation->text,
        .sign = fm_claim_verdict_sign (f->verdict),
        .word = fm_claim_verdict_word (f->verdict),
        .text = fm_claim_finding_text (f),
        .kind = score ? f->expectation->right != NULL ? "difference over seeds" : "share"
                : fm_expect_quantity_is_exact (f->expectation->quantity) ? "ratio, counted" : "ratio",
        .unit = fm_claim_finding_unit (f),
        .value = fm_claim_finding_show (f, f->estimate),
        .low = fm_claim_finding_show (f, f->low),
        .high = fm_claim_finding_show (f, f->high),
        .bound = fm_claim_finding_show (f, fm_claim_finding_bound (f)),
        .at_least = f->expectation->at_least,
        .ratio = !score,
      };
    }
  return chart;
}

void
fm_verdict_chart_free (FmVerdictChart *chart)
{
  if (chart == NULL)
    return;
  for (gsize i = 0; i < chart->n_cards; i++)
    g_free ((char *) chart->cards[i].text);
  g_free ((FmVerdictCard *) chart->cards);
  g_free (chart);
}
