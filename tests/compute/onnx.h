/* onnx.h: enough of ONNX's files for operator vectors: tensors, and graphs of nodes with their attributes.
 * Source of the numbers of fields: onnx/onnx.proto of ONNX 1.12 (message types ModelProto, GraphProto, NodeProto,
 * AttributeProto, TensorProto) and protobuf's "Encoding" page. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  FM_ONNX_FLOAT = 1, FM_ONNX_UINT8 = 2, FM_ONNX_INT8 = 3, FM_ONNX_INT16 = 5, FM_ONNX_INT32 = 6, FM_ONNX_INT64 = 7,
  FM_ONNX_BOOL = 9, FM_ONNX_FLOAT16 = 10, FM_ONNX_DOUBLE = 11, FM_ONNX_UINT32 = 12, FM_ONNX_UINT64 = 13,
} FmOnnxType; /* not 4, whole numbers of 16 bits, in which these files keep bfloat16 too */

typedef struct
{
  char    *name;
  gint     type;  /* FmOnnxType; others are left without values */
  guint    rank;
  gint64   dims[8];
  gint64   n;
  gdouble *values; /* (nullable): NULL for types that are not read */
} FmOnnxTensor;

typedef struct
{
  char         *name;
  gdouble       f;
  gint64        i;
  char         *s;
  FmOnnxTensor *t;
  GArray       *ints;   /* gint64 */
  GArray       *floats; /* gdouble */
} FmOnnxAttribute;

typedef struct
{
  char      *op;
  GPtrArray *in, *out;   /* char *; "" where an optional one is left out */
  GPtrArray *attributes; /* FmOnnxAttribute */
} FmOnnxNode;

typedef struct
{
  GPtrArray *nodes;        /* FmOnnxNode */
  GPtrArray *initializers; /* FmOnnxTensor */
  GPtrArray *in, *out;     /* char * */
} FmOnnxGraph;

FmOnnxTensor *fm_onnx_load_tensor (const char *filename); /* (nullable): NULL when it is not a tensor */
void          fm_onnx_tensor_free (FmOnnxTensor *t);
FmOnnxGraph  *fm_onnx_load_graph  (const char *filename); /* (nullable) */
void          fm_onnx_graph_free  (FmOnnxGraph *g);

const FmOnnxAttribute *fm_onnx_attribute (const FmOnnxNode *node, const char *name); /* (nullable) */

gboolean      fm_onnx_is_whole    (gint type); /* a type of whole numbers that is read */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmOnnxTensor, fm_onnx_tensor_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmOnnxGraph, fm_onnx_graph_free)

G_END_DECLS
