/* test-vulkan-products.c: which form of the shader for products a device gets, and that each computes the same. Matrix
 * units are on no device here: their shader is compiled and its needs are read (test-shaders.c), the choice is tested
 * with a pretended device and another shader in its place. */
#include "compute/vulkan/vulkan-private.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

static gboolean
have_device (void)
{
  g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_device_info_free);

  fm_vulkan_list (infos);
  if (infos->len == 0)
    g_test_skip ("no Vulkan 1.2 device is here");
  return infos->len > 0;
}

/* @form: of FORMARIUM_VULKAN_PRODUCT, or NULL */
static FmVulkanDevice *
open_vulkan (const char *form)
{
  g_autoptr(GError) error = NULL;
  FmDevice *device;

  if (form)
    g_setenv ("FORMARIUM_VULKAN_PRODUCT", form, TRUE);
  device = fm_device_open ("vulkan", 0, &error);
  g_unsetenv ("FORMARIUM_VULKAN_PRODUCT");
  g_assert_no_error (error);
  return (FmVulkanDevice *) device;
}

/* From now on the shader @name is what @other is; @other may be @name. */
static void
stand_in (const char *name, const char *other)
{
  g_autofree char *path = g_strdup_printf ("/formarium/shaders/%s.spv", other);
  g_autoptr(GBytes) spirv = g_resources_lookup_data (path, 0, NULL);

  g_assert_nonnull (spirv);
  fm_vulkan_add_shader (name, spirv);
}

/* (transfer none): for what is right, open until the end */
static FmDevice *
plain_device (void)
{
  static FmDevice *device;

  if (device == NULL)
    device = &open_vulkan ("plain")->base;
  return device;
}

typedef struct
{
  const char *name;
  gint64      batch, n, k, m; /* batch 0: rank 2 */
  guint       flags;
  gboolean    shared, bias;   /* one b for all of the batch; y = a b^T + bias */
} Problem;

static const Problem problems[] = {
  { "one", 0, 1, 1, 1 },
  { "odd", 0, 37, 19, 53 },
  { "tiles", 0, 128, 64, 256 },
  { "over", 0, 129, 65, 257, FM_TRANS_A },
  { "turned", 0, 70, 33, 130, FM_TRANS_B },
  { "both", 0, 33, 70, 35, FM_TRANS_A | FM_TRANS_B },
  { "batch", 3, 40, 17, 20 },
  { "shared", 3, 20, 16, 44, FM_TRANS_B, TRUE },
  { "bias", 0, 45, 30, 70, FM_TRANS_B, FALSE, TRUE },
  { NULL }
};

static FmGraph *
build (const Problem *p)
{
  FmGraph *g = fm_graph_new ();
  gboolean ta = p->flags & FM_TRANS_A, tb = p->flags & FM_TRANS_B;
  FmShape sa = FM_SHAPE (MAX (p->batch, 1), ta ? p->k : p->n, ta ? p->n : p->k);
  FmShape sb = FM_SHAPE (p->shared ? 1 : MAX (p->batch, 1), tb ? p->m : p->k, tb ? p->k : p->m);
  FmTensor *a, *b;

  if (p->batch == 0)
    {
      sa = FM_SHAPE (sa.dims[1], sa.dims[2]);
      sb = FM_SHAPE (sb.dims[1], sb.dims[2]);
    }
  a = fm_param (g, "a", sa, fm_init_normal (1));
  b = fm_param (g, "b", sb, fm_init_normal (1));
  fm_graph_output (g, "y", p->bias ? fm_affine (g, a, b, fm_param (g, "bias", FM_SHAPE (p->m), fm_init_normal (1)))
                                   : fm_matmul (g, a, b, p->flags));
  g_assert_null (fm_graph_get_error (g));
  return g;
}

static float *
result (FmDevice *device, const Problem *problem)
{
  g_autoptr(FmGraph) g = build (problem);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(GError) error = NULL;
  g_autoptr(FmProgram) p = fm_program_new (g, device, variables, &error);
  gsize n = (gsize) (MAX (problem->batch, 1) * problem->n * problem->m);
  float *y = g_new0 (float, n);

  g_assert_no_error (error);
  fm_program_run (p, &error);
  g_assert_no_error (error);
  fm_program_read (p, "y", y, n * sizeof *y, &error);
  g_assert_no_error (error);
  return y;
}

/* --- Forms compute the same ---------------------------------------------------------------------------------------*/

/* With subgroups as large as they are here: the very bits of the plain form. */
static void
test_subgroup (gconstpointer data)
{
  const Problem *p = data;
  g_autofree float *y = NULL, *want = NULL;
  g_autofree char *note = NULL;
  static FmVulkanDevice *d; /* one for all problems */

  if (!have_device ())
    return;
  if (d == NULL)
    d = open_vulkan ("subgroup");
  want = result (plain_device (), p);
  y = result (&d->base, p);
  if (d->subgroup >= 4 && d->subgroup <= 64 && d->broadcasts)
    {
      g_assert_cmpint (d->product, ==, FM_PRODUCT_SUBGROUP);
      note = g_strdup_printf ("products by subgroups of %u", d->subgroup);
      g_assert_cmpstr (fm_device_get_info (&d->base)->note, ==, note);
    }
  g_assert_cmpmem (y, (gsize) (MAX (p->batch, 1) * p->n * p->m) * sizeof *y,
                   want, (gsize) (MAX (p->batch, 1) * p->n * p->m) * sizeof *y);
  g_assert_cmpint (((FmVulkanDevice *) plain_device ())->product, ==, FM_PRODUCT_PLAIN);
  if (p[1].name == NULL)
    fm_device_unref (&d->base);
}

/* --- The choice ---------------------------------------------------------------------------------------------------*/

static const Problem square = { "square", 0, 128, 64, 256 };

static void
assert_right (FmVulkanDevice *d, FmProductForm form)
{
  g_autofree float *y = result (&d->base, &square), *want = result (plain_device (), &square);

  g_assert_cmpint (d->product, ==, form);
  g_assert_cmpmem (y, 128 * 256 * sizeof *y, want, 128 * 256 * sizeof *want);
}

static void
test_unasked (void)
{
  g_autoptr(FmDevice) device = NULL;

  if (!have_device ())
    return;
  device = &open_vulkan (NULL)->base;
  if (!device->info->software)
    {
      g_test_skip ("a GPU chooses by its own clock");
      return;
    }
  assert_right ((FmVulkanDevice *) device, FM_PRODUCT_PLAIN); /* its speed says nothing of a GPU's */
  g_assert_null (device->info->note);
}

/* A form that gives other numbers (here: another shader under its name) is found out by a product of its own. */
static void
test_wrong (void)
{
  g_autoptr(FmDevice) device = NULL;

  if (!have_device ())
    return;
  stand_in ("matmul-subgroup", "matmul");
  device = &open_vulkan ("subgroup")->base;
  assert_right ((FmVulkanDevice *) device, FM_PRODUCT_PLAIN);
  stand_in ("matmul-subgroup", "matmul-subgroup");
  g_assert_nonnull (strstr (device->info->note, "“subgroup” are wrong on this driver and not used"));
}

/* A driver that says 32 or 64 and computes in others: found out the same way. */
static void
test_lies (gconstpointer size)
{
  g_autoptr(FmDevice) device = NULL;
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  d = open_vulkan ("subgroup");
  device = &d->base;
  if (d->subgroup == GPOINTER_TO_UINT (size))
    {
      g_test_skip ("subgroups are as large here");
      return;
    }
  d->subgroup = GPOINTER_TO_UINT (size);
  assert_right (d, FM_PRODUCT_PLAIN);
  g_assert_nonnull (strstr (device->info->note, "wrong on this driver"));
}

static void
test_no_broadcasts (void)
{
  g_autoptr(FmDevice) device = NULL;
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  d = open_vulkan ("subgroup");
  device = &d->base;
  d->broadcasts = FALSE;
  assert_right (d, FM_PRODUCT_PLAIN);
}

static void
test_not_compiled (gconstpointer form)
{
  g_autofree char *shader = g_strconcat ("matmul-", form, NULL);
  g_autoptr(GBytes) nothing = g_bytes_new_static ("", 0);
  g_autoptr(FmDevice) device = NULL;
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  fm_vulkan_add_shader (shader, nothing);
  d = open_vulkan (form);
  device = &d->base;
  d->cooperative = g_str_equal (form, "cooperative");
  assert_right (d, FM_PRODUCT_PLAIN);
  stand_in (shader, shader);
  g_assert_nonnull (strstr (device->info->note, "do not work here: op matmul: "));
  g_assert_nonnull (strstr (device->info->note, shader));
}

/* --- Matrix units -------------------------------------------------------------------------------------------------*/

static void
test_fits (void)
{
  const VkCooperativeMatrixPropertiesNV good = {
    .MSize = 16, .NSize = 16, .KSize = 16, .AType = VK_COMPONENT_TYPE_FLOAT16_NV, .BType = VK_COMPONENT_TYPE_FLOAT16_NV,
    .CType = VK_COMPONENT_TYPE_FLOAT32_NV, .DType = VK_COMPONENT_TYPE_FLOAT32_NV, .scope = VK_SCOPE_SUBGROUP_NV
  };
  VkCooperativeMatrixPropertiesNV list[8];

  for (guint i = 0; i < 8; i++)
    list[i] = good;
  list[0].MSize = 8;
  list[1].NSize = 8;
  list[2].KSize = 8;
  list[3].AType = VK_COMPONENT_TYPE_FLOAT32_NV;
  list[4].BType = VK_COMPONENT_TYPE_SINT8_NV;
  list[5].CType = VK_COMPONENT_TYPE_FLOAT16_NV;
  list[6].DType = VK_COMPONENT_TYPE_FLOAT16_NV;
  list[7].scope = VK_SCOPE_WORKGROUP_NV;
  for (guint i = 0; i < 8; i++)
    g_assert_false (fm_vulkan_cooperative_fits (&list[i], 1));
  g_assert_false (fm_vulkan_cooperative_fits (list, 8));
  g_assert_false (fm_vulkan_cooperative_fits (NULL, 0));
  list[7] = good;
  g_assert_true (fm_vulkan_cooperative_fits (list, 8));
}

/* Asked for and not there: products stay in f32, the note says so, and the driver's text, under which results are kept,
 * is that of any other run. */
static void
test_absent (void)
{
  g_autoptr(FmDevice) device = NULL, usual = NULL;
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  g_setenv ("FORMARIUM_VULKAN_PRECISION", "f16", TRUE);
  d = open_vulkan (NULL);
  g_unsetenv ("FORMARIUM_VULKAN_PRECISION");
  device = &d->base;
  usual = &open_vulkan (NULL)->base;
  g_assert_false (((FmVulkanDevice *) usual)->f16);
  g_assert_true (d->f16);
  if (d->cooperative)
    {
      g_test_skip ("this device has matrix units");
      return;
    }
  assert_right (d, FM_PRODUCT_PLAIN);
  g_assert_nonnull (strstr (device->info->note, "asked for and stay in f32"));
  g_assert_cmpstr (device->info->driver, ==, usual->info->driver);
}

/* A pretended device with matrix units, and another shader in the place of theirs: that of wide tiles computes what it
 * should (its workgroups are 64 = 4 x 16), that of small ones does not. */
static void
test_pretended (gconstpointer other)
{
  gboolean right = g_str_equal (other, "matmul-wide");
  g_autoptr(FmDevice) device = NULL;
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  stand_in ("matmul-cooperative", other);
  d = open_vulkan ("cooperative");
  device = &d->base;
  d->cooperative = TRUE;
  d->subgroup = 16;
  assert_right (d, right ? FM_PRODUCT_COOPERATIVE : FM_PRODUCT_PLAIN);
  stand_in ("matmul-cooperative", "matmul-cooperative");
  g_assert_nonnull (strstr (device->info->note, right ? "by matrix units, operands rounded to f16"
                                                      : "“cooperative” are wrong on this driver and not used"));
}

static void
test_validation (void)
{
  if (!have_device ())
    return;
  fm_device_unref (plain_device ()); /* so that what is left behind is told */
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  for (const Problem *p = problems; p->name; p++)
    {
      g_autofree char *name = g_strconcat ("/compute/vulkan-products/subgroup/", p->name, NULL);

      g_test_add_data_func (name, p, test_subgroup);
    }
  g_test_add_func ("/compute/vulkan-products/choice/unasked", test_unasked);
  g_test_add_func ("/compute/vulkan-products/choice/wrong", test_wrong);
  g_test_add_data_func ("/compute/vulkan-products/choice/pretended-32", GUINT_TO_POINTER (32), test_lies);
  g_test_add_data_func ("/compute/vulkan-products/choice/pretended-64", GUINT_TO_POINTER (64), test_lies);
  g_test_add_func ("/compute/vulkan-products/choice/no-broadcasts", test_no_broadcasts);
  g_test_add_data_func ("/compute/vulkan-products/choice/not-compiled-subgroup", "subgroup", test_not_compiled);
  g_test_add_data_func ("/compute/vulkan-products/choice/not-compiled-cooperative", "cooperative", test_not_compiled);
  g_test_add_func ("/compute/vulkan-products/cooperative/fits", test_fits);
  g_test_add_func ("/compute/vulkan-products/cooperative/absent", test_absent);
  g_test_add_data_func ("/compute/vulkan-products/cooperative/pretended-right", "matmul-wide", test_pretended);
  g_test_add_data_func ("/compute/vulkan-products/cooperative/pretended-wrong", "matmul", test_pretended);
  g_test_add_func ("/compute/vulkan-products/validation/silent", test_validation);
  return g_test_run ();
}
