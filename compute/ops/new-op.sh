#!/bin/sh
# new-op.sh NAME: an op from the template below: C file, shader, test, registered in the build. It computes x squared plus
# twice x, builds and passes its three witnesses as it is; make it your op.
set -eu
cd "$(dirname "$0")"
tests=../../tests/compute
name=${1:-}
if ! printf '%s\n' "$name" | grep -Eqx '[a-z][a-z0-9]*(-[a-z0-9]+)*'; then
  echo "usage: ./dev new-op NAME, lower-case words joined by hyphens, such as soft-sign" >&2
  exit 2
fi
if [ -e "$name.c" ]; then
  echo "compute/ops/$name.c is there already" >&2
  exit 2
fi
c=$(printf '%s' "$name" | tr - _)
cat > "$name.c" <<C
/* $name.c: what it computes, in one line. Attributes: none. */
#include "config.h"

#include "compute/compute-private.h"

static gboolean
${c}_infer (FmNode *node)
{
  FmTensor *x = node->in[0];

  if (x->type != FM_F32)
    {
      fm_graph_fail (node->graph, "$name", "takes f32");
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = x->shape;
  return TRUE;
}

/* d/dx (x^2 + 2 x) = 2 x + 2, as graph. */
static void
${c}_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  dx[0] = fm_mul (g, dy[0], fm_mul_scalar (g, fm_add_scalar (g, node->in[0], 1.0), 2.0));
}

FM_KERNEL (void, ${c}_block, (const gfloat *x, gfloat *y, gint64 n), (x, y, n))
{
  for (gint64 i = 0; i < n; i++)
    y[i] = x[i] * x[i] + 2.0f * x[i];
}

/* Split by shape alone, so that threads never change a bit. */
static void
${c}_cpu (const FmNode *node, const FmCpuArgs *args)
{
  const gfloat *x = args->in[0];
  gfloat *y = args->out[0];
  gint64 n = fm_shape_count (&node->out[0]->shape);

#pragma omp parallel for num_threads (args->threads) schedule (static) if (n > FM_CPU_BLOCK)
  for (gint64 i = 0; i < n; i += FM_CPU_BLOCK)
    ${c}_block (x + i, y + i, MIN (FM_CPU_BLOCK, n - i));
}

static gboolean
${c}_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  FmTensor *x = node->in[0], *y = node->out[0];
  guint32 count = (guint32) fm_shape_count (&y->shape);
  struct { guint32 count, x_offset, y_offset; } push = { count, (guint32) x->offset, (guint32) y->offset };
  FmVulkanDispatch dispatch = { .shader = "$name", .bind = { x, y }, .n_bind = 2, .push = &push,
                                .push_bytes = sizeof push, .groups = ((guint64) count + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp ${c}_op = {
  .name = "$name", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
  .infer = ${c}_infer, .gradient = ${c}_gradient, .cpu = ${c}_cpu, .vulkan = ${c}_vulkan,
};

FmTensor *
fm_${c} (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "$name", x);
  return fm_op1 (g, &${c}_op, NULL, 1, x);
}

FM_OPS ($c, &${c}_op);
C
cat > "$name.comp" <<C
#version 450
// $name.comp: y = x^2 + 2 x, one invocation an element.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) buffer Y { float y[]; };
layout (push_constant) uniform Push { uint count, x_offset, y_offset; };

void
main ()
{
  uint i = element_index ();

  if (i < count)
    y[y_offset + i] = x[x_offset + i] * x[x_offset + i] + 2.0 * x[x_offset + i];
}
C
cat > "$tests/test-$name.c" <<C
/* test-$name.c: the three witnesses of $name. */
#include "op-test.h"

static FmTensor *
build (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  return fm_${c} (g, x[0]);
}

static void
reference (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  fm_op_array_init (y, x[0].shape);
  for (gint64 i = 0; i < y->n; i++)
    y->v[i] = x[0].v[i] * x[0].v[i] + 2 * x[0].v[i];
}

#define CASE(id, ...) \\
  { .name = id, .quick = TRUE, .in = { { FM_F32, FM_SHAPE (__VA_ARGS__), -3, 3, TRUE } }, .build = build, \\
    .reference = reference, .atol = 1e-6, .rtol = 1e-6, .why = "three roundings of numbers up to 15" }

static const FmOpCase cases[] = {
  CASE ("one", 1),
  CASE ("odd", 3, 5, 7),
  CASE ("long", 100003),
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("$name", cases, G_N_ELEMENTS (cases));
  return g_test_run ();
}
C
# Lists stay sorted; the builder is declared beside its relatives.
insert () { # LIST ENTRY FILE
  awk -v list="$1" -v id="$2" '
    $0 == list " = ["  { inside = 1; print; next }
    inside && /^\]/    { if (!done) print "  \047" id "\047,"; inside = 0 }
    inside             { name = $1; gsub (/[\047,]/, "", name); if (!done && id < name) { print "  \047" id "\047,"; done = 1 } }
    { print }' "$3" > "$3.new"
  mv "$3.new" "$3"
}
insert ops "$name" meson.build
insert shaders "$name" meson.build
insert op_tests "test-$name" $tests/meson.build
awk -v line="FM_API FmTensor *fm_${c} (FmGraph *g, FmTensor *x);" \
  '/fm_stop_gradient/ && !done { print line; done = 1 } { print }' ops.h > ops.h.new
mv ops.h.new ops.h
# The graph in which test-second.c asks for its second gradient.
awk -v line="  X (\"$name\", fm_${c} (g, REAL (3, 4))) \\\\" \
  '{ print } /^#define GRAPHS\(X\)/ && !done { print line; done = 1 }' $tests/test-second.c > $tests/test-second.c.new
mv $tests/test-second.c.new $tests/test-second.c
# The table of needs: the first row of its first section; move it to its family and name who needs it.
awk -v row="| $name: what it is for | op \`$name\` | \`fm_${c} ()\` | planned: after-survey |" \
  '{ print } /^\| --- / && !done { print row; done = 1 }' README.md > README.md.new
mv README.md.new README.md
echo "compute/ops/$name.c, compute/ops/$name.comp, tests/compute/test-$name.c, its row in compute/ops/README.md: make them"
echo "your op, then ./dev build and build/tests/compute/test-$name"
