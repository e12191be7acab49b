/* variables.c: parameters, moments and state by path, shared by all programs of a model. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/half.h"

#include <string.h>

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

void
fm_variables_unref (FmVariables *v)
{
  GHashTableIter iter;
  FmVariable *variable;

  if (v == NULL || !g_atomic_int_dec_and_test (&v->refs))
    return;
  g_hash_table_iter_init (&iter, v->table);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &variable))
    {
      v->device->class->memory_free (v->device, variable->memory);
      g_free (variable->path);
      g_free (variable);
    }
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
