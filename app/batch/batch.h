/* batch.h: a batch file as data: what is compared, on what, for how long. Nothing is built and nothing is written.
 *
 *   [batch]
 *   title=Window sizes
 *   task=fashion-mnist
 *   mixer=softmax-attention;local-attention
 *   feedforward=mlp
 *   seeds=3
 *   budget=steps:1000
 *
 *   [local-attention]
 *   window=4;8;16
 *
 * `;` makes the matrix: every combination is a variant. `variants=A x mlp; B x switch` instead of mixer and feedforward
 * names the pairs. `,` gives a mixer, a feed-forward or a plugin's parameter per layer. Sections named after a plugin or a
 * task set its parameters; task=2*a+b is a mixture that one model learns (data/mixture.c). [stage NAME] sections make a run
 * a chain of trainings (stage-sections.c). include= and exclude= pick parts of the matrix (select.c), budget= and hold= say
 * what is equal (hold.c), tune= what trials choose (tune.c); measure-axes.h says what measure= means, judging.h what
 * margin=, compare= and looks= mean, expect.h what
 * [paper] and [expect] do, which make a batch a claim. Every error is one sentence with file, line, section and key,
 * FM_APP_ERROR_INPUT. */
#pragma once

#include "app/architecture/architecture.h"
#include "app/batch/expect.h"

G_BEGIN_DECLS

typedef struct _FmBatchFile FmBatchFile;

/** fm_batch_file_load: reads @path; missing, empty, a folder, too large, not UTF-8: one sentence each. */
FM_API FmBatchFile *fm_batch_file_load  (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * fm_batch_file_parse:
 * @name: (nullable): file name for messages and for the store
 * @length: bytes of @text, -1 when it ends with a zero byte
 */
FM_API FmBatchFile *fm_batch_file_parse (const char *text, gssize length, const char *name, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
FM_API void         fm_batch_file_free  (FmBatchFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmBatchFile, fm_batch_file_free)

FM_API const char *fm_batch_file_get_title (FmBatchFile *file);
FM_API const char *fm_batch_file_get_text  (FmBatchFile *file); /* as it was written */
/** fm_batch_file_get_claim: (transfer none) (nullable): what [paper] and [expect] say. */
FM_API const FmBatchClaim *fm_batch_file_get_claim (FmBatchFile *file);

/** fm_batch_keys: the keys of [batch] that are numbers or choices, with their ranges. */
FM_API const FmParam *fm_batch_keys (void);

/* A key of [batch] that is no plain parameter. */
typedef struct
{
  const char *name, *help; /* both NULL at the end */
} FmBatchKey;
FM_API const FmBatchKey *fm_batch_other_keys (void);

/** fm_batch_stage_keys: those of [stage NAME] beside all of the first kind. */
FM_API const FmBatchKey *fm_batch_stage_keys (void);

/** fm_batch_key_default: (transfer full): what a batch file that does not name @key gets, as text. */
FM_API char *fm_batch_key_default (const char *key);

/** fm_batch_file_set: what `--device vulkan` does: replaces one value of [batch]; the same checks, no line number. */
FM_API gboolean fm_batch_file_set (FmBatchFile *file, const char *key, const char *value, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
