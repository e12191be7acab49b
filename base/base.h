/* base.h: what every folder may use and nothing more: the export mark, typed parameters, counter-based randomness,
 * checked sizes and the nearest name for a typo. It knows no tensor, no task and no table. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define FM_API __attribute__ ((visibility ("default")))

/* --- Typed parameters --------------------------------------------------------------------------------------------
 * One row describes one field of a struct: the Bench control, `--set heads=8`, the batch file's check, the stored
 * column and the documentation all come from it. Plugins and tasks use the same rows. */

typedef enum
{
  FM_PARAM_END_OF_LIST = 0,
  FM_PARAM_TYPE_INT,    /* field is gint64 */
  FM_PARAM_TYPE_DOUBLE, /* field is gdouble */
  FM_PARAM_TYPE_CHOICE, /* field is gint64, an index into `choices` */
  FM_PARAM_TYPE_BOOL,   /* field is gint64, 0 or 1 */
} FmParamType;

typedef struct
{
  const char         *name;
  FmParamType         type;
  gsize               offset;  /* of the field, bytes */
  gdouble             value;   /* default */
  gdouble             minimum; /* inclusive */
  gdouble             maximum; /* inclusive */
  const char * const *choices; /* NULL-terminated; for CHOICE only */
  const char         *unit;    /* or NULL */
  const char         *help;    /* one sentence, no full stop needed */
} FmParam;

/* FM_PARAM_INT (Struct, field, default, min, max, unit, help): the name is the field's, `_` written as `-`. */
#define FM_PARAM_INT(S, field, def, min, max, unit, help) \
  { #field, FM_PARAM_TYPE_INT, G_STRUCT_OFFSET (S, field), (def), (min), (max), NULL, (unit), (help) }
#define FM_PARAM_DOUBLE(S, field, def, min, max, unit, help) \
  { #field, FM_PARAM_TYPE_DOUBLE, G_STRUCT_OFFSET (S, field), (def), (min), (max), NULL, (unit), (help) }
#define FM_PARAM_CHOICE(S, field, list, help) \
  { #field, FM_PARAM_TYPE_CHOICE, G_STRUCT_OFFSET (S, field), 0, 0, (G_N_ELEMENTS (list) - 2), (list), NULL, (help) }
#define FM_PARAM_BOOL(S, field, def, help) \
  { #field, FM_PARAM_TYPE_BOOL, G_STRUCT_OFFSET (S, field), (def), 0, 1, NULL, NULL, (help) }
#define FM_PARAM_END { NULL, FM_PARAM_END_OF_LIST, 0, 0, 0, 0, NULL, NULL, NULL }

#define FM_BASE_ERROR (fm_base_error_quark ())
FM_API GQuark fm_base_error_quark (void);
typedef enum
{
  FM_BASE_ERROR_PARAM, /* unknown name, wrong type, out of range */
} FmBaseError;

/**
 * fm_params_set_defaults:
 * @params: (nullable): rows ended by FM_PARAM_END
 * @values: (out caller-allocates): the struct the rows describe
 */
FM_API void fm_params_set_defaults (const FmParam *params, gpointer values);

/**
 * fm_params_set:
 * @params: (nullable): rows ended by FM_PARAM_END
 * @values: the struct the rows describe
 * @name: parameter name; `-` and `_` are the same
 * @text: the value as a person writes it
 *
 * Parses and range-checks one value. On an error nothing changes and the sentence says what would be right.
 */
FM_API gboolean fm_params_set (const FmParam *params, gpointer values, const char *name, const char *text,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_params_get: (transfer full): the value as fm_params_set() would read it back, or NULL for an unknown name. */
FM_API char *fm_params_get (const FmParam *params, gconstpointer values, const char *name);

/** fm_params_to_string: (transfer full): every value in table order, `heads=4 eps=1e-06`; part of stage identity. */
FM_API char *fm_params_to_string (const FmParam *params, gconstpointer values);

/** fm_params_find: (nullable): the row called @name (`-` equals `_`). */
FM_API const FmParam *fm_params_find (const FmParam *params, const char *name);

/**
 * fm_nearest_name:
 * @word: what was typed
 * @names: NULL-terminated candidates
 *
 * Returns: (nullable): the candidate at the smallest edit distance, if it is near enough to be meant
 */
FM_API const char *fm_nearest_name (const char *word, const char * const *names);

/* --- Counter-based randomness ------------------------------------------------------------------------------------
 * Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2. The shader
 * compute/ops/random.comp repeats it word for word; a test compares the bits. */

static inline void
fm_philox (guint64 key, guint64 counter_low, guint64 counter_high, guint32 out[4])
{
  guint32 k0 = (guint32) key, k1 = (guint32) (key >> 32);
  guint32 c0 = (guint32) counter_low, c1 = (guint32) (counter_low >> 32);
  guint32 c2 = (guint32) counter_high, c3 = (guint32) (counter_high >> 32);

  for (int round = 0; round < 10; round++)
    {
      guint64 p0 = (guint64) 0xD2511F53u * c0, p1 = (guint64) 0xCD9E8D57u * c2;
      guint32 n0 = (guint32) (p1 >> 32) ^ c1 ^ k0, n2 = (guint32) (p0 >> 32) ^ c3 ^ k1;

      c1 = (guint32) p1;
      c3 = (guint32) p0;
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** fm_hash: FNV-1a of @text with splitmix64's finaliser: a 64-bit key that depends on the text alone. */
FM_API guint64 fm_hash (const char *text);

/* A stream of draws for host code (tasks, initial values): the same numbers for the same (seed, stream). */
typedef struct
{
  guint64 seed;
  guint64 stream;
  guint64 counter;
  guint32 block[4];
  guint   used; /* of block; 4 = empty */
} FmRandom;

FM_API void    fm_random_init    (FmRandom *random, guint64 seed, guint64 stream);
FM_API guint32 fm_random_uint32  (FmRandom *random);
FM_API guint64 fm_random_below   (FmRandom *random, guint64 n); /* uniform in [0,n), n > 0, without modulo bias */
FM_API gdouble fm_random_uniform (FmRandom *random);            /* [0,1), 53 bits */
FM_API gdouble fm_random_normal  (FmRandom *random);            /* mean 0, variance 1 (Box-Muller) */

/** fm_size_product: the product of @n sizes, or FALSE when it overflows or a size is negative. */
FM_API gboolean fm_size_product (const gint64 *sizes, guint n, gsize *product) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
