#!/bin/sh
# new-plugin.sh ID: a mixer from the template below, registered in plugins/meson.build. It builds and passes every check
# as it is; make it your paper's.
set -eu
cd "$(dirname "$0")"
id=${1:-}
if ! printf '%s\n' "$id" | grep -Eqx '[a-z][a-z0-9]*(-[a-z0-9]+)*'; then
  echo "usage: ./dev new-plugin ID, lower-case words joined by hyphens, such as gated-attention" >&2
  exit 2
fi
if [ -e "$id.c" ]; then
  echo "plugins/$id.c is there already" >&2
  exit 2
fi
cat > "$id.c" <<C
/* $id.c: what it does, in one line.
 * Source: Author et al., "Title", year, section, equation.
 * Shapes: x [B,N,D] -> [B,N,D].
 * Differs: where this file does something else than the paper, and why. */
#include "plugin.h"

typedef struct
{
  gdouble share;
} Params;

static const FmParam params[] = {
  FM_PARAM_DOUBLE (Params, share, 0.5, 0.0, 1.0, NULL, "How much of the linear map is added to the token"),
  FM_PARAM_END
};

static FmTensor *
build (FmGraph *g, const FmBuild *b, FmTensor *x)
{
  const Params *p = b->params;

  return fm_add (g, x, fm_mul_scalar (g, fm_linear (g, x, b->width, "map"), p->share));
}

FM_PLUGIN_DEFINE (.id = "$id", .title = "$id",
  .summary = "One paragraph for somebody who has not read the paper.",
  .paper = { "Authors", $(date +%Y), NULL },
  .complexity = "O(N D^2)", .role = FM_ROLE_MIXER,
  .caps = FM_CAP_BIDIRECTIONAL | FM_CAP_CAUSAL | FM_CAP_RAGGED | FM_CAP_DECODE,
  .params = params, .params_size = sizeof (Params), .build = build);
C
# The list stays sorted.
awk -v id="$id" '
  /^plugin_ids = \[/ { inside = 1; print; next }
  inside && /^\]/    { if (!done) print "  \047" id "\047,"; inside = 0 }
  inside             { name = $1; gsub (/[\047,]/, "", name); if (!done && id < name) { print "  \047" id "\047,"; done = 1 } }
  { print }' meson.build > meson.build.new
mv meson.build.new meson.build
echo "plugins/$id.c: make it your paper's, then ./dev build && ./dev formarium check build/plugins/$id.so"
