/* command.h: the table of subcommands. One file a subcommand: add NAME.c with a function and an FmCommand, name it in
 * main.c's table and in meson.build.
 *
 * Exit statuses: 0 done, 1 failed, 2 wrong use or input, 3 some runs failed, 4 a difference found, 130 interrupted.
 * Data goes to stdout, progress and messages to stderr. */
#pragma once

#include "app/architecture/plugins.h"
#include "base/base.h"
#include "storage/storage.h"

#include <gio/gio.h>
#include <json-glib/json-glib.h>

enum
{
  FM_EXIT_OK = 0,
  FM_EXIT_FAILED = 1,
  FM_EXIT_INPUT = 2,
  FM_EXIT_SOME_FAILED = 3,
  FM_EXIT_DIFFERENT = 4,
  FM_EXIT_INTERRUPTED = 130,
};

typedef enum
{
  FM_FLAG_BOOL,
  FM_FLAG_TEXT,
  FM_FLAG_LINES, /* TEXT that may be given several times: all of them, a line each */
} FmFlagKind;

/* One row a flag: parsing, help and the nearest name on a typo come from it. */
typedef struct
{
  const char *name; /* "--json"; NULL ends the table */
  char        letter; /* 'o' for -o, or 0 */
  FmFlagKind  kind;
  const char *value; /* "FILE" in the help; not of BOOL */
  const char *help;
} FmFlag;
#define FM_FLAG_END { NULL, 0, FM_FLAG_BOOL, NULL, NULL }

/* A parsed command line; asked by flag name. */
typedef struct _FmArgs FmArgs;
const char *fm_args_get   (const FmArgs *args, const char *flag); /* (nullable): text, or "" for a set BOOL */
gboolean    fm_args_has   (const FmArgs *args, const char *flag);
guint       fm_args_count (const FmArgs *args);              /* words that are no flags */
const char *fm_args_word  (const FmArgs *args, guint index); /* (nullable) */

typedef struct
{
  const char *name;
  const char *summary;  /* one line, no full stop */
  const char *example;  /* first thing the help shows; may hold several lines */
  const char *usage;    /* "FILE.batch" behind the flags */
  const char *help;     /* (nullable): a paragraph more */
  const FmFlag *flags;
  guint       min_words, max_words;
  gboolean    hidden;
  int       (*run) (const FmArgs *args);
} FmCommand;

/** fm_command_error: prints `formarium: SENTENCE`, frees @error, returns the exit status of its kind. */
int fm_command_error (GError *error);
/** fm_command_usage: the same for a sentence; FM_EXIT_INPUT. */
int fm_command_usage (const char *format, ...) G_GNUC_PRINTF (1, 2);

/** fm_command_print_json: an array or object on stdout, pretty; FALSE when stdout could not be written. */
int fm_command_print_json (JsonNode *node);

/** fm_command_print_results: the table (or JSON) of one batch, 0 for all, on stdout; in run.c. */
int fm_command_print_results (FmStore *store, gint64 batch, gboolean json);

/** fm_command_open_store: of `--store` or the default. */
FmStore *fm_command_open_store (const FmArgs *args, FmStoreMode mode, GError **error);

/** fm_commands: (array zero-terminated=1): all subcommands, in the order the help shows them; in main.c. */
const FmCommand * const *fm_commands (void);

extern const FmCommand fm_command_bench, fm_command_bundle, fm_command_check, fm_command_claims, fm_command_compare,
    fm_command_completion, fm_command_data, fm_command_figure, fm_command_inspect, fm_command_list, fm_command_map,
    fm_command_report, fm_command_reproduce, fm_command_results, fm_command_resume, fm_command_routing, fm_command_run,
    fm_command_store, fm_command_worker;
