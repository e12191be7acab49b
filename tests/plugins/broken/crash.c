/* crash.c: dies in its constructor. */
#include <stdlib.h>

__attribute__ ((constructor)) static void
die (void)
{
  abort ();
}
