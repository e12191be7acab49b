/* status.c: how far a batch is, as a copy for the caller and as JSON for the control socket. */
#include "config.h"

#include "app/run/run-private.h"

#include <math.h>

const char *
fm_run_phase_to_string (FmRunPhase phase)
{
  static const char * const names[] = { "training", "measuring", "paused", "done", "cancelled" };

  return names[phase];
}

FmRunWorker *
fm_run_worker_new (void)
{
  FmRunWorker *worker = g_new0 (FmRunWorker, 1);

  worker->loss = worker->steps_per_s = worker->seconds_left = NAN;
  return worker;
}

static void
worker_free (gpointer data)
{
  FmRunWorker *worker = data;

  g_free (worker->stage);
  g_free (worker->kind);
  g_free (worker->variant);
  g_free (worker);
}

FmRunStatus *
fm_run_status_new (void)
{
  FmRunStatus *status = g_new0 (FmRunStatus, 1);

  status->seconds_left = NAN;
  status->workers = g_ptr_array_new_with_free_func (worker_free);
  return status;
}

FmRunStatus *
fm_run_status_copy (const FmRunStatus *status)
{
  FmRunStatus *copy = g_memdup2 (status, sizeof *status);

  copy->title = g_strdup (status->title);
  copy->store = g_strdup (status->store);
  copy->command = g_strdup (status->command);
  copy->workers = g_ptr_array_new_with_free_func (worker_free);
  for (guint i = 0; i < status->workers->len; i++)
    {
      FmRunWorker *worker = g_memdup2 (g_ptr_array_index (status->workers, i), sizeof *worker);

      worker->stage = g_strdup (worker->stage);
      worker->kind = g_strdup (worker->kind);
      worker->variant = g_strdup (worker->variant);
      g_ptr_array_add (copy->workers, worker);
    }
  return copy;
}

void
fm_run_status_free (FmRunStatus *status)
{
  if (status == NULL)
    return;
  g_free (status->title);
  g_free (status->store);
  g_free (status->command);
  g_ptr_array_unref (status->workers);
  g_free (status);
}

JsonNode *
fm_run_status_to_json (const FmRunStatus *status)
{
  JsonObject *object = json_object_new ();
  JsonArray *workers = json_array_new ();
  JsonNode *node = json_node_alloc ();

  json_object_set_int_member (object, "batch", status->batch);
  json_object_set_string_member (object, "title", status->title ? status->title : "");
  json_object_set_string_member (object, "store", status->store ? status->store : "");
  json_object_set_string_member (object, "command", status->command ? status->command : "");
  json_object_set_int_member (object, "pid", status->pid);
  json_object_set_string_member (object, "phase", fm_run_phase_to_string (status->phase));
  json_object_set_int_member (object, "n_stages", status->n_stages);
  json_object_set_int_member (object, "n_done", status->n_done);
  json_object_set_int_member (object, "n_failed", status->n_failed);
  json_object_set_int_member (object, "n_train", status->n_train);
  json_object_set_int_member (object, "n_train_done", status->n_train_done);
  json_object_set_int_member (object, "started_us", status->started_us);
  fm_json_set_double (object, "fraction", status->fraction);
  fm_json_set_double (object, "seconds_left", status->seconds_left);
  for (guint i = 0; i < status->workers->len; i++)
    {
      const FmRunWorker *w = g_ptr_array_index (status->workers, i);
      JsonObject *row = json_object_new ();

      json_object_set_string_member (row, "stage", w->stage);
      json_object_set_string_member (row, "kind", w->kind);
      json_object_set_string_member (row, "variant", w->variant ? w->variant : "");
      json_object_set_int_member (row, "seed", w->seed);
      json_object_set_int_member (row, "run", w->run);
      json_object_set_int_member (row, "step", w->step);
      json_object_set_int_member (row, "steps", w->steps);
      fm_json_set_double (row, "loss", w->loss);
      fm_json_set_double (row, "steps_per_s", w->steps_per_s);
      fm_json_set_double (row, "seconds_left", w->seconds_left);
      json_array_add_object_element (workers, row);
    }
  json_object_set_array_member (object, "workers", workers);
  json_node_init_object (node, object);
  json_object_unref (object);
  return node;
}

FmRunStatus *
fm_run_status_from_json (JsonNode *node, GError **error)
{
  g_autoptr (FmRunStatus) status = fm_run_status_new ();
  JsonObject *object;
  JsonArray *workers;
  const char *phase;

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "A status is a JSON object");
      return NULL;
    }
  object = json_node_get_object (node);
  status->batch = fm_json_int (object, "batch", 0);
  status->title = g_strdup (fm_json_text (object, "title", ""));
  status->store = g_strdup (fm_json_text (object, "store", ""));
  status->command = g_strdup (fm_json_text (object, "command", ""));
  status->pid = fm_json_int (object, "pid", 0);
  phase = fm_json_text (object, "phase", "training");
  for (FmRunPhase p = FM_RUN_TRAINING; p <= FM_RUN_CANCELLED; p++)
    if (g_str_equal (fm_run_phase_to_string (p), phase))
      status->phase = p;
  status->n_stages = fm_json_int (object, "n_stages", 0);
  status->n_done = fm_json_int (object, "n_done", 0);
  status->n_failed = fm_json_int (object, "n_failed", 0);
  status->n_train = fm_json_int (object, "n_train", 0);
  status->n_train_done = fm_json_int (object, "n_train_done", 0);
  status->started_us = fm_json_int (object, "started_us", 0);
  status->fraction = fm_json_double (object, "fraction", 0);
  status->seconds_left = fm_json_double (object, "seconds_left", NAN);
  workers = fm_json_array (object, "workers");
  for (guint i = 0; workers && i < json_array_get_length (workers); i++)
    {
      JsonNode *element = json_array_get_element (workers, i);
      JsonObject *row = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;
      FmRunWorker *w = fm_run_worker_new ();

      w->stage = g_strdup (fm_json_text (row, "stage", ""));
      w->kind = g_strdup (fm_json_text (row, "kind", ""));
      w->variant = g_strdup (fm_json_text (row, "variant", ""));
      w->seed = fm_json_int (row, "seed", 0);
      w->run = fm_json_int (row, "run", 0);
      w->step = fm_json_int (row, "step", 0);
      w->steps = fm_json_int (row, "steps", 0);
      w->loss = fm_json_double (row, "loss", NAN);
      w->steps_per_s = fm_json_double (row, "steps_per_s", NAN);
      w->seconds_left = fm_json_double (row, "seconds_left", NAN);
      g_ptr_array_add (status->workers, w);
    }
  return g_steal_pointer (&status);
}
