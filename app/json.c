/* json.c: one thing that json-glib gets wrong. */
#include "config.h"

#include "app/json.h"

void
fm_json_repair_numbers (char *text)
{
  gboolean in_string = FALSE, exponent = FALSE;
  char *out = text;

  for (const char *at = text; *at; at++)
    {
      if (in_string)
        {
          in_string = *at != '"';
          if (*at == '\\' && at[1])
            *out++ = *at++;
        }
      else if (*at == '"')
        in_string = TRUE;
      else if ((*at == 'e' || *at == 'E') && at > text && g_ascii_isdigit (at[-1]))
        exponent = TRUE;
      else if (*at == '.' && exponent)
        {
          while (g_ascii_isdigit (at[1]))
            at++;
          continue;
        }
      else if (!g_ascii_isdigit (*at) && *at != '+' && *at != '-')
        exponent = FALSE;
      *out++ = *at;
    }
  *out = '\0';
}
