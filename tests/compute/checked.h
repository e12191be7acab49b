/* checked.h: programs for tests, where any error is the end of the test. */
#pragma once

#include "compute/compute-private.h"

static inline FmProgram *
compile (FmGraph *g, FmDevice *device, FmVariables *variables)
{
  g_autoptr (GError) error = NULL;
  FmProgram *program;

  g_assert_no_error ((GError *) fm_graph_get_error (g));
  program = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  return program;
}

static inline void
write (FmProgram *p, const char *name, gconstpointer data, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  fm_program_write (p, name, data, bytes, &error);
  g_assert_no_error (error);
}

static inline void
run (FmProgram *p)
{
  g_autoptr (GError) error = NULL;

  fm_program_run (p, &error);
  g_assert_no_error (error);
}

static inline void
read_variable (FmVariables *v, const char *path, gpointer data, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  fm_variables_read (v, path, data, bytes, &error);
  g_assert_no_error (error);
}

static inline void
set_variable (FmVariables *v, const char *path, gconstpointer data, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  fm_variables_write (v, path, data, bytes, &error);
  g_assert_no_error (error);
}
