/* expect.c: [paper] and [expect] of a batch file, read and checked; the verdict that a file keeps. */
#include "config.h"

#include "app/batch/batch-private.h"
#include "app/batch/expect.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MOST_EXPECTATIONS 100
#define AS_PUBLISHED "as published"

static const char *const quantities[FM_N_EXPECTS + 1] = { "accuracy", "loss", "latency", "throughput", "memory",
                                                          "inference-memory", "parameters", "flops", NULL };

const char *
fm_expect_quantity_name (FmExpectQuantity quantity)
{
  return quantity < FM_N_EXPECTS ? quantities[quantity] : "";
}

gboolean
fm_expect_quantity_is_score (FmExpectQuantity quantity)
{
  return quantity == FM_EXPECT_ACCURACY || quantity == FM_EXPECT_LOSS;
}

gboolean
fm_expect_quantity_is_exact (FmExpectQuantity quantity)
{
  return quantity >= FM_EXPECT_MEMORY;
}

const char *const *
fm_claim_words (void)
{
  static const char *const words[] = { "reproduced", "not reproduced", "undecided", NULL };

  return words;
}

static void
side_free (FmExpectSide *side)
{
  if (side == NULL)
    return;
  g_free (side->variant);
  g_ptr_array_unref (side->conditions);
  g_free (side);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmExpectSide, side_free)

static void
expectation_free (FmExpectation *e)
{
  g_free (e->name);
  g_free (e->text);
  side_free (e->left);
  side_free (e->right);
  g_free (e);
}

void
fm_batch_claim_free (FmBatchClaim *claim)
{
  if (claim == NULL)
    return;
  g_free (claim->citation);
  g_free (claim->arxiv);
  g_free (claim->says);
  g_free (claim->numbers);
  g_free (claim->conditions);
  g_free (claim->scale);
  g_free (claim->verdict);
  g_ptr_array_unref (claim->expectations);
  g_free (claim);
}

/* --- Reading one expectation --------------------------------------------------------------------------------------*/

/* Where a text is read, and where in its file it stands. */
typedef struct
{
  const char         *file;
  const FmBatchEntry *entry;
  const char         *at; /* inside entry->value */
  guint               column; /* of the value, from 1 */
} Reader;

static gboolean
fail (const Reader *r, const char *where, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (const Reader *r, const char *where, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  guint column = r->column + (guint) g_utf8_pointer_to_offset (r->entry->value, where);
  va_list args;

  va_start (args, format);
  what = g_strdelimit (g_strdup_vprintf (format, args), "\n\r\t", ' '); /* a file may write a line end as \n */
  va_end (args);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s, line %u, column %u, [%s] %s: %s%s", r->file,
               r->entry->line, column, r->entry->group, r->entry->key, what, g_str_has_suffix (what, "?") ? "" : ".");
  return FALSE;
}

/* Column of the value on its line: behind `=` and blanks. */
static guint
column_of (const char *text, const FmBatchEntry *entry)
{
  const char *line = text, *value;

  for (guint i = 1; i < entry->line && line != NULL; i++)
    {
      line = strchr (line, '\n');
      line = line != NULL ? line + 1 : NULL;
    }
  value = line != NULL ? strchr (line, '=') : NULL;
  if (value == NULL)
    return 1;
  for (value++; *value == ' ' || *value == '\t'; value++)
    ;
  return (guint) g_utf8_pointer_to_offset (line, value) + 1;
}

static void
skip_blanks (Reader *r)
{
  while (g_ascii_isspace (*r->at))
    r->at++;
}

/* TRUE when @word stands here, whole; goes behind it. */
static gboolean
take (Reader *r, const char *word)
{
  gsize n = strlen (word);
  gboolean letters = g_ascii_isalpha (word[n - 1]);

  skip_blanks (r);
  if (strncmp (r->at, word, n) != 0 || (letters && (g_ascii_isalnum (r->at[n]) || r->at[n] == '-' || r->at[n] == '_')))
    return FALSE;
  r->at += n;
  return TRUE;
}

/* What stands here, for a message: a word, a number, or one sign. */
static char *
seen (Reader *r)
{
  const char *end;

  skip_blanks (r);
  end = r->at;
  if (*end == '\0')
    return g_strdup ("the end of the line");
  while (g_ascii_isalnum (*end) || *end == '-' || *end == '_' || *end == '.')
    end++;
  if (end == r->at)
    end = g_utf8_next_char (end);
  return g_strdup_printf ("“%.*s”", (int) (end - r->at), r->at);
}

static gboolean
parse_quantity (Reader *r, FmExpectQuantity *quantity, GError **error)
{
  g_autofree char *word = NULL;
  const char *end, *near;

  skip_blanks (r);
  for (guint i = 0; i < FM_N_EXPECTS; i++)
    if (take (r, quantities[i]))
      {
        *quantity = (FmExpectQuantity) i;
        return TRUE;
      }
  for (end = r->at; g_ascii_isalpha (*end) || *end == '-' || *end == '_'; end++)
    ;
  word = g_strndup (r->at, end - r->at);
  near = *word != '\0' ? fm_nearest_name (word, quantities) : NULL;
  if (near != NULL)
    return fail (r, r->at, error, "there is no quantity “%s”; did you mean “%s”?", word, near);
  g_free (word);
  word = seen (r);
  return fail (r, r->at, error, "%s is no quantity; there are accuracy, loss, latency, throughput, memory, "
               "inference-memory, parameters and flops", word);
}

static gboolean
add_condition (Reader *r, GPtrArray *conditions, const char *from, const char *to, GError **error)
{
  g_autofree char *text = g_strndup (from, to - from), *key = NULL, *value = NULL;
  const char *equals;

  g_strstrip (text);
  equals = strchr (text, '=');
  if (equals == NULL || equals == text || equals[1] == '\0')
    return fail (r, from, error, "“%s” must be KEY=VALUE, such as N=784", text);
  key = g_strchomp (g_strndup (text, equals - text));
  value = g_strchug (g_strdup (equals + 1));
  for (guint i = 0; i < conditions->len; i++)
    if (g_str_has_prefix (g_ptr_array_index (conditions, i), key)
        && ((const char *) g_ptr_array_index (conditions, i))[strlen (key)] == '=')
      return fail (r, from, error, "%s is given twice", key);
  g_ptr_array_add (conditions, g_strdup_printf ("%s=%s", key, value));
  return TRUE;
}

static FmExpectSide *
side_new (const char *from, const char *to)
{
  FmExpectSide *side = g_new0 (FmExpectSide, 1);

  side->variant = g_strstrip (g_strndup (from, to - from));
  side->conditions = g_ptr_array_new_with_free_func (g_free);
  return side;
}

/* `(VARIANT)` or, where @second is asked for, `(VARIANT, VARIANT)`. A comma with a blank behind it separates, as in
 * include=; a part with `=` belongs to the variant before it. */
static gboolean
parse_sides (Reader *r, FmExpectSide **first, FmExpectSide **second, GError **error)
{
  const char *open, *close, *from;
  g_autofree char *what = NULL;
  FmExpectSide *side = NULL;

  if (!take (r, "("))
    {
      what = seen (r);
      return fail (r, r->at, error, "%s where “(” and a variant should stand, such as (softmax-attention)", what);
    }
  open = r->at - 1;
  close = strchr (r->at, ')');
  if (close == NULL)
    return fail (r, open, error, "“(” has no “)”");
  for (from = r->at; from <= close; from++)
    {
      const char *to = from;

      while (to < close && !(*to == ',' && g_ascii_isspace (to[1])))
        to++;
      while (g_ascii_isspace (*from))
        from++;
      if (from >= to)
        return fail (r, from, error, "a variant is missing");
      if (memchr (from, '=', to - from) == NULL)
        {
          if (*first != NULL && (second == NULL || *second != NULL))
            return fail (r, from, error, second == NULL ? "one variant stands between the brackets; two need “ratio”"
                                                        : "a ratio has two variants");
          side = side_new (from, to);
          *(*first == NULL ? first : second) = side;
        }
      else if (side == NULL)
        return fail (r, from, error, "a variant must stand before its settings");
      else if (!add_condition (r, side->conditions, from, to, error))
        return FALSE;
      from = to;
    }
  if (second != NULL && *second == NULL)
    return fail (r, close, error, "a ratio has two variants, with a comma and a blank between them");
  r->at = close + 1;
  return TRUE;
}

static gboolean
parse_number (Reader *r, gdouble *value, GError **error)
{
  g_autofree char *what = NULL;
  char *end;

  skip_blanks (r);
  errno = 0;
  *value = g_ascii_strtod (r->at, &end);
  if (end == r->at || !isfinite (*value) || (errno == ERANGE && *value != 0))
    {
      what = seen (r);
      return fail (r, r->at, error, "%s where a number should stand", what);
    }
  r->at = end;
  return TRUE;
}

static gboolean
parse_comparison (Reader *r, FmExpectation *e, GError **error)
{
  g_autofree char *what = NULL;

  e->at_least = take (r, ">=");
  if (e->at_least || take (r, "<="))
    return TRUE;
  what = seen (r);
  return fail (r, r->at, error, "%s where >= or <= should stand", what);
}

/* Behind both sides of a difference: `- 1 points`, `+ 0.02 nats`, or nothing. */
static gboolean
parse_distance (Reader *r, FmExpectation *e, GError **error)
{
  gboolean plus = take (r, "+"), points = e->quantity == FM_EXPECT_ACCURACY;
  gdouble value;

  if (!plus && !take (r, "-"))
    return TRUE;
  if (!parse_number (r, &value, error))
    return FALSE;
  if (points ? !take (r, "points") && !take (r, "point") : !take (r, "nats") && !take (r, "nat"))
    {
      g_autofree char *what = seen (r);

      return fail (r, r->at, error, "%s where the unit should stand: %s", what, points ? "points" : "nats");
    }
  e->bound = (plus ? value : -value) / (points ? 100 : 1);
  return TRUE;
}

/* `2 *` or `50% *` before the right side of a ratio. */
static gboolean
parse_factor (Reader *r, FmExpectation *e, GError **error)
{
  const char *from;

  skip_blanks (r);
  from = r->at;
  if (!g_ascii_isdigit (*from) && *from != '.' && *from != '-' && *from != '+')
    return TRUE;
  if (!parse_number (r, &e->bound, error))
    return FALSE;
  if (take (r, "%"))
    e->bound /= 100;
  if (!(e->bound > 0))
    return fail (r, from, error, "a ratio must be above 0");
  if (!take (r, "*"))
    {
      g_autofree char *what = seen (r);

      return fail (r, r->at, error, "%s where “* %s(VARIANT)” should stand: a cost depends on the machine, so it is "
                   "compared with another one", what, fm_expect_quantity_name (e->quantity));
    }
  return TRUE;
}

static gboolean
parse_right_side (Reader *r, FmExpectation *e, GError **error)
{
  gboolean score = fm_expect_quantity_is_score (e->quantity);
  FmExpectQuantity other;
  const char *from;

  skip_blanks (r);
  if (e->quantity == FM_EXPECT_ACCURACY && (g_ascii_isdigit (*r->at) || *r->at == '.'))
    {
      from = r->at;
      if (!parse_number (r, &e->bound, error))
        return FALSE;
      if (!take (r, "%") || e->bound > 100)
        return fail (r, from, error, "an accuracy by itself is a share from 0%% to 100%%");
      e->bound /= 100;
      return TRUE;
    }
  if (!score && !parse_factor (r, e, error))
    return FALSE;
  skip_blanks (r);
  from = r->at;
  if (!parse_quantity (r, &other, error))
    return FALSE;
  if (other != e->quantity)
    return fail (r, from, error, "%s is compared with %s; both sides must be one quantity",
                 fm_expect_quantity_name (e->quantity), fm_expect_quantity_name (other));
  return parse_sides (r, &e->right, NULL, error) && (!score || parse_distance (r, e, error));
}

static gboolean
parse_at (Reader *r, FmExpectation *e, GError **error)
{
  if (!take (r, "at"))
    return TRUE;
  for (const char *from = r->at;;)
    {
      const char *to = from;

      while (*to != '\0' && !(*to == ',' && g_ascii_isspace (to[1])))
        to++;
      while (g_ascii_isspace (*from))
        from++;
      if (!add_condition (r, e->left->conditions, from, to, error)
          || (e->right != NULL && !add_condition (r, e->right->conditions, from, to, error)))
        return FALSE;
      r->at = to;
      if (*to == '\0')
        return TRUE;
      from = to + 1;
    }
}

static gboolean
parse_expectation (Reader *r, FmExpectation *e, GError **error)
{
  const char *begin;

  if (!parse_quantity (r, &e->quantity, error))
    return FALSE;
  e->bound = fm_expect_quantity_is_score (e->quantity) ? 0 : 1;
  skip_blanks (r);
  begin = r->at;
  if (take (r, "ratio"))
    {
      if (fm_expect_quantity_is_score (e->quantity))
        return fail (r, begin, error, "%s is compared by difference: %s(A) >= %s(B) - 1 %s",
                     fm_expect_quantity_name (e->quantity), fm_expect_quantity_name (e->quantity),
                     fm_expect_quantity_name (e->quantity), e->quantity == FM_EXPECT_LOSS ? "nats" : "points");
      if (!parse_sides (r, &e->left, &e->right, error) || !parse_comparison (r, e, error))
        return FALSE;
      skip_blanks (r);
      begin = r->at;
      if (!parse_number (r, &e->bound, error))
        return FALSE;
      if (take (r, "%"))
        e->bound /= 100;
      if (!(e->bound > 0))
        return fail (r, begin, error, "a ratio must be above 0");
    }
  else if (!parse_sides (r, &e->left, NULL, error) || !parse_comparison (r, e, error)
           || !parse_right_side (r, e, error))
    return FALSE;
  if (!parse_at (r, e, error))
    return FALSE;
  skip_blanks (r);
  if (*r->at != '\0')
    {
      g_autofree char *what = seen (r);

      return fail (r, r->at, error, "%s where the line should end, or “at KEY=VALUE” stand", what);
    }
  return TRUE;
}

/* --- The two sections ---------------------------------------------------------------------------------------------*/

static char **
paper_field (FmBatchClaim *claim, const char *key)
{
  const struct { const char *key; char **field; } fields[] = {
    { "citation", &claim->citation },     { "arxiv", &claim->arxiv }, { "says", &claim->says },
    { "numbers", &claim->numbers }, { "conditions", &claim->conditions },
  };

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (g_str_equal (fields[i].key, key))
      return fields[i].field;
  return NULL;
}

static gboolean
read_paper (FmBatchClaim *claim, const Reader *r, GError **error)
{
  static const char *const keys[] = { "citation", "arxiv", "says", "numbers", "conditions", NULL };
  const FmBatchEntry *entry = r->entry;
  char **field = paper_field (claim, entry->key);
  const char *near;

  if (field == NULL)
    {
      near = fm_nearest_name (entry->key, keys);
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s, line %u, [paper] %s: no such key; %s%s%s", r->file,
                   entry->line, entry->key, near ? "did you mean “" : "there are citation, arxiv, says, numbers and ",
                   near ? near : "conditions", near ? "”?" : ".");
      return FALSE;
    }
  if (*entry->value == '\0')
    return fail (r, entry->value, error, "something should stand behind “=”; or leave the line out");
  *field = g_strdup (entry->value);
  return TRUE;
}

static gboolean
is_name (const char *key)
{
  for (const char *c = key; *c; c++)
    if (!g_ascii_isalnum (*c) && *c != '-' && *c != '_')
      return FALSE;
  return TRUE;
}

static gboolean
read_expect (FmBatchClaim *claim, Reader *r, GError **error)
{
  const FmBatchEntry *entry = r->entry;
  FmExpectation *e;

  if (g_str_equal (entry->key, "scale"))
    {
      if (*entry->value == '\0')
        return fail (r, entry->value, error, "say how this batch differs from the paper, or " AS_PUBLISHED);
      claim->scale = g_strdup (entry->value);
      return TRUE;
    }
  if (g_str_equal (entry->key, "verdict"))
    {
      /* Nothing yet is what a claim begins with. */
      if (*entry->value != '\0' && !g_strv_contains (fm_claim_words (), entry->value))
        return fail (r, entry->value, error, "“%s” is no verdict; there are reproduced, not reproduced and undecided",
                     entry->value);
      claim->verdict = *entry->value != '\0' ? g_strdup (entry->value) : NULL;
      return TRUE;
    }
  if (!is_name (entry->key))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s, line %u, [expect] “%s”: an expectation begins with a name and “=”, such as "
                   "1=accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points.",
                   r->file, entry->line, entry->key);
      return FALSE;
    }
  if (claim->expectations->len >= MOST_EXPECTATIONS)
    return fail (r, entry->value, error, "more than %d expectations; each more makes all of them harder to meet",
                 MOST_EXPECTATIONS);
  e = g_new0 (FmExpectation, 1);
  e->name = g_strdup (entry->key);
  e->text = g_strdup (entry->value);
  e->line = entry->line;
  g_ptr_array_add (claim->expectations, e);
  r->at = entry->value;
  return parse_expectation (r, e, error);
}

/* What the sections must say together. */
static gboolean
check (const FmBatchClaim *claim, const char *file, const Reader *paper, const Reader *expect, GError **error)
{
  if (expect->entry == NULL || claim->expectations->len == 0)
    {
      const Reader *where = expect->entry ? expect : paper;

      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s, line %u, [%s] without an expectation; write one into [expect], such as "
                   "1=accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points.",
                   file, where->entry->line, where->entry->group);
      return FALSE;
    }
  if (paper->entry != NULL && (claim->citation == NULL || claim->says == NULL))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s, line %u, [paper] has no %s.", file, paper->entry->line,
                   claim->citation == NULL ? "citation=; say which paper it is"
                                           : "says=; say in your own words what the paper says");
      return FALSE;
    }
  if (paper->entry != NULL && claim->scale == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s, line %u, [expect] has no scale=; say how this batch differs from the paper, or "
                   AS_PUBLISHED ".", file, expect->entry->line);
      return FALSE;
    }
  for (guint i = 0; i < claim->expectations->len; i++)
    {
      const FmExpectation *e = g_ptr_array_index (claim->expectations, i);

      if (e->right != NULL || g_strcmp0 (claim->scale, AS_PUBLISHED) == 0)
        continue;
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s, line %u, [expect] %s: other data or another scale than the paper's can show orders and costs, "
                   "not its accuracy; compare two variants, or write scale=" AS_PUBLISHED ".", file, e->line, e->name);
      return FALSE;
    }
  return TRUE;
}

gboolean
fm_batch_is_claim_section (const char *group)
{
  return g_str_equal (group, "paper") || g_str_equal (group, "expect");
}

FmBatchClaim *
fm_batch_claim_parse (GPtrArray *entries, const char *text, const char *file, GError **error)
{
  g_autoptr (FmBatchClaim) claim = g_new0 (FmBatchClaim, 1);
  Reader paper = { .file = file }, expect = { .file = file };

  claim->expectations = g_ptr_array_new_with_free_func ((GDestroyNotify) expectation_free);
  for (guint i = 0; i < entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (entries, i);
      gboolean of_paper = g_str_equal (entry->group, "paper");
      Reader r = { file, entry, entry->value, 1 };

      if (!fm_batch_is_claim_section (entry->group))
        continue;
      if (*entry->key == '\0')
        {
          *(of_paper ? &paper : &expect) = r;
          continue;
        }
      r.column = column_of (text, entry);
      if (of_paper ? !read_paper (claim, &r, error) : !read_expect (claim, &r, error))
        return NULL;
    }
  return check (claim, file, &paper, &expect, error) ? g_steal_pointer (&claim) : NULL;
}

FmBatchClaim *
fm_batch_claim_from_text (const char *text)
{
  g_autoptr (GPtrArray) entries = text != NULL ? fm_batch_scan (text, strlen (text), "batch", NULL) : NULL;

  for (guint i = 0; entries != NULL && i < entries->len; i++)
    if (fm_batch_is_claim_section (((const FmBatchEntry *) g_ptr_array_index (entries, i))->group))
      return fm_batch_claim_parse (entries, text, "batch", NULL);
  return NULL;
}

char *
fm_batch_claim_to_string (const FmBatchClaim *claim)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; claim != NULL && i < claim->expectations->len; i++)
    {
      const FmExpectation *e = g_ptr_array_index (claim->expectations, i);

      g_string_append_printf (out, "%s%s: %s", i > 0 ? "; " : "", e->name, e->text);
    }
  return g_string_free (out->len > 0 ? out : g_string_append (out, "nothing"), FALSE);
}

/* Lines that have no part in what is run and expected. */
static gboolean
is_remark (const FmBatchEntry *entry)
{
  return *entry->key == '\0' || g_str_equal (entry->group, "paper")
         || (g_str_equal (entry->group, "expect")
             && (g_str_equal (entry->key, "scale") || g_str_equal (entry->key, "verdict")));
}

static gboolean
has_all_of (GPtrArray *entries, GPtrArray *others)
{
  for (guint i = 0; i < others->len; i++)
    {
      const FmBatchEntry *other = g_ptr_array_index (others, i);
      gboolean found = is_remark (other);

      for (guint k = 0; k < entries->len && !found; k++)
        {
          const FmBatchEntry *e = g_ptr_array_index (entries, k);

          found = g_str_equal (e->group, other->group) && g_str_equal (e->key, other->key)
                  && g_str_equal (e->value, other->value);
        }
      if (!found)
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_batch_same_claim (const char *a, const char *b)
{
  g_autoptr (GPtrArray) ours = a != NULL ? fm_batch_scan (a, strlen (a), "batch", NULL) : NULL;
  g_autoptr (GPtrArray) theirs = b != NULL ? fm_batch_scan (b, strlen (b), "batch", NULL) : NULL;

  return ours != NULL && theirs != NULL && has_all_of (ours, theirs) && has_all_of (theirs, ours);
}

/* --- The verdict that a file keeps --------------------------------------------------------------------------------*/

char *
fm_batch_text_set_verdict (const char *text, const char *word)
{
  GString *out = g_string_new (NULL);
  gboolean inside = FALSE, crlf = FALSE;
  gsize last = 0; /* in @out: behind the last line of [expect] that says something */

  for (const char *line = text; *line != '\0';)
    {
      const char *end = strchr (line, '\n'), *first = line, *next = end != NULL ? end + 1 : line + strlen (line);

      while (*first == ' ' || *first == '\t')
        first++;
      if (*first == '[')
        inside = g_str_has_prefix (first, "[expect]");
      if (inside && g_str_has_prefix (first, "verdict"))
        {
          const char *value = first + strlen ("verdict"), *behind;

          while (*value == ' ' || *value == '\t')
            value++;
          if (*value == '=')
            {
              for (value++; *value == ' ' || *value == '\t'; value++)
                ;
              for (behind = next; behind > value && g_ascii_isspace (behind[-1]); behind--)
                ;
              g_string_append_len (out, text, value - text);
              g_string_append (out, word);
              g_string_append (out, behind);
              return g_string_free (out, FALSE);
            }
        }
      if (inside && *first != '#' && *first != '\n' && *first != '\r' && *first != '\0')
        {
          last = next - text;
          crlf = next - line >= 2 && next[-1] == '\n' && next[-2] == '\r';
        }
      line = next;
    }
  g_string_append_len (out, text, last);
  if (last > 0 && text[last - 1] != '\n')
    g_string_append_c (out, '\n');
  g_string_append_printf (out, "verdict=%s%s%s", word, crlf ? "\r\n" : "\n", text + last);
  return g_string_free (out, FALSE);
}
