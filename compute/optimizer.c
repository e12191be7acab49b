/* optimizer.c: the training step as graph: gradients, global norm, clipping, AdamW or SGD, averages; rates over time. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/ops/few-rows.h"

#include <math.h>

static GPtrArray *
find_trained (FmGraph *g)
{
  GPtrArray *params = g_ptr_array_new ();

  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);

      if (t->trainable && !t->frozen)
        g_ptr_array_add (params, t);
    }
  return params;
}

/* Gradients of @loss, plus those that wait for a step. @gradients: as many as @params. */
static void
collect (FmGraph *g, FmTensor *loss, GPtrArray *params, FmTensor **gradients)
{
  fm_grad (g, loss, (FmTensor * const *) params->pdata, params->len, gradients);
  for (guint i = 0; g->pending && i < params->len && !fm_graph_failed (g); i++)
    {
      FmTensor *before = g_hash_table_lookup (g->pending, g_ptr_array_index (params, i));

      if (before)
        gradients[i] = fm_add (g, before, gradients[i]);
    }
}

void
fm_train_accumulate (FmGraph *g, FmTensor *loss)
{
  g_autoptr (GPtrArray) params = NULL;
  g_autofree FmTensor **gradients = NULL;

  if (fm_graph_failed (g))
    return;
  params = find_trained (g);
  gradients = g_new0 (FmTensor *, MAX (params->len, 1));
  g->gradient_depth++;
  g->phase = FM_PHASE_BACKWARD;
  collect (g, loss, params, gradients);
  g->phase = FM_PHASE_FORWARD;
  if (g->pending == NULL)
    g->pending = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < params->len; i++)
    g_hash_table_insert (g->pending, g_ptr_array_index (params, i), gradients[i]);
  if (!fm_graph_failed (g))
    {
      loss = fm_reshape (g, loss, FM_SHAPE (1));
      g->pending_loss = g->pending_loss ? fm_add (g, g->pending_loss, loss) : loss;
    }
  g->gradient_depth--;
}

/* --- Few rows of large tables -------------------------------------------------------------------------------------*/

typedef struct
{
  GPtrArray *readers; /* FmNode: all that read the parameter, gathers of rows or one product by groups; NULL: a gradient of
                         its shape */
  FmTensor  *rows;    /* their numbers */
  gboolean   groups;  /* the gradient has a place for every row, and nothing in the places of those without number */
} Sparse;

static void
sparse_clear (Sparse *s)
{
  g_clear_pointer (&s->readers, g_ptr_array_unref);
}

#define MAX_READERS 64 /* that fm_concat() takes */

/* A parameter marked FM_MARK_ROW_SPARSE is differentiated by what was gathered from it instead: its gradient is then as
 * long as the index. Experts in a product by groups get a gradient where they have rows. Whatever else reads it (a tied head, a view) needs all rows, and so do an average of it and
 * gradients that wait for a later step. */
static void
sparse_find (FmGraph *g, FmTensor *p, const FmOptimizer *o, Sparse *s)
{
  g_autoptr (GPtrArray) readers = g_ptr_array_new ();

  if (!p->row_sparse || g->pending || o->average > 0.0)
    return;
  for (guint k = 0; k < g->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k);
      guint uses = 0;

      for (guint i = 0; i < node->n_in; i++)
        uses += node->in[i] && node->in[i]->base == p;
      if (uses == 0)
        continue;
      if (s->groups || uses > 1 || readers->len == MAX_READERS)
        return;
      if (readers->len == 0 && fm_node_multiplies_groups (node, p))
        s->groups = TRUE;
      else if (node->in[0] != p || !fm_node_gathers_rows (node))
        return;
      g_ptr_array_add (readers, node);
    }
  if (readers->len > 0)
    s->readers = g_steal_pointer (&readers);
}

/* What the readers' gradients are together: [n,W], each row of the table once. */
static FmTensor *
sparse_merge (FmGraph *g, FmTensor *p, Sparse *s, FmTensor **gradients)
{
  g_autofree FmTensor **index = g_new (FmTensor *, s->readers->len), **x = g_new (FmTensor *, s->readers->len);
  gint64 rows = p->shape.dims[0], width = fm_shape_count (&p->shape) / rows;

  for (guint i = 0; i < s->readers->len; i++)
    {
      FmNode *node = g_ptr_array_index (s->readers, i);

      index[i] = fm_reshape (g, node->in[1], FM_SHAPE (-1));
      x[i] = fm_reshape (g, gradients[i], FM_SHAPE (-1, width));
    }
  return fm_merge_rows (g, fm_concat (g, x, s->readers->len, 0), fm_concat (g, index, s->readers->len, 0), rows, &s->rows);
}

/* As collect (), for a step that is not accumulated: @sparse by parameter. */
static void
collect_sparse (FmGraph *g, FmTensor *loss, GPtrArray *params, Sparse *sparse, FmTensor **gradients)
{
  g_autoptr (GPtrArray) wrt = g_ptr_array_new ();
  g_autofree FmTensor **all = NULL;
  guint next = 0;

  for (guint i = 0; i < params->len; i++)
    for (guint k = 0; k < (sparse[i].readers ? sparse[i].readers->len : 1); k++)
      g_ptr_array_add (wrt, sparse[i].readers ? ((FmNode *) sparse[i].readers->pdata[k])->out[0] : params->pdata[i]);
  all = g_new0 (FmTensor *, wrt->len);
  fm_grad (g, loss, (FmTensor * const *) wrt->pdata, wrt->len, all);
  for (guint i = 0; i < params->len && !fm_graph_failed (g); i++)
    if (sparse[i].readers)
      {
        gradients[i] = sparse[i].groups
                         ? fm_grouped_gradient_rows (g, sparse[i].readers->pdata[0], all[next], &sparse[i].rows)
                         : sparse_merge (g, params->pdata[i], &sparse[i], all + next);
        next += sparse[i].readers->len;
      }
    else
      gradients[i] = all[next++];
}

static FmTensor *
sum_squares (FmGraph *g, FmTensor **gradients, const Sparse *sparse, guint n)
{
  g_autofree FmTensor **rows = g_new0 (FmTensor *, n);
  gboolean any = FALSE;

  for (guint i = 0; i < n; i++)
    if (sparse[i].readers && sparse[i].groups)
      {
        rows[i] = sparse[i].rows;
        any = TRUE;
      }
  return any ? fm_sum_squares_rows (g, gradients, rows, n) : fm_sum_squares (g, gradients, n);
}

static FmTensor *
moment_of (FmGraph *g, FmTensor *p, const char *suffix)
{
  g_autofree char *path = g_strconcat (p->name, suffix, NULL);
  FmTensor *t = fm_variable (g, path, FM_F32, p->shape, fm_init_zeros ());

  if (!fm_graph_failed (g))
    t->moment = TRUE;
  return t;
}

static void
update (FmGraph *g, FmTensor *p, FmTensor *gradient, FmTensor *rows, FmTensor *norm, FmTensor *rate, FmTensor *step,
        const FmOptimizer *o)
{
  if (o->kind == FM_OPTIMIZER_SGD)
    fm_sgd (g, p, o->momentum != 0.0 ? moment_of (g, p, "@m") : NULL, gradient, rows, norm, rate, o, p->rate, p->decay);
  else
    fm_adamw (g, p, moment_of (g, p, "@m"), moment_of (g, p, "@v"), gradient, rows, norm, rate, step, o, p->rate,
              p->decay);
  if (o->average > 0.0)
    {
      FmTensor *average = moment_of (g, p, "@ema");

      average->follows = p;
      fm_average (g, average, p, norm, step, o->average);
    }
}

void
fm_train_step (FmGraph *g, FmTensor *loss, const FmOptimizer *options)
{
  g_autoptr (GPtrArray) params = NULL;
  g_autofree FmTensor **gradients = NULL;
  g_autofree Sparse *sparse = NULL;
  gboolean any = FALSE;
  FmTensor *rate, *step, *norms, *norm;

  if (fm_graph_failed (g))
    return;
  params = find_trained (g);
  if (params->len == 0)
    {
      fm_graph_fail (g, "training", "has no parameter to train");
      return;
    }

  rate = fm_graph_input (g, "@rate", FM_F32, FM_SHAPE (1));
  step = fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1));
  gradients = g_new0 (FmTensor *, params->len);
  sparse = g_new0 (Sparse, params->len);
  for (guint i = 0; i < params->len; i++)
    {
      sparse_find (g, params->pdata[i], options, &sparse[i]);
      any |= sparse[i].readers != NULL;
    }
  g->gradient_depth++;
  g->phase = FM_PHASE_BACKWARD;
  if (any)
    collect_sparse (g, loss, params, sparse, gradients);
  else
    collect (g, loss, params, gradients);
  g->phase = FM_PHASE_OPTIMIZER;
  norms = sum_squares (g, gradients, sparse, params->len);
  norm = fm_sqrt (g, fm_sum_all (g, norms));
  loss = fm_reshape (g, loss, FM_SHAPE (1));
  if (g->pending_loss)
    loss = fm_add (g, g->pending_loss, loss);
  fm_graph_output (g, "@loss", loss);
  fm_graph_output (g, "@norm", norm);
  fm_graph_output (g, "@norms", norms);
  for (guint i = 0; i < params->len && !fm_graph_failed (g); i++)
    update (g, g_ptr_array_index (params, i), gradients[i], sparse[i].rows, norm, rate, step, options);
  for (guint i = 0; i < params->len; i++)
    sparse_clear (&sparse[i]);
  g->gradient_depth--;
  g->phase = FM_PHASE_FORWARD;
  g_clear_pointer (&g->pending, g_hash_table_unref);
  g->pending_loss = NULL;
}

gdouble
fm_schedule_rate (const FmSchedule *s, gint64 step)
{
  gint64 warmup = MIN (s->warmup, s->steps);
  gdouble done;

  if (step <= warmup)
    return s->rate * step / warmup;
  done = (gdouble) (step - warmup) / MAX (s->steps - warmup, 1);
  switch (s->kind)
    {
    case FM_SCHEDULE_CONSTANT:
      return s->rate;
    case FM_SCHEDULE_LINEAR:
      return s->rate * MAX (1.0 - done, 0.0);
    case FM_SCHEDULE_COSINE:
    default:
      return s->rate * 0.5 * (1.0 + cos (G_PI * MIN (done, 1.0)));
    }
}
