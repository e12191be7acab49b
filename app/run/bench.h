/* bench.h: the time of a training step, alone and beside a peer, measured in turns. */
#pragma once

#include "app/architecture/architecture.h"

G_BEGIN_DECLS

typedef struct
{
  const char *setting; /* "first": the shapes of examples/first.batch */
  gdouble     ours_ms; /* median */
  gdouble     ours_low_ms, ours_high_ms; /* quartiles */
  gdouble     peer_ms; /* NAN without one */
  gdouble     ratio;   /* median over rounds of ours / peer */
  gdouble     flops;   /* of a step */
  char       *device, *driver;
  GArray     *profile; /* FmProfileRow */
} FmBenchStep;

/**
 * fm_bench_step:
 * @mixer, @feedforward: plugin ids
 * @peer: (nullable): a command that answers each line "N" with the mean milliseconds of N steps
 *
 * L=2 D=64 H=4 F=256, 49 tokens of 16 numbers, batch 64: random input, warm-up, then rounds in turn with the peer.
 */
FM_API gboolean fm_bench_step (const char *device, guint threads, const char *mixer, const char *feedforward,
                               const char * const *peer, guint rounds, FmBenchStep *result,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void fm_bench_step_clear (FmBenchStep *result);

G_END_DECLS
