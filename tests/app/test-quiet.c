/* test-quiet.c: the lock that keeps the machine still for a measurement. Each FmQuiet has files of its own, so several
 * in one process stand for several processes. */
#include "app/run/run-private.h"

#include <glib/gstdio.h>

enum { NOT_YET, HAS_IT };

typedef struct
{
  gint state;
  gint end; /* set by the test: give it back */
} Holder;

static gpointer
measure (gpointer data)
{
  Holder *h = data;
  g_autoptr (FmQuiet) quiet = fm_quiet_new ();

  fm_quiet_begin_measurement (quiet);
  g_atomic_int_set (&h->state, HAS_IT);
  while (!g_atomic_int_get (&h->end))
    g_usleep (1000);
  fm_quiet_end (quiet);
  return NULL;
}

static gpointer
step (gpointer data)
{
  Holder *h = data;
  g_autoptr (FmQuiet) quiet = fm_quiet_new ();

  fm_quiet_begin_step (quiet);
  g_atomic_int_set (&h->state, HAS_IT);
  fm_quiet_end (quiet);
  return NULL;
}

static void
wait_for (Holder *h)
{
  for (guint i = 0; i < 5000 && !g_atomic_int_get (&h->state); i++)
    g_usleep (1000);
  g_assert_cmpint (g_atomic_int_get (&h->state), ==, HAS_IT);
}

static void
test_turnstile (void)
{
  g_autofree char *folder = g_dir_make_tmp ("fm-XXXXXX", NULL);
  g_autoptr (FmQuiet) one = NULL, two = NULL;
  Holder measuring = { 0 }, late = { 0 };
  GThread *a, *b;

  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  one = fm_quiet_new ();
  two = fm_quiet_new ();

  /* Two workers step side by side. */
  fm_quiet_begin_step (one);
  fm_quiet_begin_step (two);
  fm_quiet_end (two);

  /* A measurement waits for the step that is on; a step that comes later waits for the measurement. */
  a = g_thread_new ("measure", measure, &measuring);
  g_usleep (50000);
  g_assert_cmpint (g_atomic_int_get (&measuring.state), ==, NOT_YET);
  b = g_thread_new ("step", step, &late);
  g_usleep (50000);
  g_assert_cmpint (g_atomic_int_get (&late.state), ==, NOT_YET);

  fm_quiet_end (one);
  wait_for (&measuring);
  g_usleep (50000);
  g_assert_cmpint (g_atomic_int_get (&late.state), ==, NOT_YET);
  g_atomic_int_set (&measuring.end, 1);
  wait_for (&late);
  g_thread_join (a);
  g_thread_join (b);
}

static void
test_rates (void)
{
  FmRecipe recipe = { .steps = 100, .warmup = 10, .rate = 1.0 };

  g_assert_cmpfloat_with_epsilon (fm_recipe_rate (&recipe, 1), 0.1, 1e-6);
  g_assert_cmpfloat_with_epsilon (fm_recipe_rate (&recipe, 10), 1.0, 1e-6);
  g_assert_cmpfloat_with_epsilon (fm_recipe_rate (&recipe, 55), 0.5, 1e-6);
  g_assert_cmpfloat_with_epsilon (fm_recipe_rate (&recipe, 100), 0.0, 1e-6);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quiet/turnstile", test_turnstile);
  g_test_add_func ("/quiet/rates", test_rates);
  return g_test_run ();
}
