/* models.h: reference models, small, each made of the ops that a card of the catalogue needs.
 *
 * One file a model, tests/compute/models/NAME.c, which ends with FM_MODEL (name, .card = ..., .build = ...), and one
 * line in meson.build's list. test-models.c puts every one of them through:
 *
 *   NAME/threads  loss and parameter gradients on the CPU: the same bits with 1 thread and 2 (full suite: 3 as well)
 *   NAME/slope    the loss really rises by step times gradient norm along the gradient (not if `surrogate` says why)
 *   NAME/trains   training steps with AdamW on the one batch lower the loss; every variable ends with the same bits
 *                 with 1 thread and 2
 *   NAME/check    what `check` asserts, where there is one: what the mechanism promises beyond its gradient
 *   NAME/vulkan   loss, and each parameter's gradient by norms, agree with the CPU's, and so does the loss after
 *                 training; full suite only, skipped with the reason where there is no device */
#pragma once

#include "compute/compute-private.h"

typedef struct
{
  const char *name;      /* of the input */
  gdouble     low, high; /* uniform in [low, high]; i32: integers, both ends included */
} FmModelInput;

typedef struct
{
  const char *name; /* "dynamic-moe" */
  const char *card; /* id in the catalogue whose mechanism this is */

  /* Builds the model over inputs of its own naming and returns its loss, [1]. Parameters by fm_param () and fm_linear ().
   * "@seed" and "@step" are written for it, should it draw random numbers. */
  FmTensor *(*build) (FmGraph *g);

  /* How to draw inputs, up to the first without a name. Not listed: f32 standard normal, i32 0 to 9. */
  FmModelInput inputs[8];
  /* (nullable) overwrites what was drawn, where values hang together: lengths that sum up, permutations, sorted times.
   * @data: gfloat or gint32 by @type */
  void        (*fill) (const char *input, FmType type, gpointer data, gint64 n);

  gdouble     rate;      /* of learning; 0: 1e-2 */
  guint       steps;     /* 0: 5 */
  gdouble     tolerance; /* norm of the difference over norm, CPU and Vulkan; 0: 1e-4 */
  gdouble     drift;     /* of the loss after training, CPU and Vulkan, over the loss; 0: 20 times the tolerance */
  void      (*check) (FmDevice *device); /* (nullable) */
  const char *surrogate; /* (nullable): why the gradient is not the derivative (straight-through, stop-gradient) */
} FmModelRow;

#define FM_MODEL(id, ...) \
  extern const FmModelRow fm_model_##id; \
  const FmModelRow fm_model_##id = { __VA_ARGS__ }

/* The values of @input as the tests draw them: from its name and the row's ranges alone. */
void fm_model_draw (const FmModelRow *row, const char *input, FmType type, gint64 n, gpointer data);
/* For checks. A program of @g, which must not have failed; its inputs as drawn by fm_model_draw() for @row. */
FmProgram *fm_model_program (const FmModelRow *row, FmGraph *g, FmDevice *device, FmVariables *variables);
/* Runs it and reads an output of @n numbers. */
void fm_model_run (FmProgram *program, const char *output, gpointer data, gint64 n);

/* All of them, ended by NULL; generated from the list in meson.build. */
extern const FmModelRow * const fm_models[];
