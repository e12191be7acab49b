/* products.c: which form of the shader for products a device gets, chosen when its first program with one is made.
 *
 *   plain        both operands through shared memory; every device runs it
 *   subgroup     one operand by broadcasts in a subgroup; the same bits. Taken where the device offers ballots in
 *                compute shaders, gives the bits of the plain form in a product of its own, is faster in a timed one
 *   cooperative  matrix units: operands rounded to f16, sums in f32. Only on a device that was opened for that with
 *                FORMARIUM_VULKAN_PRECISION=f16, since it is another precision: results differ in the third digit,
 *                one past 65504 is infinite. Needs VK_NV_cooperative_matrix with 16 x 16 x 16 for a subgroup; its
 *                result must lie within the rounding of the operands of the plain form's
 *
 * A form that the driver does not compile or that computes something else is not used; the device's note says so. On a
 * device that runs on the processor speed says nothing, so it stays plain. FORMARIUM_VULKAN_PRODUCT=plain, subgroup or
 * cooperative asks for a form, for tests: untimed, and for products of any size. */
#include "compute/vulkan/vulkan-private.h"

#include <math.h>
#include <string.h>

#define ROWS    150 /* of the product that is compared: several tiles of each form, not filled at the borders */
#define DEPTH   77
#define COLUMNS 270
#define SIDE    512 /* of the product that is timed */
#define TRIES   5
#define FASTER  0.97

/* --- What the device offers ---------------------------------------------------------------------------------------*/

gboolean
fm_vulkan_cooperative_fits (const VkCooperativeMatrixPropertiesNV *p, guint n)
{
  for (guint i = 0; i < n; i++)
    if (p[i].MSize == 16 && p[i].NSize == 16 && p[i].KSize == 16 && p[i].AType == VK_COMPONENT_TYPE_FLOAT16_NV
        && p[i].BType == VK_COMPONENT_TYPE_FLOAT16_NV && p[i].CType == VK_COMPONENT_TYPE_FLOAT32_NV
        && p[i].DType == VK_COMPONENT_TYPE_FLOAT32_NV && p[i].scope == VK_SCOPE_SUBGROUP_NV)
      return TRUE;
  return FALSE;
}

static gboolean
lists_cooperative (VkPhysicalDevice physical)
{
  PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV get = (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV)
    fm_vulkan_instance_proc ("vkGetPhysicalDeviceCooperativeMatrixPropertiesNV");
  g_autofree VkCooperativeMatrixPropertiesNV *list = NULL;
  guint32 n = 0;

  if (get == NULL || get (physical, &n, NULL) != VK_SUCCESS)
    return FALSE;
  list = g_new0 (VkCooperativeMatrixPropertiesNV, n + 1);
  for (guint i = 0; i < n; i++)
    list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV;
  return get (physical, &n, list) >= VK_SUCCESS && fm_vulkan_cooperative_fits (list, n);
}

static gboolean
offers_cooperative (FmVulkanDevice *d)
{
  const VkPhysicalDeviceLimits *limits = &d->physical.properties.limits;
  VkPhysicalDeviceCooperativeMatrixFeaturesNV cooperative = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV
  };
  VkPhysicalDeviceVulkan12Features core = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &cooperative
  };
  VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &core };

  if (!fm_vulkan_physical_has (d->physical.physical, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME))
    return FALSE;
  fm_vk.GetPhysicalDeviceFeatures2 (d->physical.physical, &features);
  return cooperative.cooperativeMatrix && core.shaderFloat16 && core.vulkanMemoryModel && d->subgroup <= 64
         && limits->maxComputeSharedMemorySize >= 24 * 1024 && limits->maxComputeWorkGroupInvocations >= 4 * d->subgroup
         && lists_cooperative (d->physical.physical);
}

static void
note (FmVulkanDevice *d, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
note (FmVulkanDevice *d, const char *format, ...)
{
  g_autofree char *old = d->base.info->note, *sentence = NULL;
  va_list args;

  va_start (args, format);
  sentence = g_strdup_vprintf (format, args);
  va_end (args);
  d->base.info->note = old ? g_strconcat (old, "; ", sentence, NULL) : g_strdup (sentence);
}

void
fm_vulkan_products_open (FmVulkanDevice *d)
{
  const char *form = g_getenv ("FORMARIUM_VULKAN_PRODUCT");
  VkPhysicalDeviceSubgroupProperties subgroup = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES };
  VkPhysicalDeviceProperties2 properties = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup
  };

  fm_vk.GetPhysicalDeviceProperties2 (d->physical.physical, &properties);
  d->subgroup = subgroup.subgroupSize;
  d->broadcasts = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
                  && (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT);
  d->product_forced = form != NULL;
  d->product_asked = g_strcmp0 (form, "cooperative") == 0 ? FM_PRODUCT_COOPERATIVE
                     : g_strcmp0 (form, "subgroup") == 0 ? FM_PRODUCT_SUBGROUP : FM_PRODUCT_PLAIN;
  d->f16 = g_strcmp0 (g_getenv ("FORMARIUM_VULKAN_PRECISION"), "f16") == 0
           || (form && d->product_asked == FM_PRODUCT_COOPERATIVE);
  d->cooperative = d->f16 && offers_cooperative (d);
  if (d->cooperative)
    {
      char *driver = d->base.info->driver;

      d->base.info->driver = g_strconcat (driver, ", products in f16", NULL); /* results and roofs are kept under it */
      g_free (driver);
    }
  else if (d->f16)
    note (d, "products in f16 were asked for and stay in f32: the device does not list matrix units of 16 x 16 x 16 "
          "through VK_NV_cooperative_matrix");
}

/* --- Two programs of our own --------------------------------------------------------------------------------------*/

typedef struct
{
  float a[ROWS * DEPTH], b[DEPTH * COLUMNS];
  float ab[ROWS * COLUMNS], aa[ROWS * ROWS]; /* a b; a a^T */
} Sample;

static gboolean
compute (FmVulkanDevice *d, FmProductForm form, Sample *s, GError **error)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = fm_variables_new (&d->base, 1);
  g_autoptr (FmProgram) p = NULL;
  FmTensor *a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (ROWS, DEPTH));
  FmTensor *b = fm_graph_input (g, "b", FM_F32, FM_SHAPE (DEPTH, COLUMNS));

  fm_graph_output (g, "ab", fm_matmul (g, a, b, 0));
  fm_graph_output (g, "aa", fm_matmul (g, a, a, FM_TRANS_B));
  d->product = form;
  p = fm_program_new (g, &d->base, variables, error);
  return p && fm_program_write (p, "a", s->a, sizeof s->a, error) && fm_program_write (p, "b", s->b, sizeof s->b, error)
         && fm_program_run (p, error) && fm_program_read (p, "ab", s->ab, sizeof s->ab, error)
         && fm_program_read (p, "aa", s->aa, sizeof s->aa, error);
}

/* Largest error as a share of what rounding both operands to f16 may do, the sums being in f32. */
static gdouble
rounding_share (const Sample *s, const Sample *plain)
{
  gdouble worst = 0;

  for (guint i = 0; i < ROWS * (COLUMNS + ROWS); i++)
    {
      guint row = i / (COLUMNS + ROWS), column = i % (COLUMNS + ROWS);
      gboolean is_aa = column >= COLUMNS;
      guint at = is_aa ? row * ROWS + column - COLUMNS : row * COLUMNS + column;
      gdouble off = fabs ((gdouble) (is_aa ? s->aa[at] : s->ab[at]) - (is_aa ? plain->aa[at] : plain->ab[at]));
      gdouble sum = 0;

      for (guint t = 0; t < DEPTH; t++)
        sum += fabs (s->a[row * DEPTH + t]
                     * (is_aa ? s->a[(column - COLUMNS) * DEPTH + t] : s->b[t * COLUMNS + column]));
      off /= sum * (ldexp (1, -10) + ldexp (1, -16));
      if (!(off <= worst)) /* NaN stays */
        worst = off;
    }
  return worst;
}

static const char * const form_names[] = { "plain", "subgroup", "cooperative" };

/* The form runs first: what the plain one left in the arena must not pass for its result. */
static gboolean
agrees (FmVulkanDevice *d, FmProductForm form)
{
  g_autofree Sample *s = g_new0 (Sample, 1), *plain = g_new0 (Sample, 1);
  g_autoptr (GError) error = NULL;
  FmRandom random;

  fm_random_init (&random, 1, 0);
  for (guint i = 0; i < G_N_ELEMENTS (s->a); i++)
    s->a[i] = (float) fm_random_normal (&random);
  for (guint i = 0; i < G_N_ELEMENTS (s->b); i++)
    s->b[i] = (float) fm_random_normal (&random);
  memcpy (plain->a, s->a, sizeof s->a);
  memcpy (plain->b, s->b, sizeof s->b);
  if (!compute (d, form, s, &error) || !compute (d, FM_PRODUCT_PLAIN, plain, &error))
    {
      note (d, "products by the form “%s” do not work here: %s", form_names[form], error->message);
      return FALSE;
    }
  if (form == FM_PRODUCT_SUBGROUP ? memcmp (s, plain, sizeof *s) == 0 : rounding_share (s, plain) <= 1)
    return TRUE;
  note (d, "products by the form “%s” are wrong on this driver and not used", form_names[form]);
  return FALSE;
}

/* Best device time of a large product in @form, or infinity. */
static gdouble
time_form (FmVulkanDevice *d, FmProductForm form)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = fm_variables_new (&d->base, 1);
  g_autoptr (FmProgram) p = NULL;
  FmTensor *a = fm_graph_input (g, "a", FM_F32, FM_SHAPE (SIDE, SIDE));
  gdouble best = INFINITY;

  fm_graph_output (g, "aa", fm_matmul (g, a, a, 0));
  d->product = form;
  p = d->physical.timestamp_bits > 0 ? fm_program_new (g, &d->base, variables, NULL) : NULL;
  for (guint i = 0; p && i <= TRIES; i++)
    {
      g_autoptr (GArray) nodes = NULL;

      fm_program_set_profiling (p, TRUE);
      if (!fm_program_run (p, NULL))
        return INFINITY;
      nodes = fm_program_get_nodes (p);
      if (i > 0)
        best = MIN (best, g_array_index (nodes, FmNodeProfile, 0).last_s);
    }
  return best;
}

static FmProductForm
choose (FmVulkanDevice *d)
{
  gboolean may_subgroup = d->broadcasts && d->subgroup >= 4 && d->subgroup <= 64
                          && (d->subgroup & (d->subgroup - 1)) == 0;
  gdouble plain, other;

  if (d->cooperative && agrees (d, FM_PRODUCT_COOPERATIVE))
    {
      note (d, "products by matrix units, operands rounded to f16");
      return FM_PRODUCT_COOPERATIVE;
    }
  if (!may_subgroup || (d->product_forced ? d->product_asked != FM_PRODUCT_SUBGROUP : d->base.info->software)
      || !agrees (d, FM_PRODUCT_SUBGROUP))
    return FM_PRODUCT_PLAIN;
  if (!d->product_forced)
    {
      plain = time_form (d, FM_PRODUCT_PLAIN);
      other = time_form (d, FM_PRODUCT_SUBGROUP);
      if (!(other < plain * FASTER))
        return FM_PRODUCT_PLAIN;
    }
  note (d, "products by subgroups of %u", d->subgroup);
  return FM_PRODUCT_SUBGROUP;
}

void
fm_vulkan_products_choose (FmVulkanDevice *d)
{
  d->product_chosen = d->product_always = TRUE; /* what is made to compare has the form that is being looked at */
  d->product = choose (d);
  d->product_always = d->product_forced;
}

FmProductChoice
fm_vulkan_product_choice (FmVulkanRecorder *recorder)
{
  FmVulkanDevice *d = recorder->device;

  d->product_wanted = TRUE;
  return (FmProductChoice){ d->product_chosen ? d->product : FM_PRODUCT_PLAIN, MAX (d->subgroup, 1),
                            d->product_chosen && d->product_always };
}
