/* modes.h: what was measured beside accuracy and the forward pass: a training step, prompts, one more token, each with its
 * cost in time, memory and, where the machine tells, energy. A mode is named as the batch file names it ("decode:1024"),
 * "forward" is the whole batch that throughput is taken from, "batch1" one example; both stand here only where the
 * machine tells more of them than their time. */
#pragma once

#include "storage/storage.h"

G_BEGIN_DECLS

/* One mode of one run. Missing numbers: NAN. */
typedef struct
{
  gint64      run_id; /* 0 in a mean over seeds */
  const char *variant, *task, *device; /* of the run; no ownership beyond the list */
  char       *mode;
  char       *reason; /* (nullable): why nothing was measured; then all numbers are missing */
  guint       seeds;  /* 1, or how many this is the mean of */
  gdouble     rows;   /* of a call: the batch */
  gdouble     tokens_per_s;
  gdouble     first_token_ms; /* prefill alone: until the first answer is there */
  gdouble     latency_us_median, latency_us_p95; /* of a call */
  gdouble     device_us;      /* by the device's own clock */
  gdouble     planned_peak_bytes, cache_bytes, device_heap_bytes;
  gdouble     energy_joules;  /* a row of the batch: an example, a prompt, a token */
} FmModeResult;

typedef struct
{
  GPtrArray *modes; /* FmModeResult, in the order of the runs */
  GPtrArray *notes; /* char *: what a machine does not tell, once each: "Energy on NAME: absent: ..." */
  GPtrArray *texts; /* owned copies of what the modes point to */
} FmModeList;

FM_API void        fm_mode_list_free (FmModeList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmModeList, fm_mode_list_free)

/** fm_mode_list_load: @rows (element-type FmResultRow): the runs of a batch. */
FM_API FmModeList *fm_mode_list_load  (FmStore *store, GPtrArray *rows, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_mode_list_over_seeds: (transfer full): one for each variant, task, device and mode: means over runs. */
FM_API FmModeList *fm_mode_list_over_seeds (const FmModeList *list);

/** fm_mode_list_to_text: (transfer full): aligned columns and the notes below; "" when there is nothing to say. @width: of
 * the terminal: what does not fit is left out, costs of least interest first; 0: all. */
FM_API char       *fm_mode_list_to_text (const FmModeList *list, guint width);

/* The numbers of a mode by name, for exports. */
typedef struct
{
  const char *name; /* "tokens_per_s"; NULL at the end */
  gsize       offset;
} FmModeField;
FM_API const FmModeField *fm_mode_fields (void);

G_END_DECLS
