/* program.h: drives the built `formarium` in folders of its own: nothing of the person who runs the tests is touched. */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

/* One test's folders; $XDG_* of this process and its children point into it. */
typedef struct
{
  char *folder;
  char *store; /* the default store's file */
} Place;

Place *place_new  (void);
void   place_free (Place *place); /* removes the folder */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Place, place_free)

/* place_batch: (transfer full): writes a batch file of mqar with @variants, @seeds and @more lines of [batch]. */
char *place_batch (Place *place, const char *name, const char *variants, int seeds, int steps, const char *more);

typedef struct
{
  int   status; /* exit status, 128 + signal when killed */
  char *out, *err;
} Run;

void run_free (Run *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Run, run_free)

/* program: runs to the end. */
Run         *program       (const char *first, ...) G_GNUC_NULL_TERMINATED;
/* program_start: starts it and goes on; its output is thrown away. */
GSubprocess *program_start (const char *first, ...) G_GNUC_NULL_TERMINATED;

/* (transfer full): standard output as an array. */
JsonArray *run_rows (const Run *run);

/* expect: @run, which must have ended with @status. */
Run *expect  (int status, Run *run);
/* refused: takes @run: exit 2, one sentence with @says on standard error, nothing on standard output. */
void refused (Run *run, const char *says);

/* number: the first number that @sql finds in the database @path; -1 while there is none. */
gint64 number (const char *path, const char *sql);
