/* fm-variant.c: a row of the library */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "fm-variant.h"

struct _FmVariant
{
  GObject parent_instance;

  const FmPlugin *plugin; /* no ownership: lives as long as the process */
  char *file, *found, *wanted, *reason; /* of a rejected file; copied, since a rescan drops them */
  char *name;
};

G_DEFINE_FINAL_TYPE (FmVariant, fm_variant, G_TYPE_OBJECT)

FmVariant *
fm_variant_new (const FmPlugin *plugin)
{
  FmVariant *self = g_object_new (FM_TYPE_VARIANT, NULL);

  self->plugin = plugin;
  self->file = g_strdup (plugin->file);
  self->name = g_strdup (plugin->descriptor->id);
  return self;
}

FmVariant *
fm_variant_new_rejected (const FmRejected *rejected)
{
  FmVariant *self = g_object_new (FM_TYPE_VARIANT, NULL);

  self->file = g_strdup (rejected->file);
  self->found = g_strdup (rejected->found);
  self->wanted = g_strdup (rejected->wanted);
  self->reason = g_strdup (rejected->reason);
  self->name = g_path_get_basename (rejected->file);
  return self;
}

const char *
fm_variant_get_id (FmVariant *self)
{
  return self->name;
}

const FmPluginDescriptor *
fm_variant_get_descriptor (FmVariant *self)
{
  return self->plugin != NULL ? self->plugin->descriptor : NULL;
}

const FmPlugin *
fm_variant_get_plugin (FmVariant *self)
{
  return self->plugin;
}

const char *
fm_variant_get_file (FmVariant *self)
{
  return self->file;
}

const char *
fm_variant_get_found (FmVariant *self)
{
  return self->found;
}

const char *
fm_variant_get_wanted (FmVariant *self)
{
  return self->wanted;
}

const char *
fm_variant_get_reason (FmVariant *self)
{
  return self->reason;
}

static gboolean
has_probe (const FmPluginDescriptor *descriptor,
           const char               *name)
{
  for (const FmProbe *probe = descriptor->probes; probe != NULL && probe->name != NULL; probe++)
    if (g_str_equal (probe->name, name))
      return TRUE;
  return FALSE;
}

/* Families in their order on the page. */
enum { FULL, CHEAPER, NO_ATTENTION, DENSE, EXPERTS, BLOCK, HEAD, MODEL, METHOD, REJECTED };

static const char * const families[] = {
  [FULL] = N_("Full attention"),
  [CHEAPER] = N_("Cheaper attention"),
  [NO_ATTENTION] = N_("No attention"),
  [DENSE] = N_("Feed-forward"),
  [EXPERTS] = N_("Experts"),
  [BLOCK] = N_("Blocks"),
  [HEAD] = N_("Heads"),
  [MODEL] = N_("Models"),
  [METHOD] = N_("Methods"),
  [REJECTED] = N_("Rejected"),
};

gint
fm_variant_rank (FmVariant *self)
{
  const FmPluginDescriptor *d = fm_variant_get_descriptor (self);

  if (d == NULL)
    return REJECTED;
  switch (d->role)
    {
    case FM_ROLE_MIXER:
      if (!has_probe (d, "attention"))
        return NO_ATTENTION;
      return d->complexity != NULL && strstr (d->complexity, "N^2") != NULL ? FULL : CHEAPER;
    case FM_ROLE_FEEDFORWARD:
      return has_probe (d, "routing") || (d->caps & FM_CAP_BATCH_COUPLED) ? EXPERTS : DENSE;
    case FM_ROLE_BLOCK:
      return BLOCK;
    case FM_ROLE_HEAD:
      return HEAD;
    case FM_ROLE_MODEL:
      return MODEL;
    case FM_ROLE_METHOD:
    default:
      return METHOD;
    }
}

const char *
fm_variant_family (FmVariant *self)
{
  return _(families[fm_variant_rank (self)]);
}

char *
fm_variant_subtitle (FmVariant *self)
{
  const FmPluginDescriptor *d = fm_variant_get_descriptor (self);
  g_auto (GStrv) authors = NULL;

  if (d == NULL)
    return g_strdup (self->found);
  if (d->paper.authors == NULL)
    return g_strdup (d->title);
  authors = g_strsplit (d->paper.authors, ",", 2);
  return g_strdup_printf (authors[0] != NULL && authors[1] != NULL ? _("%s et al. %d") : "%s %d",
                          g_strstrip (authors[0]), d->paper.year);
}

gboolean
fm_variant_matches (FmVariant  *self,
                    const char *words)
{
  const FmPluginDescriptor *d = fm_variant_get_descriptor (self);
  g_autofree char *all = d == NULL ? g_strjoin (" ", self->name, self->file, self->found, NULL)
                                   : g_strjoin (" ", d->id, d->title, d->summary, fm_variant_family (self),
                                                fm_role_name (d->role), d->paper.authors != NULL ? d->paper.authors : "",
                                                NULL);
  g_autofree char *folded = g_utf8_casefold (all, -1);
  g_autofree char *wanted = g_utf8_casefold (words, -1);
  g_auto (GStrv) parts = g_strsplit_set (wanted, " \t", -1);

  for (guint i = 0; parts[i] != NULL; i++)
    if (strstr (folded, parts[i]) == NULL)
      return FALSE;
  return TRUE;
}

char *
fm_variant_cost (FmVariant *self)
{
  const FmPluginDescriptor *d = fm_variant_get_descriptor (self);
  GString *text = g_string_new (d != NULL && d->complexity != NULL ? d->complexity : "");

  g_string_replace (text, "^2", "²", 0);
  g_string_replace (text, "^3", "³", 0);
  return g_string_free (text, FALSE);
}

/* Whole numbers with their thousands apart, others as short as they stay exact. */
static char *
number_text (gdouble value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (value == floor (value) && fabs (value) < 1e15)
    return g_strdup_printf ("%'" G_GINT64_FORMAT, (gint64) value);
  return g_strdup (g_ascii_formatd (text, sizeof text, "%g", value));
}

char *
fm_variant_param_text (const FmParam *param)
{
  g_autofree char *value = number_text (param->value);
  g_autofree char *minimum = number_text (param->minimum);
  g_autofree char *maximum = number_text (param->maximum);

  switch (param->type)
    {
    case FM_PARAM_TYPE_CHOICE:
      {
        g_autoptr (GString) text = g_string_new (NULL);
        guint n = g_strv_length ((char **) param->choices);

        g_string_append_printf (text, "<b>%s</b>", param->choices[(gint) param->value]);
        for (guint i = 0, k = 1; i < n; i++)
          if (i != (guint) param->value)
            g_string_append_printf (text, "%s%s", ++k == n ? _(" or ") : ", ", param->choices[i]);
        return g_strdup (text->str);
      }
    case FM_PARAM_TYPE_BOOL:
      return g_strdup_printf ("<b>%s</b> %s", param->value != 0 ? _("yes") : _("no"),
                              param->value != 0 ? _("or no") : _("or yes"));
    case FM_PARAM_TYPE_INT:
    case FM_PARAM_TYPE_DOUBLE:
    case FM_PARAM_END_OF_LIST:
    default:
      return g_strdup_printf (_("<b>%s</b> of %s to %s"), value, minimum, maximum);
    }
}

static void
fm_variant_finalize (GObject *object)
{
  FmVariant *self = FM_VARIANT (object);

  g_free (self->file);
  g_free (self->found);
  g_free (self->wanted);
  g_free (self->reason);
  g_free (self->name);
  G_OBJECT_CLASS (fm_variant_parent_class)->finalize (object);
}

static void
fm_variant_class_init (FmVariantClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_variant_finalize;
}

static void
fm_variant_init (FmVariant *self)
{
}
