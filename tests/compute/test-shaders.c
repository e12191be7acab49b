/* test-shaders.c: what every shader asks of a device, read from its SPIR-V: no more than any Vulkan 1.2 device has.
 *
 * Capabilities: Shader alone. So no shader needs 16-bit or 8-bit types, 64-bit numbers or float atomics, and none knows
 * the size of a subgroup: 4, 8, 16, 32 or 64 make no difference to what it computes. A form of the product that uses more
 * is listed below with what it asks, and is taken only where the device has it.
 * Shared memory: at most 16 KiB, the least that Vulkan allows; sizes that hang on a specialisation constant count with its
 * default. Push constants: at most 128 bytes, likewise. */
#include "compute/compute-private.h"

#include <gio/gio.h>
#include <string.h>

enum
{
  OP_CAPABILITY = 17, OP_TYPE_BOOL = 20, OP_TYPE_INT = 21, OP_TYPE_FLOAT = 22, OP_TYPE_VECTOR = 23, OP_TYPE_MATRIX = 24,
  OP_TYPE_ARRAY = 28, OP_TYPE_STRUCT = 30, OP_TYPE_POINTER = 32, OP_CONSTANT = 43, OP_SPEC_CONSTANT = 50,
  OP_SPEC_CONSTANT_OP = 52, OP_VARIABLE = 59
};
enum
{
  CAPABILITY_SHADER = 1, CAPABILITY_FLOAT16 = 9, CAPABILITY_SUBGROUP = 61, CAPABILITY_SUBGROUP_BALLOT = 64,
  CAPABILITY_MEMORY_MODEL = 5345, CAPABILITY_COOPERATIVE_NV = 5357
};
enum { STORAGE_WORKGROUP = 4, STORAGE_PUSH_CONSTANT = 9 };

/* Forms that a device must offer more for; products.c asks it for these very things before it takes them. What is listed
 * must be used, too. */
static const struct { const char *shader; guint32 capabilities[5]; guint64 shared; } special[] = {
  { "matmul-subgroup.spv", { CAPABILITY_SUBGROUP, CAPABILITY_SUBGROUP_BALLOT }, 16 * 1024 },
  { "matmul-cooperative.spv", { CAPABILITY_FLOAT16, CAPABILITY_SUBGROUP, CAPABILITY_MEMORY_MODEL,
                                CAPABILITY_COOPERATIVE_NV }, 24 * 1024 },
};

typedef struct
{
  guint32  bound;
  guint64 *bytes;   /* of a type, by id */
  guint32 *pointee; /* of a pointer type */
  guint64 *value;   /* of a constant */
} Module;

/* Sum of two, product, difference or quotient: what lengths of arrays are made of. */
static guint64
constant_op (guint32 op, guint64 a, guint64 b)
{
  switch (op)
    {
    case 128: return a + b;
    case 130: return a - b;
    case 132: return a * b;
    case 134: return b ? a / b : 0;
    default: return 0;
    }
}

static void
check_shader (const char *name, const guint32 *words, gsize n)
{
  Module m = { .bound = words[3] };
  guint64 shared = 0, push = 0, may_share = 16 * 1024;
  guint seen = 0, wanted = 0, form = G_N_ELEMENTS (special);

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    if (g_str_equal (special[i].shader, name))
      form = i;
  if (form < G_N_ELEMENTS (special))
    {
      may_share = special[form].shared;
      while (special[form].capabilities[wanted] != 0)
        wanted++;
    }
  g_assert_cmphex (words[0], ==, 0x07230203);
  m.bytes = g_new0 (guint64, m.bound);
  m.pointee = g_new0 (guint32, m.bound);
  m.value = g_new0 (guint64, m.bound);
  for (gsize at = 5; at < n; at += words[at] >> 16)
    {
      guint32 length = words[at] >> 16;
      const guint32 *w = words + at + 1;

      g_assert_cmpuint (length, >, 0);
      switch (words[at] & 0xFFFF)
        {
        case OP_CAPABILITY:
          {
            gboolean allowed = w[0] == CAPABILITY_SHADER;

            for (guint i = 0; i < wanted; i++)
              if (special[form].capabilities[i] == w[0])
                {
                  allowed = TRUE;
                  seen++;
                }
            if (!allowed)
              {
                g_test_message ("%s asks for capability %u, which not every device has", name, w[0]);
                g_test_fail ();
              }
          }
          break;
        case OP_TYPE_BOOL:
          m.bytes[w[0]] = 4;
          break;
        case OP_TYPE_INT:
        case OP_TYPE_FLOAT:
          m.bytes[w[0]] = w[1] / 8;
          break;
        case OP_TYPE_VECTOR:
        case OP_TYPE_MATRIX:
          m.bytes[w[0]] = m.bytes[w[1]] * w[2];
          break;
        case OP_TYPE_ARRAY:
          m.bytes[w[0]] = m.bytes[w[1]] * m.value[w[2]];
          break;
        case OP_TYPE_STRUCT:
          for (guint32 i = 1; i + 1 < length; i++)
            m.bytes[w[0]] += m.bytes[w[i]];
          break;
        case OP_TYPE_POINTER:
          m.pointee[w[0]] = w[2];
          break;
        case OP_CONSTANT:
        case OP_SPEC_CONSTANT:
          m.value[w[1]] = w[2];
          break;
        case OP_SPEC_CONSTANT_OP:
          if (length == 6)
            m.value[w[1]] = constant_op (w[2], m.value[w[3]], m.value[w[4]]);
          break;
        case OP_VARIABLE:
          if (w[2] == STORAGE_WORKGROUP)
            shared += m.bytes[m.pointee[w[0]]];
          else if (w[2] == STORAGE_PUSH_CONSTANT)
            push = m.bytes[m.pointee[w[0]]];
          break;
        }
    }
  g_test_message ("%s: %" G_GUINT64_FORMAT " bytes shared, %" G_GUINT64_FORMAT " pushed", name, shared, push);
  if (shared > may_share || push > 128)
    {
      g_test_message ("%s: must be %" G_GUINT64_FORMAT " and 128 at most", name, may_share);
      g_test_fail ();
    }
  if (seen != wanted)
    {
      g_test_message ("%s asks for %u of the %u capabilities that are listed for it", name, seen, wanted);
      g_test_fail ();
    }
  g_free (m.bytes);
  g_free (m.pointee);
  g_free (m.value);
}

static void
test_shaders (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = g_resources_enumerate_children ("/formarium/shaders", 0, &error);

  g_assert_nonnull (*fm_ops_list ()); /* a library that nothing is called of is not linked, nor are its resources */
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (names), >, 40);
  for (guint i = 0; names[i]; i++)
    {
      g_autofree char *path = g_strdup_printf ("/formarium/shaders/%s", names[i]);
      g_autoptr (GBytes) bytes = g_resources_lookup_data (path, 0, &error);

      g_assert_no_error (error);
      check_shader (names[i], g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes) / 4);
    }
}

/* The reader itself: a module with one shared array of 3 * 1500 floats and the capability Float16 must be found out. */
static void
test_reader (void)
{
  if (g_test_subprocess ())
    {
      static const guint32 words[] = {
        0x07230203, 0x00010000, 0, 20, 0,
        2 << 16 | OP_CAPABILITY, CAPABILITY_SHADER,
        2 << 16 | OP_CAPABILITY, 9,
      };

      check_shader ("float16", words, G_N_ELEMENTS (words));
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
}

static void
test_reader_shared (void)
{
  if (g_test_subprocess ())
    {
      static const guint32 words[] = {
        0x07230203, 0x00010000, 0, 20, 0,
        3 << 16 | OP_TYPE_FLOAT, 1, 32,
        4 << 16 | OP_TYPE_INT, 2, 32, 0,
        4 << 16 | OP_CONSTANT, 2, 3, 1500,
        4 << 16 | OP_CONSTANT, 2, 4, 3,
        6 << 16 | OP_SPEC_CONSTANT_OP, 2, 5, 132, 3, 4,
        4 << 16 | OP_TYPE_ARRAY, 6, 1, 5,
        4 << 16 | OP_TYPE_POINTER, 7, STORAGE_WORKGROUP, 6,
        4 << 16 | OP_VARIABLE, 7, 8, STORAGE_WORKGROUP,
      };

      check_shader ("shared", words, G_N_ELEMENTS (words));
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/shaders/needs", test_shaders);
  g_test_add_func ("/compute/shaders/reader/capability", test_reader);
  g_test_add_func ("/compute/shaders/reader/shared", test_reader_shared);
  return g_test_run ();
}
