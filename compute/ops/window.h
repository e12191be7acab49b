/* window.h: a window that slides over a picture [B,Y,X,C], as the attributes of the ops that use one. */
#pragma once

#include "compute/compute-private.h"

/* Attributes i[0..11] of unfold, fold and the depthwise ops, in this order. */
typedef struct
{
  gint64 rows, columns, row_step, column_step, row_dilation, column_dilation, top, left; /* top, left: padding before */
  gint64 y, x;   /* of the picture */
  gint64 oy, ox; /* of the places of the window */
} FmPlaces;

G_STATIC_ASSERT (sizeof (FmPlaces) <= sizeof ((FmAttr *) NULL)->i);

FM_INLINE const FmPlaces *
fm_places_of (const FmNode *node)
{
  return (const FmPlaces *) node->attr.i;
}

/* Fills @attr for a picture of y x x cells; FALSE after blaming @what when the window cannot be or fits nowhere. */
gboolean fm_places_init (FmGraph *g, const char *what, const FmConvWindow *window, gint64 y, gint64 x, FmAttr *attr);

/* Push constants that window.glsl reads. */
typedef struct
{
  guint32 count, y, x, c, oy, ox;
  gint32  rows, columns, row_step, column_step, row_dilation, column_dilation, top, left;
  float   pad;
  guint32 offset[3];
} FmPlacesPush;

FmPlacesPush fm_places_push (const FmNode *node, gint64 count, gint64 channels);
