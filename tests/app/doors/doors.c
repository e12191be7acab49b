/* doors.c: a mixer that opens the doors which no plugin of the catalogue needs yet, so that test-architecture sees them
 * work: values of earlier layers, inputs by name, one parameter for the whole model. Built twice: the second one asks
 * for an input that no task has. */
#include "plugins/plugin.h"

typedef struct
{
  gdouble weight;
} Params;

static const FmParam params[] = {
  FM_PARAM_DOUBLE (Params, weight, 0.5, 0.0, 10.0, NULL, "Weight of a loss term that is always 3"),
  FM_PARAM_END
};

static const char * const inputs[] = { DOORS_INPUT, NULL };

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;
  FmTensor *depth = fm_constant (g, FM_F32, FM_SHAPE (1), b->layer + 1), *earlier = fm_shared (b, "depth");
  FmTensor *named = fm_task_input (b, DOORS_INPUT);

  if (named == NULL || fm_task_input (b, "no-such-input") != NULL)
    return fm_graph_fail (g, DOORS_INPUT, "is not what the task calls its input");
  fm_share (b, "depth", depth);
  fm_record (b, "earlier", earlier ? earlier : fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  fm_record (b, "tokens", fm_sum_all (g, fm_cast (g, named, FM_F32)));
  fm_loss_term (b, "three", fm_constant (g, FM_F32, FM_SHAPE (1), 3.0), p->weight);
  x = fm_mul (g, x, fm_param (g, "/scale", FM_SHAPE (b->width), fm_init_constant (1.0)));
  return fm_linear (g, x, b->width, "out");
}

FM_PLUGIN_DEFINE (.id = DOORS_ID, .title = "Doors", .summary = "Opens doors for a test.",
  .paper = { "none", 2026, NULL }, .complexity = "O(N D^2)", .role = FM_ROLE_MIXER, .caps = FM_CAP_BIDIRECTIONAL,
  .params = params, .params_size = sizeof (Params), .inputs = inputs, .build = build);
