/* worker.c: the process behind one stage: reads its request, keeps an ear on the runner, and hands the stage over to
 * train.c or measure.c. */
#include "config.h"

#include "app/run/provenance.h"
#include "app/run/roof.h"
#include "app/run/run-private.h"
#include "app/run/worker.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* --- Listening -----------------------------------------------------------------------------------------------------
 * A thread reads stdin, so that a worker deep in a long step still notices the end of its runner. */

static struct
{
  GAsyncQueue *commands; /* JsonObject */
  GMutex       lock;
  GCond        changed;
  gint         paused; /* also read without the lock, once a step */
} ear;

static gpointer
listen_thread (gpointer data)
{
  FILE *in = data;
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;

  while ((length = getline (&line, &capacity, in)) > 0)
    {
      JsonObject *object = fm_json_parse (line, length, NULL);
      const char *what = object ? fm_json_text (object, "do", "") : "";

      if (object == NULL)
        continue;
      if (g_str_equal (what, "pause") || g_str_equal (what, "resume"))
        {
          g_mutex_lock (&ear.lock);
          g_atomic_int_set (&ear.paused, g_str_equal (what, "pause"));
          g_cond_broadcast (&ear.changed);
          g_mutex_unlock (&ear.lock);
          json_object_unref (object);
        }
      else
        g_async_queue_push (ear.commands, object);
    }
  /* Nobody is left to whom a result could be told. */
  _exit (0);
  return NULL;
}

static void
listen (void)
{
  ear.commands = g_async_queue_new_full ((GDestroyNotify) json_object_unref);
  g_thread_unref (g_thread_new ("runner", listen_thread, stdin));
}

void
fm_worker_wait_while_paused (void)
{
  if (!g_atomic_int_get (&ear.paused))
    return;
  g_mutex_lock (&ear.lock);
  while (g_atomic_int_get (&ear.paused))
    g_cond_wait (&ear.changed, &ear.lock);
  g_mutex_unlock (&ear.lock);
}

JsonObject *
fm_worker_next_command (void)
{
  return g_async_queue_pop (ear.commands);
}

/* --- Speaking ------------------------------------------------------------------------------------------------------*/

static FILE *mouth;

void
fm_worker_send (JsonObject *message)
{
  g_autofree char *line = fm_json_line (message);

  /* A broken pipe ends the process by its signal, which is right: nobody reads. */
  fputs (line, mouth);
  fflush (mouth);
  json_object_unref (message);
}

void
fm_worker_log (const char *format, ...)
{
  JsonObject *message = json_object_new ();
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  json_object_set_string_member (message, "event", "log");
  json_object_set_string_member (message, "text", text);
  fm_worker_send (message);
}

void
fm_worker_send_started (FmJob *job, const FmPlan *plan, guint64 parameters, gdouble flops)
{
  JsonObject *message = json_object_new (), *bytes = json_object_new ();

  json_object_set_string_member (message, "event", "started");
  json_object_set_object_member (message, "provenance", json_object_ref (job->provenance));
  json_object_set_int_member (bytes, "peak", (gint64) plan->peak_bytes);
  json_object_set_int_member (bytes, "parameters", (gint64) plan->parameter_bytes);
  json_object_set_int_member (bytes, "optimizer", (gint64) plan->optimizer_bytes);
  json_object_set_int_member (bytes, "arena", (gint64) plan->arena_bytes);
  json_object_set_object_member (message, "plan_bytes", bytes);
  json_object_set_int_member (message, "parameters", (gint64) parameters);
  fm_json_set_double (message, "flops", flops);
  fm_worker_send (message);
}

void
fm_worker_send_result (FmJob *job, FmStageResult *result, const char *event)
{
  JsonObject *message = json_object_new ();
  g_autofree char *provenance = NULL;

  fm_provenance_add_clock (job->provenance, "clock_end_mhz");
  provenance = fm_json_line (job->provenance);
  g_free (result->provenance);
  result->provenance = g_strdup (g_strchomp (provenance));
  json_object_set_string_member (message, "event", event);
  json_object_set_object_member (message, "result", fm_stage_result_to_json (result));
  fm_worker_send (message);
}

gboolean
fm_add_artifact_file (FmStageResult *result, FmJob *job, const char *kind, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (job->artifacts, name, NULL);
  g_autofree char *relative = g_build_filename (job->stage, name, NULL);
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, error);
  g_autofree char *sum = NULL;
  gsize length;

  if (file == NULL)
    return FALSE;
  length = g_mapped_file_get_length (file);
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) g_mapped_file_get_contents (file), length);
  fm_stage_result_add_artifact (result, kind, relative, (gint64) length, sum);
  return TRUE;
}

/* --- Memory of this process ----------------------------------------------------------------------------------------
 * The measured peak of a stage is the growth of the resident set from the moment its data and libraries are loaded to
 * its highest point since: that is what the plan speaks of. The whole process is recorded beside it. */

static gint64
status_bytes (const char *field)
{
  g_autofree char *text = NULL;
  const char *at;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return -1;
  at = strstr (text, field);
  return at ? g_ascii_strtoll (at + strlen (field), NULL, 10) * 1024 : -1;
}

gint64
fm_memory_reset (void)
{
  FILE *file = g_fopen ("/proc/self/clear_refs", "we");

  if (file)
    {
      fputs ("5", file);
      fclose (file);
    }
  return status_bytes ("VmRSS:");
}

gint64
fm_memory_peak (void)
{
  return status_bytes ("VmHWM:");
}

void
fm_worker_send_roof (FmJob *job, const FmRoof *roof)
{
  JsonObject *message = json_object_new (), *record = fm_roof_to_json (fm_device_get_info (job->device), job->threads, roof);

  json_object_set_string_member (message, "event", "roof");
  json_object_set_object_member (message, "roof", record);
  fm_worker_send (message);
}

void
fm_add_plan_memory (FmStageResult *result, const FmPlan *plan, gint64 measured_peak_bytes)
{
  fm_stage_result_add_memory (result, "peak", (gint64) plan->peak_bytes, measured_peak_bytes);
  fm_stage_result_add_memory (result, "parameters", (gint64) plan->parameter_bytes, -1);
  fm_stage_result_add_memory (result, "optimizer", (gint64) plan->optimizer_bytes, -1);
  fm_stage_result_add_memory (result, "state", (gint64) plan->state_bytes, -1);
  fm_stage_result_add_memory (result, "activations", (gint64) plan->activation_bytes, -1);
  fm_stage_result_add_memory (result, "gradients", (gint64) plan->gradient_bytes, -1);
  fm_stage_result_add_memory (result, "workspace", (gint64) plan->workspace_bytes, -1);
  fm_stage_result_add_memory (result, "inputs", (gint64) plan->input_bytes, -1);
  fm_stage_result_add_memory (result, "process", -1, fm_memory_peak ());
}

/* --- The stage -----------------------------------------------------------------------------------------------------*/

static void
job_clear (FmJob *job)
{
  g_free (job->stage);
  g_free (job->checkpoint);
  g_strfreev (job->checkpoints);
  g_free (job->artifacts);
  g_free (job->session);
  g_clear_pointer (&job->recipe, fm_recipe_free);
  g_clear_pointer (&job->quiet, fm_quiet_free);
  g_clear_pointer (&job->device, fm_device_unref);
  g_clear_pointer (&job->provenance, json_object_unref);
}

static gboolean
job_open (FmJob *job, JsonObject *request, GError **error)
{
  JsonObject *recipe = fm_json_object (request, "recipe");
  const char *checkpoint = fm_json_text (request, "checkpoint", NULL);

  if (recipe == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The request to a worker needs the member recipe");
      return FALSE;
    }
  job->stage = g_strdup (fm_json_text (request, "stage", ""));
  job->checkpoint = g_strdup (checkpoint);
  job->checkpoints = fm_json_texts (fm_json_array (request, "checkpoints"));
  job->artifacts = g_strdup (fm_json_text (request, "artifacts", NULL));
  job->threads = (guint) fm_json_int (request, "threads", 0);
  job->process = fm_json_int (request, "process", 0);
  job->session = g_strdup (fm_json_text (request, "session", NULL));
  job->block = fm_json_int (request, "block", 0);
  job->place = fm_json_int (request, "place", 0);
  job->want_looks = fm_json_bool (request, "looks");
  job->want_roof = fm_json_bool (request, "roof");
  job->trials = fm_json_array (request, "trials");
  job->recipe = fm_recipe_parse (recipe, error);
  if (job->recipe == NULL)
    return FALSE;
  if (job->threads == 0)
    job->threads = g_get_num_processors ();
  job->device = fm_device_open (job->recipe->device, job->threads, error);
  if (job->device == NULL)
    return FALSE;
  if (!fm_task_load (job->recipe->task, NULL, error))
    return FALSE;
  if (job->artifacts && g_mkdir_with_parents (job->artifacts, 0700) != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "The folder %s cannot be made: %s", job->artifacts,
                   g_strerror (errno));
      return FALSE;
    }
  job->quiet = fm_quiet_new ();
  job->provenance = fm_provenance_new (job->device, job->threads);
  fm_provenance_add_stage (job->provenance, job->recipe->kind, job->recipe->seed, job->recipe->architecture,
                           job->recipe->task);
  return TRUE;
}

static void
send_failed (const GError *error)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "event", "failed");
  json_object_set_string_member (message, "reason", error->message);
  json_object_set_boolean_member (message, "absent", g_error_matches (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT));
  fm_worker_send (message);
}

static int
serve_stage (void)
{
  g_autoptr (JsonObject) request = fm_worker_next_command ();
  g_autoptr (GError) error = NULL;
  FmJob job = { 0 };
  const char *kind = fm_json_text (request, "kind", "");
  gboolean ok = FALSE;

  if (job_open (&job, request, &error))
    {
      if (g_str_equal (kind, FM_STAGE_KIND_TRAIN) || g_str_equal (kind, FM_STAGE_KIND_TRIAL))
        ok = fm_train_stage (&job, &error);
      else if (g_str_equal (kind, FM_STAGE_KIND_MEASURE))
        ok = fm_measure_stage (&job, &error);
      else
        g_set_error (&error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There is no stage of kind %s", kind);
    }
  if (!ok)
    send_failed (error);
  job_clear (&job);
  return ok ? 0 : 1;
}

int
fm_worker_main (gboolean explore)
{
  int status;

  /* With its runner a worker dies; the end of stdin says the same where prctl is not heard (parent gone before). */
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  /* Ctrl-C in a terminal reaches the whole group: the runner decides what becomes of its workers. */
  signal (SIGINT, SIG_IGN);
  signal (SIGPIPE, SIG_DFL); /* runners ignore it, and an ignored signal outlives exec */

  /* Libraries may print; only our lines may reach the runner. */
  mouth = fdopen (dup (STDOUT_FILENO), "w");
  if (mouth == NULL || dup2 (STDERR_FILENO, STDOUT_FILENO) < 0)
    return 1;
  listen ();
  status = explore ? fm_explore_serve () : serve_stage ();
  /* Leave without waiting for the listening thread: it holds stdin, which exit() and fflush (NULL) would lock. */
  fflush (mouth);
  _exit (status);
}
