/* progress.c: a runner on a terminal: a bar with the time left, or a line a stage where there is none. */
#include "config.h"

#include "app/command/command.h"
#include "app/command/progress.h"
#include "app/results/format.h"

#include <glib-unix.h>
#include <math.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct
{
  GMainLoop *loop;
  FmRunner  *runner;
  gboolean   terminal;
  gboolean   bar_shown;
  const char *kept; /* what is said to stay after an interrupt; no ownership */
} Progress;

static void
clear_bar (Progress *p)
{
  if (p->bar_shown)
    g_printerr ("\r\033[K");
  p->bar_shown = FALSE;
}

static void
show_bar (Progress *p, const FmRunStatus *s)
{
  enum { WIDTH = 24 };
  guint filled = (guint) (s->fraction * WIDTH);
  g_autoptr (GString) bar = g_string_new (NULL), doing = g_string_new (NULL);
  g_autofree char *left = isnan (s->seconds_left) ? NULL : fm_format_duration (s->seconds_left);
  g_autofree char *line = NULL, *cut = NULL;
  struct winsize size = { 0 };

  for (guint i = 0; i < WIDTH; i++)
    g_string_append (bar, i < filled ? "█" : "░");
  for (guint i = 0; i < s->workers->len && i < 2; i++)
    {
      const FmRunWorker *w = g_ptr_array_index (s->workers, i);

      g_string_append_printf (doing, "%s%s %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, i ? ", " : "", w->variant, w->step,
                              w->steps);
    }
  if (s->workers->len > 2)
    g_string_append_printf (doing, " and %u more", s->workers->len - 2);
  line = g_strdup_printf ("%s %3.0f %%  %s  %s %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT "  %s", bar->str,
                          s->fraction * 100, left ? left : "", fm_run_phase_to_string (s->phase), s->n_done, s->n_stages,
                          doing->str);
  if (ioctl (STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    size.ws_col = 80;
  cut = g_utf8_substring (line, 0, MIN (g_utf8_strlen (line, -1), size.ws_col - 1));
  g_printerr ("\r\033[K%s", cut);
  p->bar_shown = TRUE;
}

static void
on_event (const FmRunStatus *s, const FmRunEvent *event, gpointer data)
{
  Progress *p = data;
  g_autofree char *log = NULL, *place = NULL;

  switch (event->kind)
    {
    case FM_RUN_EVENT_STATUS:
      if (p->terminal)
        show_bar (p, s);
      break;
    case FM_RUN_EVENT_STAGE_ENDED:
      clear_bar (p);
      place = event->place ? g_strdup_printf (" %u of %u", event->place, event->n_places) : g_strdup ("");
      g_printerr ("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT "  %s seed %" G_GINT64_FORMAT ": %s%s %s%s%s\n", s->n_done,
                  s->n_stages, event->variant, event->seed, event->stage_kind, place, event->state,
                  event->reason ? ": " : "", event->reason ? event->reason : "");
      log = fm_runner_find_log (p->runner, event->stage);
      if (log)
        g_printerr ("    its log: %s\n", log);
      break;
    case FM_RUN_EVENT_LOG:
      clear_bar (p);
      g_printerr ("%s%s%s\n", event->variant ? event->variant : "", event->variant ? ": " : "", event->text);
      break;
    case FM_RUN_EVENT_ENDED:
      clear_bar (p);
      g_main_loop_quit (p->loop);
      break;
    case FM_RUN_EVENT_STAGE_STARTED:
    case FM_RUN_EVENT_POINT:
      break;
    }
}

static gboolean
on_interrupt (gpointer data)
{
  Progress *p = data;

  clear_bar (p);
  g_printerr ("Stopping; %s\n", p->kept);
  fm_runner_cancel (p->runner);
  return G_SOURCE_CONTINUE;
}

int
fm_command_drive (FmRunner *runner, const char *kept, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Progress p = { .loop = loop, .runner = runner, .terminal = isatty (STDERR_FILENO), .kept = kept };
  guint sources[] = { g_unix_signal_add (SIGINT, on_interrupt, &p), g_unix_signal_add (SIGTERM, on_interrupt, &p) };

  fm_runner_set_event_func (runner, on_event, &p);
  fm_runner_start (runner);
  g_main_loop_run (loop);
  for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
  fm_runner_set_event_func (runner, NULL, NULL);
  if (fm_runner_get_error (runner))
    {
      if (error)
        *error = g_error_copy (fm_runner_get_error (runner));
      return FM_EXIT_FAILED;
    }
  return fm_runner_get_status (runner)->phase == FM_RUN_CANCELLED ? FM_EXIT_INTERRUPTED : FM_EXIT_OK;
}
