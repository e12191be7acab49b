/* main.c: `formarium-gtk` */
#include "config.h"

#include <glib/gi18n.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "fm-application.h"

int
main (int   argc,
      char *argv[])
{
  g_autoptr (FmApplication) application = NULL;
  gboolean picture = FALSE;
  int status;

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, FM_LOCALE_DIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);

  for (int i = 1; i < argc; i++)
    picture |= g_str_has_prefix (argv[i], "--screenshot");
  application = fm_application_new (!picture);
  status = g_application_run (G_APPLICATION (application), argc, argv);
  /* A thread may still estimate a plan or read the store; exit() would take the libraries away under it. The window
   * owns nothing that is written at the end, so nothing is lost by going at once. */
  fflush (NULL);
  _exit (status);
}
