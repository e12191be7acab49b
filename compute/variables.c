/* variables.c: parameters, moments and state by path, shared by all programs of a model. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/half.h"

#include <math.h>
#include <string.h>

static gdouble
normal_row (FmRandom *random, gdouble *row, gint64 d)
{
  gdouble square = 0;

  for (gint64 k = 0; k < d; k++)
    {
      row[k] = fm_random_normal (random);
      square += row[k] * row[k];
    }
  return sqrt (square);
}

/* Normal rows, each less its parts along those of its group before: the directions a QR decomposition with a positive
 * diagonal would give, so evenly spread (Mezzadri 2007, arXiv:math-ph/0609050). In double and twice, as once leaves what
 * rounding made of the first time; plain loops, so that no library's threads show in the bits. */
static void
initialise_orthogonal (const FmTensor *variable, FmRandom *random, gfloat *data, gint64 n)
{
  guint rank = variable->shape.rank;
  gint64 d = variable->shape.dims[rank - 1], rows = rank > 1 ? variable->shape.dims[rank - 2] : 1;
  g_autofree gdouble *group = g_new (gdouble, d * MIN (d, rows)), *other = g_new (gdouble, d);

  for (gint64 r = 0; r < n / d; r++)
    {
      gint64 before = r % rows % d;
      gdouble *row = group + before * d, length, left, scale = variable->init.scale;

      do
        {
          length = normal_row (random, row, d);
          for (gint64 k = 0; k < 2 * before; k++)
            {
              const gdouble *unit = group + k % before * d;
              gdouble dot = 0;

              for (gint64 i = 0; i < d; i++)
                dot += row[i] * unit[i];
              for (gint64 i = 0; i < d; i++)
                row[i] -= dot * unit[i];
            }
          left = 0;
          for (gint64 i = 0; i < d; i++)
            left += row[i] * row[i];
          left = sqrt (left);
        }
      while (left < 1e-9 * length); /* nearly inside what the others span: no direction left, draw again */
      if (variable->init.kind == FM_INIT_ORTHOGONAL_GAUSSIAN)
        scale *= normal_row (random, other, d);
      for (gint64 i = 0; i < d; i++)
        {
          row[i] /= left;
          data[r * d + i] = (gfloat) (scale * row[i]);
        }
    }
}

static void
initialise_float (const FmTensor *variable, FmRandom *random, gfloat *data, gint64 n)
{
  switch (variable->init.kind)
    {
    case FM_INIT_CONSTANT:
      for (gint64 i = 0; i < n; i++)
        data[i] = (gfloat) variable->init.scale;
      break;
    case FM_INIT_NORMAL:
      for (gint64 i = 0; i < n; i++)
        data[i] = (gfloat) (variable->init.scale * fm_random_normal (random));
      break;
    case FM_INIT_UNIFORM:
      for (gint64 i = 0; i < n; i++)
        data[i] = (gfloat) (variable->init.scale * (2.0 * fm_random_uniform (random) - 1.0));
      break;
    case FM_INIT_ORTHOGONAL:
    case FM_INIT_ORTHOGONAL_GAUSSIAN:
      initialise_orthogonal (variable, random, data, n);
      break;
    case FM_INIT_ZEROS:
    default:
      memset (data, 0, (gsize) n * sizeof (gfloat));
      break;
    }
}

void
fm_variable_initialise (const FmTensor *variable, guint64 seed, gpointer data)
{
  gint64 n = fm_shape_count (&variable->shape);
  FmRandom random;

  fm_random_init (&random, seed, fm_hash (variable->name));
  if (variable->type == FM_F32)
    initialise_float (variable, &random, data, n);
  else if (variable->type == FM_F16)
    {
      g_autofree gfloat *values = g_new (gfloat, n);

      initialise_float (variable, &random, values, n);
      for (gint64 i = 0; i < n; i++)
        ((guint16 *) data)[i] = fm_half_of (values[i]);
    }
  else
    for (gint64 i = 0; i < n; i++)
      {
        gint32 value = variable->init.kind == FM_INIT_CONSTANT ? (gint32) variable->init.scale : 0;

        if (variable->type == FM_I8)
          ((gint8 *) data)[i] = (gint8) CLAMP (value, -128, 127);
        else
          ((gint32 *) data)[i] = value;
      }
}

FmVariables *
fm_variables_new (FmDevice *device, guint64 seed)
{
  FmVariables *v = g_new0 (FmVariables, 1);

  v->refs = 1;
  v->device = fm_device_ref (device);
  v->seed = seed;
  v->table = g_hash_table_new (g_str_hash, g_str_equal);
  return v;
}

FmVariables *
fm_variables_ref (FmVariables *v)
{
  g_atomic_int_inc (&v->refs);
  return v;
}

static void
variable_free (FmVariables *v, FmVariable *variable)
{
  v->device->class->memory_free (v->device, variable->memory);
  g_free (variable->path);
  g_free (variable);
}

void
fm_variables_unref (FmVariables *v)
{
  GHashTableIter iter;
  FmVariable *variable;

  if (v == NULL || !g_atomic_int_dec_and_test (&v->refs))
    return;
  g_hash_table_iter_init (&iter, v->table);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &variable))
    variable_free (v, variable);
  g_hash_table_unref (v->table);
  fm_device_unref (v->device);
  g_free (v);
}

FmVariable *
fm_variables_lookup (FmVariables *v, const char *path)
{
  return g_hash_table_lookup (v->table, path);
}

gboolean
fm_variables_add (FmVariables *v, const char *path, FmType type, const FmShape *shape, gboolean moment,
                  gconstpointer data, GError **error)
{
  FmVariable *variable;
  gsize bytes = (gsize) fm_shape_count (shape) * fm_type_size (type);
  gpointer memory = v->device->class->memory_new (v->device, (bytes + 3) / 4 * 4, error);

  if (memory == NULL)
    return FALSE;
  if (!v->device->class->memory_write (v->device, memory, data, bytes, error))
    {
      v->device->class->memory_free (v->device, memory);
      return FALSE;
    }
  variable = g_new0 (FmVariable, 1);
  variable->path = g_strdup (path);
  variable->type = type;
  variable->shape = *shape;
  variable->bytes = bytes;
  variable->moment = moment;
  variable->memory = memory;
  g_hash_table_insert (v->table, variable->path, variable);
  return TRUE;
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

GPtrArray *
fm_variables_paths (FmVariables *v)
{
  GPtrArray *paths = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer path;

  g_hash_table_iter_init (&iter, v->table);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    g_ptr_array_add (paths, path);
  g_ptr_array_sort (paths, by_name);
  return paths;
}

gboolean
fm_variables_get_shape (FmVariables *v, const char *path, FmType *type, FmShape *shape)
{
  FmVariable *variable = fm_variables_lookup (v, path);

  if (variable == NULL)
    return FALSE;
  if (type)
    *type = variable->type;
  if (shape)
    *shape = variable->shape;
  return TRUE;
}

static FmVariable *
find_sized (FmVariables *v, const char *path, gsize bytes, GError **error)
{
  FmVariable *variable = fm_variables_lookup (v, path);

  if (variable == NULL)
    g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "there is no variable “%s”", path);
  else if (variable->bytes != bytes)
    g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                 "variable %s has %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, path, variable->bytes, bytes);
  else
    return variable;
  return NULL;
}

gboolean
fm_variables_read (FmVariables *v, const char *path, gpointer data, gsize bytes, GError **error)
{
  FmVariable *variable = find_sized (v, path, bytes, error);

  return variable && v->device->class->memory_read (v->device, variable->memory, data, bytes, error);
}

gboolean
fm_variables_write (FmVariables *v, const char *path, gconstpointer data, gsize bytes, GError **error)
{
  FmVariable *variable = find_sized (v, path, bytes, error);

  return variable && v->device->class->memory_write (v->device, variable->memory, data, bytes, error);
}

/* --- Changing what is there ----------------------------------------------------------------------------------------*/

static const char * const suffixes[] = { "", "@m", "@v", "@ema" }; /* a parameter and what the optimizer keeps of it */

/* Frees one variable; TRUE when there was one. */
static gboolean
drop (FmVariables *v, const char *path)
{
  FmVariable *variable = fm_variables_lookup (v, path);

  if (variable == NULL)
    return FALSE;
  g_hash_table_remove (v->table, path);
  variable_free (v, variable);
  v->generation++;
  return TRUE;
}

gboolean
fm_variables_remove (FmVariables *v, const char *path)
{
  gboolean found = fm_variables_lookup (v, path) != NULL;

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *full = g_strconcat (path, suffixes[i], NULL);

      drop (v, full);
    }
  return found;
}

static gboolean
sound_size (const char *path, FmType type, const FmShape *shape, gsize *bytes, GError **error)
{
  gsize count;

  if (shape->rank >= 1 && shape->rank <= FM_MAX_RANK && fm_size_product (shape->dims, shape->rank, &count) && count >= 1
      && count <= (gsize) G_MAXINT64 / 64)
    {
      *bytes = count * fm_type_size (type);
      return TRUE;
    }
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
               "%s: a shape needs 1 to %d axes of at least one element, and a size that does not overflow", path,
               FM_MAX_RANK);
  return FALSE;
}

gboolean
fm_variables_replace (FmVariables *v, const char *path, FmType type, FmShape shape, gconstpointer data, gsize bytes,
                      GError **error)
{
  gsize want;

  if (!sound_size (path, type, &shape, &want, error))
    return FALSE;
  if (bytes != want)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                   "variable %s of that shape has %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, path, want, bytes);
      return FALSE;
    }
  fm_variables_remove (v, path);
  return fm_variables_add (v, path, type, &shape, FALSE, data, error);
}

/* Copies @from of shape @a into the corner of @to of shape @b, row by row of the last axis. */
static void
copy_corner (const guint8 *from, const FmShape *a, guint8 *to, const FmShape *b, gsize size)
{
  gint64 row = a->dims[a->rank - 1], rows = fm_shape_count (a) / row;

  for (gint64 r = 0; r < rows; r++)
    {
      gint64 left = r, at = 0, stride = b->dims[b->rank - 1];

      for (gint axis = (gint) a->rank - 2; axis >= 0; axis--)
        {
          at += left % a->dims[axis] * stride;
          left /= a->dims[axis];
          stride *= b->dims[axis];
        }
      memcpy (to + (gsize) at * size, from + (gsize) (r * row) * size, (gsize) row * size);
    }
}

/* (transfer full): the content of @variable as it is after growing, or NULL. */
static gpointer
grown (FmVariables *v, const FmVariable *variable, const FmShape *shape, gsize bytes, const char *drawn_as, FmInit init,
       GError **error)
{
  FmTensor description = { .name = drawn_as, .type = variable->type, .shape = *shape, .init = init };
  g_autofree gpointer old = g_try_malloc (variable->bytes);
  g_autofree gpointer new = g_try_malloc (bytes);

  if (old == NULL || new == NULL)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY, "%s needs %" G_GSIZE_FORMAT " bytes", variable->path,
                   bytes);
      return NULL;
    }
  if (!v->device->class->memory_read (v->device, variable->memory, old, variable->bytes, error))
    return NULL;
  fm_variable_initialise (&description, v->seed, new);
  copy_corner (old, &variable->shape, new, shape, fm_type_size (variable->type));
  return g_steal_pointer (&new);
}

gboolean
fm_variables_grow (FmVariables *v, const char *path, FmShape shape, FmInit init, GError **error)
{
  FmVariable *variable = fm_variables_lookup (v, path);
  gsize bytes;
  gboolean fits;

  if (variable == NULL)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "there is no variable “%s”", path);
      return FALSE;
    }
  if (!sound_size (path, variable->type, &shape, &bytes, error))
    return FALSE;
  fits = shape.rank == variable->shape.rank;
  for (guint i = 0; fits && i < shape.rank; i++)
    fits = shape.dims[i] >= variable->shape.dims[i];
  if (!fits)
    {
      g_autofree char *have = fm_shape_to_string (&variable->shape);
      g_autofree char *want = fm_shape_to_string (&shape);

      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                   "%s has shape %s and cannot grow to %s: every axis must be at least as long", path, have, want);
      return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *full = g_strconcat (path, suffixes[i], NULL);
      gboolean weights = i == 0 || g_str_equal (suffixes[i], "@ema"); /* the new part of an average is the parameter's */
      g_autofree gpointer data = NULL;
      FmType type;
      gboolean moment;

      variable = fm_variables_lookup (v, full);
      if (variable == NULL)
        continue;
      data = grown (v, variable, &shape, bytes, path, weights ? init : fm_init_zeros (), error);
      if (data == NULL)
        return FALSE;
      type = variable->type;
      moment = variable->moment;
      drop (v, full);
      if (!fm_variables_add (v, full, type, &shape, moment, data, error))
        return FALSE;
    }
  return TRUE;
}

/* Bytes of a row of axis 0 once @rows are checked against it; 0 after an error. */
static gsize
checked_row (const FmVariable *variable, const gint64 *rows, guint n, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (rows[i] < 0 || rows[i] >= variable->shape.dims[0])
      {
        g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                     "%s has rows 0 to %" G_GINT64_FORMAT ", there is no row %" G_GINT64_FORMAT, variable->path,
                     variable->shape.dims[0] - 1, rows[i]);
        return 0;
      }
  return variable->bytes / (gsize) variable->shape.dims[0];
}

gboolean
fm_variables_copy_rows (FmVariables *to, const char *to_path, const gint64 *to_rows, FmVariables *from,
                        const char *from_path, const gint64 *from_rows, guint n, GError **error)
{
  FmVariable *target = fm_variables_lookup (to, to_path), *source = fm_variables_lookup (from, from_path);
  g_autofree guint8 *new = NULL;
  g_autofree guint8 *old = NULL;
  gsize row, other;

  if (target == NULL || source == NULL)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "there is no variable “%s”",
                   target ? from_path : to_path);
      return FALSE;
    }
  row = checked_row (target, to_rows, n, error);
  other = row ? checked_row (source, from_rows, n, error) : 0;
  if (other == 0)
    return FALSE;
  if (row != other || target->type != source->type)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "rows of %s and of %s differ in size or type", to_path,
                   from_path);
      return FALSE;
    }
  new = g_malloc (target->bytes);
  old = g_malloc (source->bytes);
  if (!to->device->class->memory_read (to->device, target->memory, new, target->bytes, error)
      || !from->device->class->memory_read (from->device, source->memory, old, source->bytes, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    memcpy (new + (gsize) to_rows[i] * row, old + (gsize) from_rows[i] * row, row);
  return to->device->class->memory_write (to->device, target->memory, new, target->bytes, error);
}

gboolean
fm_variables_take_averages (FmVariables *v, GError **error)
{
  g_autoptr (GPtrArray) paths = fm_variables_paths (v);

  for (guint i = 0; i < paths->len; i++)
    {
      FmVariable *average = fm_variables_lookup (v, g_ptr_array_index (paths, i)), *variable;
      g_autofree char *path = g_strdup (average->path);
      g_autofree gpointer data = NULL;

      if (!g_str_has_suffix (path, "@ema"))
        continue;
      path[strlen (path) - strlen ("@ema")] = '\0';
      variable = fm_variables_lookup (v, path);
      if (variable == NULL || variable->bytes != average->bytes)
        continue;
      data = g_malloc (average->bytes);
      if (!v->device->class->memory_read (v->device, average->memory, data, average->bytes, error)
          || !v->device->class->memory_write (v->device, variable->memory, data, average->bytes, error))
        return FALSE;
    }
  return TRUE;
}
