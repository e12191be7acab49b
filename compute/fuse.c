/* fuse.c: which elementwise nodes of a program become one.
 *
 * From the last node to the first: an elementwise node starts a group, and takes in the makers of its operands, theirs
 * and so on, as long as every other reader of what they make comes after the group (then the result is stored, too) or
 * there is none (then it never reaches memory). A product that an operand comes from goes in front, so that on the
 * CPU an activation or a residual works on its blocks while they are in cache. The group runs where its last node
 * stood, so nothing that anybody reads comes later than needed. Only the plan's list changes: autodiff, outputs and
 * probes see the graph as it was built. */
#include "config.h"

#include "compute/fuse.h"
#include "compute/ops/gemm.h"

/* A group this far behind a node that joins it would keep several operands alive instead of one result. */
#define REACH 8

typedef struct
{
  GPtrArray      *nodes;
  const gboolean *pinned;
  gint           *maker;      /* by tensor id of a base: index in @nodes, or -1 */
  guint          *first_read; /* by index in @nodes: where the indices of those that read the result begin in @reads */
  guint          *reads;      /* indices in @nodes of the readers, in order; one node stands twice if it reads twice */
  guint          *last;       /* by tensor id of a base: index of the last reader */
  gboolean       *gone;       /* by index in @nodes */
} Pass;

typedef struct
{
  guint    n, members[FM_CHAIN_MAX_LINKS]; /* indices in the pass's nodes; descending */
  gint     head; /* index of the product, or -1 */
  FmShape  shape;
  gboolean shaped; /* an operand is not simply as long as the result: only links of this very shape may join */
  guint    n_out;
} Group;

static FmNode *
node_at (const Pass *pass, guint index)
{
  return g_ptr_array_index (pass->nodes, index);
}

static gint
maker_of (const Pass *pass, const FmTensor *t)
{
  return pass->maker[t->base->id];
}

static gboolean
has_panel (const FmNode *node)
{
  if (node->op->family == FM_FAMILY_NONE || node->op->panel == NULL || node->n_in > FM_CHAIN_MAX_ARGS)
    return FALSE;
  for (guint i = 0; i < node->n_in; i++)
    if (node->in[i] == NULL)
      return FALSE;
  return TRUE;
}

static gboolean
is_constant (const Pass *pass, const FmTensor *t)
{
  gint at = maker_of (pass, t);

  return at >= 0 && node_at (pass, (guint) at)->op->family == FM_FAMILY_CONSTANT;
}

/* Whether links may run on blocks of the product [rows, columns] that makes @t. */
static gboolean
fits_product (const Group *group, FmTensor * const *in, guint n_in, const FmTensor *t, gint64 columns)
{
  FmLoop loop;

  if (t->offset != 0 || !fm_chain_is_flat (t, fm_shape_count (&group->shape)))
    return FALSE;
  fm_chain_loop (&loop, &group->shape, in, n_in);
  return loop.rank == 1 || (loop.rank == 2 && loop.dims[1] == columns);
}

static gboolean
is_member (const Group *group, guint index)
{
  for (guint i = 0; i < group->n; i++)
    if (group->members[i] == index)
      return TRUE;
  return FALSE;
}

/* Whether a variable that @node reads is written between it and the group, which would run it too late. */
static gboolean
overtakes_write (const Pass *pass, guint from, guint to)
{
  const FmNode *node = node_at (pass, from);

  for (guint i = 0; i < node->n_in; i++)
    {
      if (node->in[i] == NULL || node->in[i]->base->kind != FM_TENSOR_VARIABLE)
        continue;
      for (guint k = from + 1; k < to; k++)
        for (guint j = 0; j < node_at (pass, k)->n_in && node_at (pass, k)->op->flags & FM_OP_EFFECT; j++)
          if (node_at (pass, k)->in[j] && node_at (pass, k)->in[j]->base == node->in[i]->base)
            return TRUE;
    }
  return FALSE;
}

/* What the group reads from outside, each tensor once; FALSE when it is too much or walks over too many axes. */
static gboolean
inputs_of (const Pass *pass, const Group *group, FmTensor **in, guint *n_in)
{
  FmLoop loop;

  *n_in = 0;
  for (guint m = group->n; m-- > 0;)
    {
      const FmNode *node = node_at (pass, group->members[m]);

      for (guint i = 0; i < node->n_in; i++)
        {
          FmTensor *t = node->in[i];
          gint from = maker_of (pass, t);
          guint k = 0;

          if ((from >= 0 && is_member (group, (guint) from)) || is_constant (pass, t))
            continue;
          while (k < *n_in && in[k] != t)
            k++;
          if (k < *n_in)
            continue;
          if (*n_in == FM_CHAIN_MAX_IN)
            return FALSE;
          in[(*n_in)++] = t;
        }
    }
  if (*n_in == 0)
    return FALSE;
  fm_chain_loop (&loop, &group->shape, in, *n_in);
  return loop.rank <= FM_CHAIN_MAX_RANK;
}

/* Adds node @at to the group if nothing forbids it. */
static gboolean
join (const Pass *pass, Group *group, guint at)
{
  const FmNode *node = node_at (pass, at);
  guint root = group->members[0], dying = 0, n_in, place;
  FmTensor *in[FM_CHAIN_MAX_IN];
  gint64 count = fm_shape_count (&group->shape);
  gboolean outside = pass->pinned[node->out[0]->id], shaped = FALSE;
  Group wider = *group;

  if (pass->gone[at] || !has_panel (node) || fm_shape_count (&node->out[0]->shape) != count
      || group->n == FM_CHAIN_MAX_LINKS || overtakes_write (pass, at, root))
    return FALSE;
  for (guint r = pass->first_read[at]; r < pass->first_read[at + 1]; r++)
    {
      guint reader = pass->reads[r];

      if (!is_member (group, reader))
        {
          if (reader < root)
            return FALSE;
          outside = TRUE;
          continue;
        }
      for (guint i = 0; i < node_at (pass, reader)->n_in; i++)
        if (node_at (pass, reader)->in[i]->base == node->out[0]
            && (!fm_chain_is_flat (node_at (pass, reader)->in[i], count) || node_at (pass, reader)->in[i]->offset != 0))
          return FALSE;
    }
  for (guint i = 0; i < node->n_in; i++)
    {
      shaped |= !fm_chain_is_flat (node->in[i], count) && !is_constant (pass, node->in[i]);
      dying += node->in[i]->base->kind == FM_TENSOR_NODE && fm_chain_is_flat (node->in[i], count)
               && pass->last[node->in[i]->base->id] < root;
    }
  if (shaped && group->shaped && !fm_shape_equal (&group->shape, &node->out[0]->shape))
    return FALSE;
  if ((dying > 1 || (dying == 1 && outside)) && root - at > REACH)
    return FALSE;
  if (outside && group->n_out == FM_CHAIN_MAX_OUT)
    return FALSE;
  wider.n_out += outside;
  if (shaped && !group->shaped)
    {
      wider.shape = node->out[0]->shape;
      wider.shaped = TRUE;
    }
  for (place = wider.n++; place > 0 && wider.members[place - 1] < at; place--)
    wider.members[place] = wider.members[place - 1];
  wider.members[place] = at;
  if (!inputs_of (pass, &wider, in, &n_in))
    return FALSE;
  *group = wider;
  return TRUE;
}

/* Constants are links without operands, so they count, too. */
static guint
count_constants (const Pass *pass, const Group *group, FmNode **constants)
{
  guint n = 0;

  for (guint m = 0; m < group->n; m++)
    {
      const FmNode *node = node_at (pass, group->members[m]);

      for (guint i = 0; i < node->n_in; i++)
        {
          FmNode *constant = is_constant (pass, node->in[i]) ? node->in[i]->base->node : NULL;
          guint k = 0;

          while (k < n && constants[k] != constant)
            k++;
          if (constant && k == n)
            constants[n++] = constant;
        }
    }
  return n;
}

/* Buffers for results that no output holds, each used again after its last reader. A link may write over what it
 * reads, as an in-place op does. */
static void
deal_scratch (FmChain *chain)
{
  gint8 last[FM_CHAIN_MAX_LINKS];
  gboolean busy[FM_CHAIN_MAX_LINKS] = { FALSE };

  for (guint k = 0; k < chain->n_links; k++)
    {
      last[k] = (gint8) k;
      for (guint i = 0; i < chain->links[k].node->n_in; i++)
        if (chain->links[k].arg[i] >= 0)
          last[chain->links[k].arg[i]] = (gint8) k;
    }
  for (guint k = 0; k < chain->n_links; k++)
    {
      FmLink *link = &chain->links[k];
      gint8 s = 0;

      for (guint j = 0; j < k; j++)
        if (last[j] == (gint8) k && chain->links[j].scratch >= 0)
          busy[chain->links[j].scratch] = FALSE;
      link->scratch = -1;
      if (link->out >= 0 || link->node->op->family == FM_FAMILY_CONSTANT)
        continue;
      while (busy[s])
        s++;
      busy[s] = TRUE;
      link->scratch = s;
    }
}

static void
put_in_front (const Pass *pass, const Group *group, FmChain *chain)
{
  FmNode *head = node_at (pass, (guint) group->head), *node = &chain->node;
  FmTensor **in = g_new (FmTensor *, node->n_in + head->n_in);
  gboolean outside = pass->pinned[head->out[0]->id];

  for (guint r = pass->first_read[group->head]; r < pass->first_read[group->head + 1]; r++)
    outside |= !is_member (group, pass->reads[r]);
  chain->head = head;
  for (guint k = 0; k < node->n_in; k++)
    {
      in[k] = node->in[k];
      if (in[k]->base == head->out[0])
        chain->head_in = k;
    }
  for (guint k = 0; k < head->n_in; k++)
    in[node->n_in + k] = head->in[k];
  g_free (node->in);
  node->in = in;
  node->n_in += head->n_in;
  chain->head_out = outside ? (gint) node->n_out : -1;
  if (outside)
    node->out[node->n_out++] = head->out[0];
  node->op = &fm_fused_product_op;
  node->scope = head->scope;
}

static FmChain *
chain_new (const Pass *pass, const Group *group)
{
  FmNode *root = node_at (pass, group->members[0]), *constants[FM_CHAIN_MAX_LINKS * FM_CHAIN_MAX_ARGS];
  guint n_constants = count_constants (pass, group, constants);
  FmTensor *in[FM_CHAIN_MAX_IN];
  FmChain *chain = g_new0 (FmChain, 1);
  FmNode *node = &chain->node;

  node->graph = root->graph;
  node->op = &fm_fused_op;
  node->id = root->id;
  node->scope = root->scope;
  node->phase = root->phase;
  node->phase = root->phase;
  chain->shape = group->shape;
  if (!inputs_of (pass, group, in, &node->n_in))
    g_assert_not_reached ();
  node->in = g_memdup2 (in, node->n_in * sizeof *in);
  node->out[node->n_out++] = root->out[0];
  for (guint k = 0; k < n_constants; k++)
    chain->links[chain->n_links++] = (FmLink){ .node = constants[k], .out = -1 };
  for (guint m = group->n; m-- > 0;)
    {
      guint at = group->members[m];
      FmLink *link = &chain->links[chain->n_links];
      gboolean outside = pass->pinned[node_at (pass, at)->out[0]->id];

      link->node = node_at (pass, at);
      for (guint i = 0; i < link->node->n_in; i++)
        {
          guint k = 0;

          while (k < chain->n_links && chain->links[k].node->out[0] != link->node->in[i]->base)
            k++;
          link->arg[i] = (gint8) k;
          for (k = 0; link->arg[i] == (gint8) chain->n_links && k < node->n_in; k++)
            if (node->in[k] == link->node->in[i])
              link->arg[i] = (gint8) (-1 - (gint) k);
        }
      for (guint r = pass->first_read[at]; r < pass->first_read[at + 1]; r++)
        outside |= !is_member (group, pass->reads[r]);
      link->out = m == 0 ? 0 : outside ? (gint8) node->n_out : -1;
      if (m > 0 && outside)
        node->out[node->n_out++] = link->node->out[0];
      chain->n_links++;
    }
  deal_scratch (chain);
  if (group->head >= 0)
    put_in_front (pass, group, chain);
  return chain;
}

/* The last product among the makers of what the group reads, if it may run where the group runs. */
static void
find_head (const Pass *pass, Group *group)
{
  FmTensor *in[FM_CHAIN_MAX_IN];
  guint n_in, root = group->members[0];

  if (!inputs_of (pass, group, in, &n_in))
    return;
  for (guint k = 0; k < n_in; k++)
    {
      gint at = maker_of (pass, in[k]);
      FmNode *node = at >= 0 ? node_at (pass, (guint) at) : NULL;
      gboolean once = TRUE, early = FALSE;
      FmGemm product;

      if (node == NULL || at <= group->head || pass->gone[at] || root - (guint) at > REACH
          || !fm_gemm_of_node (node, &product) || !fits_product (group, in, n_in, in[k], product.m)
          || overtakes_write (pass, (guint) at, root))
        continue;
      for (guint r = pass->first_read[at]; r < pass->first_read[at + 1]; r++)
        early |= pass->reads[r] < root && !is_member (group, pass->reads[r]);
      for (guint i = 0; i < n_in; i++)
        once &= i == k || in[i]->base != in[k]->base;
      if (!early && once)
        group->head = at;
    }
}

static FmChain *
grow (const Pass *pass, guint root)
{
  FmNode *node = node_at (pass, root), *constants[FM_CHAIN_MAX_LINKS * FM_CHAIN_MAX_ARGS];
  Group group = { .n = 1, .members = { root }, .head = -1, .shape = node->out[0]->shape, .n_out = 1 };
  FmTensor *in[FM_CHAIN_MAX_IN];
  gboolean grown = TRUE;
  guint n_in;

  for (guint i = 0; i < node->n_in; i++)
    group.shaped |= !fm_chain_is_flat (node->in[i], fm_shape_count (&group.shape)) && !is_constant (pass, node->in[i]);
  if (!inputs_of (pass, &group, in, &n_in))
    return NULL;
  while (grown)
    {
      grown = FALSE;
      for (guint m = 0; m < group.n && !grown; m++)
        for (guint i = 0; i < node_at (pass, group.members[m])->n_in && !grown; i++)
          {
            gint from = maker_of (pass, node_at (pass, group.members[m])->in[i]);
            Group before = group;

            grown = from >= 0 && !is_member (&group, (guint) from) && join (pass, &group, (guint) from);
            if (grown && group.n + count_constants (pass, &group, constants) > FM_CHAIN_MAX_LINKS)
              {
                group = before;
                grown = FALSE;
              }
          }
    }
  find_head (pass, &group);
  return group.n > 1 || group.head >= 0 ? chain_new (pass, &group) : NULL;
}

static void
chain_free (gpointer data)
{
  FmChain *chain = data;

  g_free (chain->node.in);
  g_free (chain);
}

static void
pass_init (Pass *pass, GPtrArray *nodes, const gboolean *pinned, guint n_tensors)
{
  g_autofree guint *fill = g_new0 (guint, nodes->len + 1);

  *pass = (Pass){ .nodes = nodes, .pinned = pinned, .maker = g_new (gint, MAX (n_tensors, 1)),
                  .first_read = g_new0 (guint, nodes->len + 2), .last = g_new0 (guint, MAX (n_tensors, 1)),
                  .gone = g_new0 (gboolean, MAX (nodes->len, 1)) };
  for (guint i = 0; i < n_tensors; i++)
    pass->maker[i] = -1;
  for (guint k = 0; k < nodes->len; k++)
    {
      FmNode *node = node_at (pass, k);

      for (guint i = 0; i < node->n_out; i++)
        pass->maker[node->out[i]->id] = (gint) k;
      for (guint i = 0; i < node->n_in; i++)
        if (node->in[i])
          {
            gint from = maker_of (pass, node->in[i]);

            pass->last[node->in[i]->base->id] = k;
            if (from >= 0)
              pass->first_read[from + 1]++;
          }
    }
  for (guint k = 0; k < nodes->len; k++)
    pass->first_read[k + 1] += pass->first_read[k];
  pass->reads = g_new (guint, MAX (pass->first_read[nodes->len], 1));
  for (guint k = 0; k < nodes->len; k++)
    for (guint i = 0; i < node_at (pass, k)->n_in; i++)
      {
        gint from = node_at (pass, k)->in[i] ? maker_of (pass, node_at (pass, k)->in[i]) : -1;

        if (from >= 0)
          pass->reads[pass->first_read[from] + fill[from]++] = k;
      }
}

/* Nodes that went into chains leave the list, and constants that nothing reads from memory any more. */
static void
sweep (Pass *pass, guint n_tensors)
{
  g_autofree gboolean *read = g_new0 (gboolean, MAX (n_tensors, 1));
  guint to = 0;

  for (guint k = 0; k < pass->nodes->len; k++)
    for (guint i = 0; i < node_at (pass, k)->n_in && !pass->gone[k]; i++)
      if (node_at (pass, k)->in[i])
        read[node_at (pass, k)->in[i]->base->id] = TRUE;
  for (guint k = 0; k < pass->nodes->len; k++)
    {
      FmNode *node = node_at (pass, k);

      if (pass->gone[k] || (node->op->family == FM_FAMILY_CONSTANT && !read[node->out[0]->id]
                            && !pass->pinned[node->out[0]->id]))
        continue;
      g_ptr_array_index (pass->nodes, to++) = node;
    }
  g_ptr_array_set_size (pass->nodes, (gint) to);
}

GPtrArray *
fm_fuse (FmGraph *g, GPtrArray *nodes, const gboolean *pinned)
{
  GPtrArray *chains = g_ptr_array_new_with_free_func (chain_free);
  Pass pass;

  if (g_strcmp0 (g_getenv ("FORMARIUM_FUSION"), "0") == 0) /* for tests that compare */
    return chains;
  pass_init (&pass, nodes, pinned, g->tensors->len);
  for (guint k = nodes->len; k-- > 0;)
    {
      FmNode *node = node_at (&pass, k);
      FmChain *chain = !pass.gone[k] && has_panel (node) ? grow (&pass, k) : NULL;

      if (chain == NULL)
        continue;
      for (guint i = 0; i < chain->n_links; i++)
        {
          gint at = pass.maker[chain->links[i].node->out[0]->id];

          if (chain->links[i].node->op->family != FM_FAMILY_CONSTANT)
            pass.gone[at] = TRUE;
        }
      if (chain->head)
        pass.gone[pass.maker[chain->head->out[0]->id]] = TRUE;
      /* The chain stands where its last node stood. Whoever looks there later asks for a panel and finds none. */
      pass.gone[k] = FALSE;
      g_ptr_array_index (nodes, k) = &chain->node;
      g_ptr_array_add (chains, chain);
    }
  sweep (&pass, g->tensors->len);
  g_free (pass.maker);
  g_free (pass.first_read);
  g_free (pass.reads);
  g_free (pass.last);
  g_free (pass.gone);
  return chains;
}
