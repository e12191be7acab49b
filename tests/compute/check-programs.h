/* check-programs.h: small programs that between them use every kind of op, for a comparison of two devices. */
#pragma once

#include "compute/compute-private.h"

typedef struct
{
  const char *name;
  void      (*build) (FmGraph *g); /* inputs of any name; outputs too */
  guint       runs;                /* compared after each; more than one where a run changes variables */
  gdouble     tolerance;           /* of |a - b| / max (1, |b|) */
  const char *why;
} FmCheckProgram;

extern const FmCheckProgram fm_check_programs[]; /* ended by a row without a name */

/**
 * fm_check_program_run:
 * @worst: (out): largest difference seen
 *
 * Builds the program twice, runs it on both devices from the same variables and inputs and compares every output.
 * Returns: whether all stayed within the tolerance; FALSE with @error when one could not run
 */
gboolean fm_check_program_run (const FmCheckProgram *program, FmDevice *device, FmDevice *reference, gdouble *worst,
                               GError **error);
