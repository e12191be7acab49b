/* browser.h: a headless Chromium that a test asks through a pipe (the DevTools protocol, messages of JSON that end in
 * NUL). */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

typedef struct _Browser Browser;

/** browser_new: (transfer full) (nullable): NULL where no Chromium is installed. */
Browser *browser_new  (void);
void     browser_free (Browser *browser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Browser, browser_free)

/** browser_call: (transfer full): the result of @method; @params (nullable): a JSON object. An error ends the test. */
JsonObject *browser_call (Browser *browser, const char *method, const char *params);
/** browser_open: waits until @uri is loaded; forgets complaints and requests of the page before. */
void        browser_open (Browser *browser, const char *uri);
/** browser_eval: (transfer full): what a JavaScript expression is, as text. */
char       *browser_eval (Browser *browser, const char *expression);
/** browser_key: presses and releases a key: "Enter", "Tab". */
void        browser_key  (Browser *browser, const char *key);

/* (element-type char *): what went to the console as an error or was thrown; addresses that were asked for. */
GPtrArray *browser_get_complaints (Browser *browser);
GPtrArray *browser_get_requests   (Browser *browser);
