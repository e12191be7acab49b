/* explore.c: the client of a resident worker: questions go out in order, answers come back by number. */
#include "config.h"

#include "app/run/explore.h"
#include "app/run/run-private.h"

#include <string.h>

struct _FmExplorer
{
  GObject           parent;
  GSubprocess      *process;
  GDataInputStream *out;
  GCancellable     *cancellable;
  GHashTable       *waiting; /* number -> GTask */
  gint64            next;
  char             *gone; /* why nothing more will be answered, or NULL */
};

G_DEFINE_FINAL_TYPE (FmExplorer, fm_explorer, G_TYPE_OBJECT)

static GTask *
take_task (FmExplorer *self, gint64 id)
{
  gpointer key = GSIZE_TO_POINTER ((gsize) id), value = NULL;

  g_hash_table_steal_extended (self->waiting, key, NULL, &value);
  return value;
}

static void
answer (FmExplorer *self, JsonObject *object)
{
  g_autoptr (GTask) task = take_task (self, fm_json_int (object, "id", 0));
  const char *text = fm_json_text (object, "error", NULL);
  JsonObject *body = fm_json_object (object, "answer");
  g_autoptr (GError) error = NULL;
  FmExploreAnswer *a = NULL;

  if (task == NULL)
    return; /* nobody waits any more */
  if (body)
    a = fm_explore_answer_from_json (body, &error);
  else
    g_set_error (&error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s", text ? text : "The worker gave no answer");
  if (a)
    g_task_return_pointer (task, a, (GDestroyNotify) fm_explore_answer_free);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/* The worker died: everybody who waits is told so. */
static void
end (FmExplorer *self, const char *reason)
{
  GHashTableIter iter;
  gpointer task;
  g_autoptr (GHashTable) waiting = g_steal_pointer (&self->waiting);

  self->waiting = g_hash_table_new_full (NULL, NULL, NULL, g_object_unref);
  g_free (self->gone);
  self->gone = g_strdup (reason);
  g_hash_table_iter_init (&iter, waiting);
  while (g_hash_table_iter_next (&iter, NULL, &task))
    g_task_return_new_error (task, FM_APP_ERROR, FM_APP_ERROR_RUN, "%s", reason);
}

static void
line_read (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (FmExplorer) self = g_weak_ref_get (data);
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, &error);
  g_autoptr (JsonObject) object = NULL;

  if (self == NULL || line == NULL)
    {
      if (self && !g_cancellable_is_cancelled (self->cancellable))
        end (self, "The worker that held the model has ended; open the run again");
      g_weak_ref_clear (data);
      g_free (data);
      return;
    }
  object = fm_json_parse (line, -1, NULL);
  if (object)
    answer (self, object);
  g_data_input_stream_read_line_async (self->out, G_PRIORITY_DEFAULT, self->cancellable, line_read, data);
}

static gboolean
send_line (FmExplorer *self, JsonObject *object, GError **error)
{
  g_autofree char *line = fm_json_line (object);

  return g_output_stream_write_all (g_subprocess_get_stdin_pipe (self->process), line, strlen (line), NULL, NULL, error);
}

FmExplorer *
fm_explorer_new_for_run (FmStore *store, gint64 run, GError **error)
{
  g_autoptr (FmRunRecord) record = fm_store_load_run (store, run, error);
  g_autoptr (FmStageRecord) stage = NULL;
  g_autoptr (FmExplorer) self = NULL;
  g_autoptr (JsonObject) request = NULL, recipe = NULL;
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autofree char *checkpoint = NULL, *program = fm_program_path ();
  GWeakRef *weak;

  if (record == NULL)
    return NULL;
  if (record->stages->len > 0)
    stage = fm_store_load_stage (store, g_ptr_array_index (record->stages, 0), error);
  if (stage == NULL)
    return NULL;
  checkpoint = fm_store_artifact_path (store, stage->id, FM_CHECKPOINT_FILE);
  if (stage->state != FM_STAGE_DONE || !g_file_test (checkpoint, G_FILE_TEST_IS_REGULAR))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "Run %" G_GINT64_FORMAT " (%s) has no trained model: its "
                   "training is %s", run, record->variant, fm_stage_state_to_string (stage->state));
      return NULL;
    }
  recipe = fm_json_parse (stage->recipe, -1, error);
  if (recipe == NULL)
    return NULL;

  self = g_object_new (FM_TYPE_EXPLORER, NULL);
  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  self->process = g_subprocess_launcher_spawn (launcher, error, program, "worker", "--explore", NULL);
  if (self->process == NULL)
    {
      g_prefix_error (error, "The worker program %s cannot be started: ", program);
      return NULL;
    }
  self->out = g_data_input_stream_new (g_subprocess_get_stdout_pipe (self->process));
  request = json_object_new ();
  json_object_set_object_member (request, "recipe", json_object_ref (recipe));
  json_object_set_string_member (request, "checkpoint", checkpoint);
  json_object_set_int_member (request, "threads", 1);
  if (!send_line (self, request, error))
    return NULL;
  /* The read must not keep the object: its last reference ends the process. */
  weak = g_new0 (GWeakRef, 1);
  g_weak_ref_init (weak, self);
  g_data_input_stream_read_line_async (self->out, G_PRIORITY_DEFAULT, self->cancellable, line_read, weak);
  return g_steal_pointer (&self);
}

void
fm_explorer_ask_async (FmExplorer *self, const char *split, gint64 example, const gfloat *pixels, gsize n_pixels,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (JsonObject) question = json_object_new ();
  g_autoptr (GError) error = NULL;
  gint64 id = ++self->next;

  g_task_set_source_tag (task, fm_explorer_ask_async);
  if (self->gone)
    {
      g_task_return_new_error (task, FM_APP_ERROR, FM_APP_ERROR_RUN, "%s", self->gone);
      return;
    }
  json_object_set_int_member (question, "id", id);
  json_object_set_string_member (question, "split", split);
  json_object_set_int_member (question, "example", example);
  if (pixels)
    {
      g_autofree char *text = g_base64_encode ((const guchar *) pixels, n_pixels * sizeof (gfloat));

      json_object_set_string_member (question, "values", text);
    }
  if (!send_line (self, question, &error))
    {
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  g_hash_table_insert (self->waiting, GSIZE_TO_POINTER ((gsize) id), g_steal_pointer (&task));
}

FmExploreAnswer *
fm_explorer_ask_finish (FmExplorer *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
fm_explorer_dispose (GObject *object)
{
  FmExplorer *self = FM_EXPLORER (object);

  g_cancellable_cancel (self->cancellable);
  if (self->process)
    g_subprocess_force_exit (self->process);
  g_clear_object (&self->out);
  g_clear_object (&self->process);
  G_OBJECT_CLASS (fm_explorer_parent_class)->dispose (object);
}

static void
fm_explorer_finalize (GObject *object)
{
  FmExplorer *self = FM_EXPLORER (object);

  g_clear_object (&self->cancellable);
  g_hash_table_unref (self->waiting);
  g_free (self->gone);
  G_OBJECT_CLASS (fm_explorer_parent_class)->finalize (object);
}

static void
fm_explorer_class_init (FmExplorerClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = fm_explorer_dispose;
  G_OBJECT_CLASS (klass)->finalize = fm_explorer_finalize;
}

static void
fm_explorer_init (FmExplorer *self)
{
  self->cancellable = g_cancellable_new ();
  self->waiting = g_hash_table_new_full (NULL, NULL, NULL, g_object_unref);
}
