/* architecture.c: sizes and roles as data. */
#include "config.h"

#include "app/architecture/architecture-private.h"

#include <json-glib/json-glib.h>
#include <string.h>

static void
part_clear (FmPart *part)
{
  part->plugin = NULL;
  g_clear_pointer (&part->params, g_free);
}

FmArchitecture *
fm_architecture_new (gint64 layers, gint64 width, gint64 hidden, GError **error)
{
  static const struct { const char *name; gint64 most; } limits[] = {
    { "layers", 1000 }, { "width", 1 << 20 }, { "hidden", 1 << 24 },
  };
  gint64 sizes[] = { layers, width, hidden };
  FmArchitecture *a;

  for (guint i = 0; i < G_N_ELEMENTS (limits); i++)
    if (sizes[i] < 1 || sizes[i] > limits[i].most)
      {
        g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                     "%s=%" G_GINT64_FORMAT ": must lie between 1 and %" G_GINT64_FORMAT, limits[i].name, sizes[i],
                     limits[i].most);
        return NULL;
      }
  a = g_new0 (FmArchitecture, 1);
  a->refs = 1;
  a->layers = layers;
  a->width = width;
  a->hidden = hidden;
  for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
    a->parts[r] = g_new0 (FmPart, layers);
  return a;
}

FmArchitecture *
fm_architecture_ref (FmArchitecture *a)
{
  g_atomic_int_inc (&a->refs);
  return a;
}

void
fm_architecture_unref (FmArchitecture *a)
{
  if (a == NULL || !g_atomic_int_dec_and_test (&a->refs))
    return;
  for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
    {
      for (gint64 i = 0; i < a->layers; i++)
        part_clear (&a->parts[r][i]);
      g_free (a->parts[r]);
    }
  g_free (a);
}

gboolean
fm_architecture_set (FmArchitecture *a, FmRole role, gint layer, const char *plugin_id, const char * const *params,
                     GError **error)
{
  const FmPlugin *plugin;
  g_autofree gpointer values = NULL;
  gsize size;

  if (role >= FM_N_LAYER_ROLES)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "role %s is not a part of a layer", fm_role_name (role));
      return FALSE;
    }
  if (layer < -1 || layer >= a->layers)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "layer %d: there are layers 0 to %" G_GINT64_FORMAT, layer,
                   a->layers - 1);
      return FALSE;
    }
  plugin = fm_plugins_find (role, plugin_id, error);
  if (plugin == NULL)
    return FALSE;
  size = MAX (plugin->descriptor->params_size, 1);
  values = g_malloc0 (size);
  fm_params_set_defaults (plugin->descriptor->params, values);
  for (guint i = 0; params && params[i]; i += 2)
    if (!fm_params_set (plugin->descriptor->params, values, params[i], params[i + 1], error))
      {
        g_prefix_error (error, "%s: ", plugin_id);
        return FALSE;
      }
  for (gint64 i = layer < 0 ? 0 : layer; i < (layer < 0 ? a->layers : layer + 1); i++)
    {
      part_clear (&a->parts[role][i]);
      a->parts[role][i].plugin = plugin;
      a->parts[role][i].params = g_memdup2 (values, size);
    }
  return TRUE;
}

gint64
fm_architecture_get_layers (FmArchitecture *a)
{
  return a->layers;
}

gint64
fm_architecture_get_hidden (FmArchitecture *a)
{
  return a->hidden;
}

const FmPlugin *
fm_architecture_get_plugin (FmArchitecture *a, FmRole role, gint layer)
{
  return role < FM_N_LAYER_ROLES && layer >= 0 && layer < a->layers ? a->parts[role][layer].plugin : NULL;
}

gconstpointer
fm_architecture_get_params (FmArchitecture *a, FmRole role, gint layer)
{
  return role < FM_N_LAYER_ROLES && layer >= 0 && layer < a->layers ? a->parts[role][layer].params : NULL;
}

void
fm_architecture_set_causal (FmArchitecture *a, gboolean causal)
{
  a->causal = causal;
}

char *
fm_architecture_identity (FmArchitecture *a)
{
  GString *s = g_string_new (NULL);

  g_string_append_printf (s, "encoder layers=%" G_GINT64_FORMAT " width=%" G_GINT64_FORMAT " hidden=%" G_GINT64_FORMAT
                          " causal=%d\n", a->layers, a->width, a->hidden, a->causal);
  for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
    for (gint64 i = 0; i < a->layers; i++)
      {
        FmPart *part = &a->parts[r][i];
        g_autofree char *params = NULL;

        if (part->plugin == NULL)
          continue;
        params = fm_params_to_string (part->plugin->descriptor->params, part->params);
        g_string_append_printf (s, "%s %" G_GINT64_FORMAT " %s %s %s\n", fm_role_name ((FmRole) r), i,
                                part->plugin->descriptor->id, part->plugin->hash, params);
      }
  return g_string_free (s, FALSE);
}

char *
fm_architecture_to_json (FmArchitecture *a)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;

  json_builder_begin_object (b);
  json_builder_set_member_name (b, "layers");
  json_builder_add_int_value (b, a->layers);
  json_builder_set_member_name (b, "width");
  json_builder_add_int_value (b, a->width);
  json_builder_set_member_name (b, "hidden");
  json_builder_add_int_value (b, a->hidden);
  json_builder_set_member_name (b, "causal");
  json_builder_add_boolean_value (b, a->causal);
  json_builder_set_member_name (b, "roles");
  json_builder_begin_array (b);
  for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
    for (gint64 i = 0; i < a->layers; i++)
      {
        FmPart *part = &a->parts[r][i];

        if (part->plugin == NULL)
          continue;
        json_builder_begin_object (b);
        json_builder_set_member_name (b, "role");
        json_builder_add_string_value (b, fm_role_name ((FmRole) r));
        json_builder_set_member_name (b, "layer");
        json_builder_add_int_value (b, i);
        json_builder_set_member_name (b, "plugin");
        json_builder_add_string_value (b, part->plugin->descriptor->id);
        json_builder_set_member_name (b, "hash");
        json_builder_add_string_value (b, part->plugin->hash);
        json_builder_set_member_name (b, "params");
        json_builder_begin_object (b);
        for (const FmParam *p = part->plugin->descriptor->params; p && p->name; p++)
          {
            g_autofree char *value = fm_params_get (part->plugin->descriptor->params, part->params, p->name);

            json_builder_set_member_name (b, p->name);
            json_builder_add_string_value (b, value);
          }
        json_builder_end_object (b);
        json_builder_end_object (b);
      }
  json_builder_end_array (b);
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  return json_to_string (root, FALSE);
}

static gboolean
set_from_json (FmArchitecture *a, JsonObject *o, GError **error)
{
  const char *role_name = json_object_get_string_member_with_default (o, "role", "");
  const char *id = json_object_get_string_member_with_default (o, "plugin", "");
  const char *hash = json_object_get_string_member_with_default (o, "hash", "");
  gint64 layer = json_object_get_int_member_with_default (o, "layer", -1);
  JsonObject *values = json_object_has_member (o, "params") ? json_object_get_object_member (o, "params") : NULL;
  g_autoptr (GPtrArray) params = g_ptr_array_new ();
  const FmPlugin *plugin;
  FmRole role;

  if (!fm_role_from_name (role_name, &role) || role >= FM_N_LAYER_ROLES || layer < -1 || layer >= a->layers)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "architecture: role “%s” of layer %" G_GINT64_FORMAT
                   " cannot be", role_name, layer);
      return FALSE;
    }
  if (values)
    {
      g_autoptr (GList) members = json_object_get_members (values);

      for (GList *l = members; l; l = l->next)
        {
          g_ptr_array_add (params, l->data);
          g_ptr_array_add (params, (gpointer) json_object_get_string_member_with_default (values, l->data, ""));
        }
    }
  g_ptr_array_add (params, NULL);
  if (!fm_architecture_set (a, role, (gint) layer, id, (const char * const *) params->pdata, error))
    return FALSE;
  plugin = fm_architecture_get_plugin (a, role, (gint) MAX (layer, 0));
  if (*hash && !g_str_equal (hash, plugin->hash))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s: the plugin file %s is not the one the plan was made with; plan again", id, plugin->file);
      return FALSE;
    }
  return TRUE;
}

FmArchitecture *
fm_architecture_from_json (const char *json, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (FmArchitecture) a = NULL;
  JsonNode *root;
  JsonObject *o;
  JsonArray *roles;

  if (!json_parser_load_from_data (parser, json, -1, error))
    return NULL;
  root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root)
      || !json_object_has_member (json_node_get_object (root), "roles")
      || !JSON_NODE_HOLDS_ARRAY (json_object_get_member (json_node_get_object (root), "roles")))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "architecture: not an object with roles");
      return NULL;
    }
  o = json_node_get_object (root);
  a = fm_architecture_new (json_object_get_int_member_with_default (o, "layers", 0),
                           json_object_get_int_member_with_default (o, "width", 0),
                           json_object_get_int_member_with_default (o, "hidden", 0), error);
  if (a == NULL)
    return NULL;
  a->causal = json_object_get_boolean_member_with_default (o, "causal", FALSE);
  roles = json_object_get_array_member (o, "roles");
  for (guint i = 0; i < json_array_get_length (roles); i++)
    if (!JSON_NODE_HOLDS_OBJECT (json_array_get_element (roles, i))
        || !set_from_json (a, json_array_get_object_element (roles, i), error))
      {
        if (error && *error == NULL)
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "architecture: role %u is not an object", i);
        return NULL;
      }
  return g_steal_pointer (&a);
}

static gboolean
check_part (FmArchitecture *a, FmPart *part, const FmTaskInfo *info, GError **error)
{
  const FmPluginDescriptor *d = part->plugin->descriptor;

  if (a->causal && d->role != FM_ROLE_FEEDFORWARD && !(d->caps & FM_CAP_CAUSAL))
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s cannot be causal; leave causal=false", d->id);
  else if (!a->causal && d->role != FM_ROLE_FEEDFORWARD && !(d->caps & FM_CAP_BIDIRECTIONAL))
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s looks back only; set causal=true", d->id);
  else if (info->ragged && !(d->caps & FM_CAP_RAGGED))
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s cannot take rows of unequal length, as the task has them",
                 d->id);
  else
    {
      for (guint i = 0; d->inputs && d->inputs[i]; i++)
        {
          gboolean found = FALSE;

          for (guint k = 0; k < info->n_inputs; k++)
            found |= g_str_equal (info->inputs[k].name, d->inputs[i]);
          if (!found)
            {
              g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s needs the input “%s”, which the task has not",
                           d->id, d->inputs[i]);
              return FALSE;
            }
        }
      return TRUE;
    }
  return FALSE;
}

gboolean
fm_architecture_can_decode (FmArchitecture *a, GError **error)
{
  if (!a->causal)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "prefill and decode need a causal model; set causal=true");
      return FALSE;
    }
  for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
    for (gint64 i = 0; i < a->layers; i++)
      {
        const FmPlugin *plugin = a->parts[r][i].plugin;

        if (plugin && !(plugin->descriptor->caps & FM_CAP_DECODE))
          {
            g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s cannot go on token by token (no capability decode)",
                         plugin->descriptor->id);
            return FALSE;
          }
      }
  return TRUE;
}

gboolean
fm_architecture_check (FmArchitecture *a, FmTask *task, GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (task);
  g_autoptr (FmModel) model = NULL;
  g_autoptr (FmModelGraph) mg = NULL;

  for (gint64 i = 0; i < a->layers; i++)
    {
      if (a->parts[FM_ROLE_BLOCK][i].plugin == NULL)
        for (guint r = FM_ROLE_MIXER; r <= FM_ROLE_FEEDFORWARD; r++)
          if (a->parts[r][i].plugin == NULL)
            {
              g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "layer %" G_GINT64_FORMAT " has no %s", i,
                           fm_role_name ((FmRole) r));
              return FALSE;
            }
      for (guint r = 0; r < FM_N_LAYER_ROLES; r++)
        if (a->parts[r][i].plugin && !check_part (a, &a->parts[r][i], info, error))
          return FALSE;
    }
  /* The rest (heads that divide the width, shapes) is what building says. */
  model = fm_model_new (a, task, "");
  mg = fm_model_graph_new (model, FM_MODE_EVALUATE, 1, NULL, FALSE, error);
  return mg != NULL;
}
