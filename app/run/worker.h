/* worker.h: the process behind one stage (`formarium worker`), and the words it speaks with the runner.
 *
 * stdin, one JSON object a line. First the request:
 *   {"stage": id, "kind": "trial"|"train"|"measure", "recipe": {...}, "threads": 1, "checkpoint": path, "artifacts": folder,
 *    "process": 0, "trials": [{accuracy, loss, diverged_step, diverged_tensor}, ...]}   trials: of a recipe with "tune"
 * then, at any time, {"do": "pause"|"resume"}; measuring workers get {"do": "round", "number": n} and {"do": "finish"}.
 * The end of stdin means that the runner is gone: the worker ends at once.
 *
 * stdout, one JSON object a line, "event" first:
 *   started   {provenance{...}, plan{...}, parameters, flops}
 *   progress  {step, steps, loss, seconds}
 *   point     {step, name, tag, value}
 *   log       {text}
 *   ready, round {number}     measuring: loaded; a round is done
 *   done      {result{...}}   every row of the stage, worker-result.c
 *   diverged  {step, tensor, result{...}}
 *   failed    {reason, input} input: true where a person can mend it (missing data) */
#pragma once

#include "app/architecture/architecture.h"
#include "storage/storage.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/** fm_worker_main: serves one stage on stdin and stdout, or questions with @explore; returns the exit status. */
FM_API int fm_worker_main (gboolean explore);

G_END_DECLS
