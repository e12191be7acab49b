/* init.h: what the parameters of a training stage start from: names of its model mapped to names of the models that
 * earlier stages left.
 *
 *   TARGET=SOURCE          the same shape
 *   TARGET=SOURCE slice    the first elements along every axis; of leading axes that only the source has, the first
 *   TARGET=SOURCE repeat   over and over along every axis; along leading axes that only the target has, too
 *   TARGET=new             drawn from the seed
 *   mean                   of all the models that the stage starts from, number by number
 *
 * TARGET is a pattern (paths.h), and SOURCE a path in which the first `*` is what the first `*` of TARGET stood for,
 * and so on; what lies below is taken along. In braces a layer's number is reckoned with: `{2*}`, `{2*+1}`, `{*-1}`,
 * `{*%2}`, and a slash behind the star divides and rounds down. Of rules that mean the same parameter the last one
 * holds; one that no rule means starts from the parameter of its own name. What is then not there, or does not fit, is
 * an error and not drawn in silence.
 *
 * mean: Wortsman et al., "Model soups", 2022, arXiv:2203.05482, section 2 (uniform soup). Every second layer: as
 * DistilBERT begins (Sanh et al. 2019, arXiv:1910.01108, section 3). MLP into experts: Komatsuzaki et al., "Sparse
 * upcycling", 2022, arXiv:2212.05055, section 3. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

typedef enum
{
  FM_START_COPY,
  FM_START_SLICE,
  FM_START_REPEAT,
  FM_START_NEW,
} FmStartHow;

typedef struct
{
  char      *text, *target, *source; /* source: NULL when new */
  FmStartHow how;
  guint      matched; /* parameters that it spoke of, by fm_start_check() */
} FmStartRule;

typedef struct
{
  GPtrArray *rules; /* FmStartRule */
  gboolean   mean;
} FmStartRules;

/** fm_start_rules_parse: (transfer full): of @items (nullable), a rule each. */
FM_API FmStartRules *fm_start_rules_parse (const char * const *items, GError **error) G_GNUC_WARN_UNUSED_RESULT;
FM_API void          fm_start_rules_free  (FmStartRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmStartRules, fm_start_rules_free)

/** fm_start_check: could the parameters of @target start from models whose graphs are @sources, called @names? */
FM_API gboolean fm_start_check (const FmStartRules *rules, FmGraph *target, FmGraph * const *sources,
                                const char * const *names, guint n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * fm_start_apply:
 * @checkpoints: files of the models it starts from
 * @variables: is given the parameters of @target that do not start new, and states of the same name and shape, before a
 *   program is made of it
 */
FM_API gboolean fm_start_apply (const FmStartRules *rules, FmGraph *target, const char * const *checkpoints,
                                FmVariables *variables, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
