/* op-test.h: one description per case of an op; the harness drives it through three witnesses.
 *
 * A case says how the op is built from inputs, what the inputs are, and computes the answer slowly, in double, from the
 * definition. fm_op_test_add() makes three GLib tests of it:
 *
 *   NAME/cpu     CPU against the reference at every processor level the machine has, 1 thread and 2 with the same bits;
 *                gradients by fm_grad() against central differences of the double reference
 *   NAME/views   the same on inputs that are permuted slices of larger tensors
 *   NAME/vulkan  both on the first Vulkan device; skipped, with the reason, where there is none
 *
 * In the quick mode of GLib's tests (suite quick) only cases marked quick run, at the highest level, without Vulkan. */
#pragma once

#include "compute/compute-private.h"

#define FM_OP_TEST_MAX_IN 7

/* Numbers as the reference sees them: i32 values are exact, f32 values are the rounded ones the op gets. */
typedef struct
{
  FmShape  shape;
  gint64   n;
  gdouble *v;
} FmOpArray;

/* Gives @array its shape and zeroed memory; a reference calls it once for its result. */
void fm_op_array_init (FmOpArray *array, FmShape shape);

typedef struct
{
  FmType   type;
  FmShape  shape;
  gdouble  low, high; /* uniform in [low, high]; i32: integers, both ends included */
  gboolean gradient;  /* check the gradient by this input */
  /* (nullable) overwrites some of the drawn values: extremes, -inf rows, kinks to stay away from */
  void   (*fill) (FmOpArray *array);
} FmOpInput;

typedef struct
{
  const char *name; /* "softmax/masked-row" */
  gboolean    quick;

  FmOpInput   in[FM_OP_TEST_MAX_IN]; /* up to the first of rank 0 */
  gint64      n[4];                  /* numbers for both functions below: axis, flags, sizes */
  gdouble     f[2];

  FmTensor *(*build)     (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f);
  void      (*reference) (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f);

  /* |value - reference| <= atol + rtol |reference|. From the type and the longest sum behind an element: one rounding
   * is 6e-8 relative, a sum of K terms of size s adds about sqrt (K) 6e-8 s, K 6e-8 s at the worst. */
  gdouble     atol, rtol;
  const char *why;                   /* where the two come from */

  gdouble     grad_atol, grad_rtol;  /* both 0: ten times the above */
  gdouble     grad_step;             /* of the central difference, times max (1, |x|); 0: 1e-5 */
  guint       grad_samples;          /* entries per input; 0: 12 */
  gboolean    no_views;              /* inputs are too special to be viewed */
  gboolean    no_vulkan;             /* say why in @why */
} FmOpCase;

/* Adds the tests of @n cases as /compute/FAMILY/NAME/... */
void fm_op_test_add (const char *family, const FmOpCase *cases, guint n);

/* The CPU device with @threads threads, kept for the life of the program. */
FmDevice *fm_op_test_cpu (guint threads);
/* The first Vulkan device, kept; NULL after g_test_skip() with the reason. */
FmDevice *fm_op_test_vulkan (void);
/* The processor level that was found at start. */
int fm_op_test_level (void);
