/* worker.c: `formarium worker`: the process behind a stage; people have no use for it. */
#include "config.h"

#include "app/command/command.h"
#include "app/run/worker.h"

static int
run (const FmArgs *args)
{
  return fm_worker_main (fm_args_has (args, "--explore"));
}

static const FmFlag flags[] = {
  { "--explore", 0, FM_FLAG_BOOL, NULL, "Stay and answer questions about a trained model" },
  FM_FLAG_END
};

const FmCommand fm_command_worker = {
  .name = "worker",
  .summary = "Serve one stage for a runner, on standard input and output",
  .example = "formarium worker < request.json",
  .usage = "",
  .flags = flags,
  .hidden = TRUE,
  .run = run,
};
