/* fused.c: a chain of elementwise nodes as one op; compute/fuse.c makes them. No builder, no gradient: chains exist in
 * plans only.
 *
 * CPU: a panel is cut into blocks of a few KiB; each link runs its op's own panel function on the block, from inputs
 * and buffers into a buffer or an output. So every element goes through the same instructions as without fusion, and
 * what lies between links stays in the first cache. Behind a product the panels are the blocks of its result, just
 * finished. Vulkan: fused.comp, whose words of instruction are specialisation constants: the driver unfolds them when
 * the pipeline is made. Behind a product it is a second dispatch. */
#include "config.h"

#include "compute/fuse.h"
#include "gemm.h"

#include <string.h>

#define BLOCK 2048 /* elements; two operands and a result are 24 KiB */

gboolean
fm_chain_is_flat (const FmTensor *t, gint64 count)
{
  return fm_shape_count (&t->shape) == count && fm_tensor_is_contiguous (t);
}

void
fm_chain_loop (FmLoop *loop, const FmShape *shape, FmTensor * const *in, guint n_in)
{
  FmTensor flat[FM_CHAIN_MAX_IN], *walk[FM_CHAIN_MAX_IN];

  for (guint k = 0; k < n_in; k++)
    {
      walk[k] = in[k];
      if (!fm_chain_is_flat (in[k], fm_shape_count (shape)))
        continue;
      flat[k].shape = *shape;
      fm_tensor_set_contiguous (&flat[k]);
      walk[k] = &flat[k];
    }
  fm_loop_init (loop, shape, walk, n_in);
}

/* A constant's own kernel says what word it is. */
static guint32
constant_word (const FmNode *node)
{
  guint32 word = 0;
  void *out = &word;

  node->op->cpu (node, &(FmCpuArgs){ .out = &out, .threads = 1 });
  return word;
}

/* --- CPU ----------------------------------------------------------------------------------------------------------*/

/* @panel is no larger than a block. */
static void
run_block (const FmChain *chain, const FmPanel *panel, const guint32 *words, float (*scratch)[BLOCK])
{
  gint64 place = panel->out - (const float *) panel->args->out[0];
  float *result[FM_CHAIN_MAX_LINKS];

  for (guint k = 0; k < chain->n_links; k++)
    {
      const FmLink *link = &chain->links[k];
      FmPanel p = { .rows = panel->rows, .n = panel->n, .args = panel->args };

      if (link->node->op->family == FM_FAMILY_CONSTANT)
        continue;
      for (guint i = 0; i < link->node->n_in; i++)
        {
          gint arg = link->arg[i];

          if (arg < 0)
            {
              p.in[i] = panel->in[-1 - arg];
              p.row[i] = panel->row[-1 - arg];
              p.step[i] = panel->step[-1 - arg];
            }
          else if (chain->links[arg].node->op->family == FM_FAMILY_CONSTANT)
            p.in[i] = (const float *) &words[arg];
          else
            {
              p.in[i] = result[arg];
              p.row[i] = panel->n;
              p.step[i] = 1;
            }
        }
      p.out = result[k] = link->out >= 0 ? (float *) panel->args->out[link->out] + place : scratch[link->scratch];
      link->node->op->panel (&p, link->node);
    }
}

static void
run_panel (const FmPanel *panel, const FmNode *node)
{
  const FmChain *chain = (const FmChain *) node;
  gint64 columns = MIN (panel->n, BLOCK), rows = MAX (1, BLOCK / columns);
  float scratch[FM_CHAIN_MAX_LINKS][BLOCK];
  guint32 words[FM_CHAIN_MAX_LINKS];

  for (guint k = 0; k < chain->n_links; k++)
    if (chain->links[k].node->op->family == FM_FAMILY_CONSTANT)
      words[k] = constant_word (chain->links[k].node);
  for (gint64 r = 0; r < panel->rows; r += rows)
    for (gint64 c = 0; c < panel->n; c += columns)
      {
        FmPanel block = *panel;

        block.rows = MIN (rows, panel->rows - r);
        block.n = MIN (columns, panel->n - c);
        block.out += r * panel->n + c;
        for (guint k = 0; k < fm_chain_count_in (chain); k++)
          block.in[k] += r * panel->row[k] + c * panel->step[k];
        run_block (chain, &block, words, scratch);
      }
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_chain_loop (&loop, &((const FmChain *) node)->shape, node->in, node->n_in);
  fm_loop_run (&loop, node, args, run_panel);
}

/* --- CPU, behind a product ----------------------------------------------------------------------------------------*/

guint
fm_chain_count_in (const FmChain *chain)
{
  return chain->node.n_in - (chain->head ? chain->head->n_in : 0);
}

typedef struct
{
  const FmChain   *chain;
  const FmCpuArgs *args;
  gint64           m;
  gint64           row[FM_CHAIN_MAX_IN], step[FM_CHAIN_MAX_IN]; /* strides of the inputs over [rows, m] */
} Behind;

/* A block narrower than the product goes row by row, since panels are written without gaps. */
static void
links_on_block (gint64 row, gint64 rows, gint64 column, gint64 columns, float *c, gpointer data)
{
  const Behind *b = data;
  gint64 at_once = columns == b->m ? rows : 1;

  for (gint64 r = 0; r < rows; r += at_once)
    {
      FmPanel panel = { .rows = at_once, .n = columns, .args = b->args,
                        .out = (float *) b->args->out[0] + (row + r) * b->m + column };

      for (guint k = 0; k < fm_chain_count_in (b->chain); k++)
        {
          gboolean product = k == b->chain->head_in;

          panel.in[k] = product ? c + r * b->m
                                : (const float *) b->args->in[k] + (row + r) * b->row[k] + column * b->step[k];
          panel.row[k] = b->row[k];
          panel.step[k] = b->step[k];
        }
      run_panel (&panel, &b->chain->node);
    }
}

static void
product_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const FmChain *chain = (const FmChain *) node;
  void **in = args->in + fm_chain_count_in (chain);
  Behind behind = { .chain = chain, .args = args };
  FmGemm product;
  FmLoop loop;

  fm_gemm_of_node (chain->head, &product);
  fm_chain_loop (&loop, &chain->shape, node->in, fm_chain_count_in (chain));
  behind.m = product.m;
  for (guint k = 0; k < fm_chain_count_in (chain); k++)
    {
      behind.step[k] = loop.stride[k][loop.rank - 1];
      behind.row[k] = loop.rank > 1 ? loop.stride[k][0] : product.m * behind.step[k];
    }
  fm_gemm_then (&product, in[0], in[1], chain->head->n_in > 2 ? in[2] : NULL,
                args->out[chain->head_out >= 0 ? chain->head_out : 0], args->workspace, args->threads, links_on_block,
                &behind);
}

static gsize
product_workspace (const FmNode *node, FmBackend backend, guint threads)
{
  const FmNode *head = ((const FmChain *) node)->head;

  return head->op->workspace ? head->op->workspace (head, backend, threads) : 0;
}

/* --- Vulkan -------------------------------------------------------------------------------------------------------*/

typedef struct
{
  guint32 count, rank;
  guint32 dims[FM_CHAIN_MAX_RANK];
  guint32 offset[FM_CHAIN_MAX_IN];
  guint32 stride[FM_CHAIN_MAX_IN][FM_CHAIN_MAX_RANK];
} Push;

static guint32
word_of_float (gdouble value)
{
  float f = (float) value;
  guint32 word;

  memcpy (&word, &f, sizeof word);
  return word;
}

/* Bits 0..3 family, 4..11 kind, 12 whether the first operand is i32, then 5 bits for each operand: a register, where
 * the inputs come first and the links after them. */
static guint32
instruction (const FmLink *link)
{
  guint32 word = link->node->op->family | (guint32) (link->node->attr.i[0] & 0xFF) << 4;

  if (link->node->n_in > 0)
    word |= (guint32) (link->node->in[0]->type == FM_I32) << 12;
  for (guint i = 0; i < link->node->n_in; i++)
    word |= (guint32) (link->arg[i] < 0 ? -1 - link->arg[i] : FM_CHAIN_MAX_IN + link->arg[i]) << (13 + 5 * i);
  return word;
}

/* The links alone, from @in. */
static gboolean
dispatch_links (const FmChain *chain, FmTensor * const *in, FmVulkanRecorder *recorder, GError **error)
{
  const FmNode *node = &chain->node;
  guint n_in = fm_chain_count_in (chain);
  FmLoop loop;
  Push push = { .count = (guint32) fm_shape_count (&chain->shape) };
  FmVulkanDispatch dispatch = { .shader = "fused", .push = &push, .push_bytes = sizeof push,
                                .n_bind = FM_CHAIN_MAX_IN + FM_CHAIN_MAX_OUT,
                                .n_spec = 2 + 3 * FM_CHAIN_MAX_LINKS, .groups = (push.count + 127) / 128 };

  fm_chain_loop (&loop, &chain->shape, in, n_in);
  push.rank = loop.rank;
  for (guint a = 0; a < loop.rank; a++)
    push.dims[a] = (guint32) loop.dims[a];
  /* All bindings are filled, since the layout has them; the shader reads no more than there is. */
  for (guint k = 0; k < FM_CHAIN_MAX_IN; k++)
    dispatch.bind[k] = in[k < n_in ? k : 0];
  for (guint k = 0; k < FM_CHAIN_MAX_OUT; k++)
    dispatch.bind[FM_CHAIN_MAX_IN + k] = node->out[k < node->n_out ? k : 0];
  for (guint k = 0; k < n_in; k++)
    {
      push.offset[k] = (guint32) in[k]->offset;
      for (guint a = 0; a < loop.rank; a++)
        push.stride[k][a] = (guint32) loop.stride[k][a];
    }
  dispatch.spec[0] = n_in | chain->n_links << 8;
  dispatch.spec[1] = 0xFFFF;
  for (guint k = 0; k < chain->n_links; k++)
    {
      const FmLink *link = &chain->links[k];

      if (link->out >= 0)
        dispatch.spec[1] = (dispatch.spec[1] & ~(0xFFu << 8 * link->out)) | k << 8 * link->out;
      dispatch.spec[2 + 3 * k] = instruction (link);
      dispatch.spec[3 + 3 * k] = link->node->op->family == FM_FAMILY_CONSTANT ? constant_word (link->node)
                                                                             : word_of_float (link->node->attr.f[0]);
      dispatch.spec[4 + 3 * k] = word_of_float (link->node->attr.f[1]);
    }
  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return dispatch_links ((const FmChain *) node, node->in, recorder, error);
}

/* The product first, to where its result stays or the chain's comes to lie, then the links on it. */
static gboolean
product_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  const FmChain *chain = (const FmChain *) node;
  const FmNode *head = chain->head;
  FmTensor *in[FM_CHAIN_MAX_IN], *c = node->out[chain->head_out >= 0 ? chain->head_out : 0];
  FmGemm product;

  for (guint k = 0; k < fm_chain_count_in (chain); k++)
    in[k] = k == chain->head_in ? c : node->in[k];
  fm_gemm_of_node (head, &product);
  return fm_gemm_vulkan (recorder, &product, head->in[0], head->in[1], head->n_in > 2 ? head->in[2] : NULL, c, error)
         && dispatch_links (chain, in, recorder, error);
}

static void
cost (const FmNode *node, FmCost *cost_)
{
  const FmChain *chain = (const FmChain *) node;

  for (guint k = 0; k < chain->n_links; k++)
    {
      FmCost link;

      fm_node_cost (chain->links[k].node, &link);
      cost_->flops += link.flops;
    }
  if (chain->head)
    {
      FmCost head;

      fm_node_cost (chain->head, &head);
      cost_->flops += head.flops;
    }
  for (guint k = 0; k < node->n_in; k++)
    if (node->in[k] && !(chain->head && k == chain->head_in))
      cost_->bytes += 4.0 * (gdouble) fm_shape_count (&node->in[k]->shape);
  cost_->bytes += 4.0 * node->n_out * (gdouble) fm_shape_count (&chain->shape);
}

/* "affine, gelu", "mul, add-scalar, gelu": constants are no work. */
static char *
inside (const FmNode *node)
{
  const FmChain *chain = (const FmChain *) node;
  GString *names = g_string_new (chain->head ? chain->head->op->name : NULL);

  for (guint k = 0; k < chain->n_links; k++)
    if (chain->links[k].node->op->family != FM_FAMILY_CONSTANT)
      g_string_append_printf (names, "%s%s", names->len ? ", " : "", chain->links[k].node->op->name);
  return g_string_free (names, FALSE);
}

static gboolean
infer (FmNode *node)
{
  fm_graph_fail (node->graph, "fused", "is made by the plan, not by a builder");
  return FALSE;
}

const FmOp fm_fused_op = {
  .name = "fused", .n_in_min = 1, .n_in_max = FM_CHAIN_MAX_IN, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE,
  .infer = infer, .no_gradient = "chains are made after the gradients", .cpu = cpu, .vulkan = vulkan, .cost = cost,
  .inside = inside,
};

const FmOp fm_fused_product_op = {
  .name = "fused-product", .n_in_min = 1, .n_in_max = FM_CHAIN_MAX_IN + 3, .n_out = 1, .flags = FM_OP_STRIDED,
  .infer = infer, .no_gradient = "chains are made after the gradients", .cpu = product_cpu,
  .vulkan = product_vulkan,
  .workspace = product_workspace, .cost = cost,
  .inside = inside,
};

FM_OPS (fused, &fm_fused_op, &fm_fused_product_op);
