/* measure-axes.h: what is measured of a variant beside its forward pass.
 *
 *   [batch]
 *   causal=true
 *   measure=train;prefill:1024;decode:1024    a training step; a prompt of 1,024 tokens; one more token behind so many
 *   batch=1;8;32                              makes variants, as every list does
 *
 * The forward pass (one example, and a whole batch) is always measured; `forward` names it for those who like to. Lengths
 * do not come from the task: prompts are tokens (or vectors) drawn at random, put through the task's own embedding, whose
 * table of positions begins again where the task's length ends. So prefill and decode say what a length costs, not how
 * well it is answered. Both want a causal model of plugins with the capability decode; for others the cell is left out,
 * and says why. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

typedef enum { FM_METER_FORWARD, FM_METER_TRAIN, FM_METER_PREFILL, FM_METER_DECODE } FmMeterKind;

typedef struct
{
  FmMeterKind kind;
  gint64      length; /* PREFILL, DECODE: tokens of the prompt; else 0 */
} FmMeter;

#define FM_METER_MOST_TOKENS (1 << 20)

/** fm_meter_parse: "train", "decode:1024". */
FM_API gboolean fm_meter_parse     (const char *text, FmMeter *meter, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_meter_to_string: (transfer full): the same again, in one form. */
FM_API char    *fm_meter_to_string (const FmMeter *meter);

/* One line on measure=. */
#define FM_METER_AXIS_HELP \
  "Beside the forward pass, which is always measured: train (a step), prefill:LEN (a prompt of LEN tokens drawn at " \
  "random, through the task's embedding), decode:LEN (one more token behind LEN); the last two with causal=true"

G_END_DECLS
