/* fuzz-batch.c: batch files and claims: read, planned where that is not long, judged as the store's text is; built twice, as
 * fuzz-batch and, with FUZZ_CLAIMS, as fuzz-claims, which goes on with what a claim says. */
#include "fuzz.h"

#include "app/batch/batch-private.h"
#include "app/run/shards.h"
#include "app/batch/expect.h"

#include <string.h>

#define MOST_RUNS   8 /* of a plan that is worth its time here */
#define MOST_LAYERS 3

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  criticals_are_fatal ();
  return 0;
}

static gboolean
is_small (FmBatchFile *file)
{
  gdouble n = (gdouble) file->tasks->len * file->pairs->len * file->devices->len * file->seeds->len;

  for (guint i = 0; i < file->axes->len; i++)
    {
      const FmBatchAxis *axis = g_ptr_array_index (file->axes, i);

      n *= axis->values->len;
      for (guint k = 0; k < axis->values->len && *axis->owner == '\0'; k++)
        if (g_str_equal (axis->name, "layers")
            && g_ascii_strtod (g_ptr_array_index (axis->values, k), NULL) > MOST_LAYERS)
          return FALSE;
    }
  return n <= MOST_RUNS;
}

static void
check_plan (FmBatchFile *file)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchPlan) plan = fm_batch_plan_new (file, &error);

  check_refusal (plan == NULL, error);
  if (plan == NULL)
    return;
  for (guint n = 1; n < 4; n++)
    {
      g_autoptr (FmShards) shards = fm_shards_new (plan, NULL, n);
      guint stages = 0;

      for (guint i = 0; i < shards->shards->len; i++)
        stages += ((FmShard *) g_ptr_array_index (shards->shards, i))->stages->len;
      if (stages > plan->stages->len)
        abort ();
    }
}

#ifdef FUZZ_CLAIMS
/* The verdict goes into the file and nothing else of it changes. */
static void
check_claim (const char *text)
{
  g_autoptr (FmBatchClaim) claim = fm_batch_claim_from_text (text);
  g_autofree char *said = fm_batch_claim_to_string (claim);

  if (claim == NULL)
    return;
  for (guint i = 0; fm_claim_words ()[i]; i++)
    {
      g_autofree char *with = fm_batch_text_set_verdict (text, fm_claim_words ()[i]);
      g_autofree char *again = fm_batch_text_set_verdict (with, fm_claim_words ()[i]), *said_then = NULL;
      g_autoptr (FmBatchClaim) then = fm_batch_claim_from_text (with);

      said_then = fm_batch_claim_to_string (then);
      if (!g_str_equal (with, again) || !g_str_equal (said, said_then)
          || g_strcmp0 (then->verdict, fm_claim_words ()[i]) != 0)
        abort ();
    }
}
#endif

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_parse ((const char *) data, (gssize) size, "/fuzz/x.batch", &error);

  check_refusal (file == NULL, error);
  if (file == NULL)
    return 0;
#ifdef FUZZ_CLAIMS
  check_claim (fm_batch_file_get_text (file));
#endif
  if (is_small (file))
    check_plan (file);
  return 0;
}
