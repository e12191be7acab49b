/* fm-questions.h: the batch files that are shipped, as questions to choose from; what a first start shows */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

#define FM_TYPE_QUESTIONS (fm_questions_get_type ())
G_DECLARE_FINAL_TYPE (FmQuestions, fm_questions, FM, QUESTIONS, AdwBin)

/** fm_questions_get_chosen: (nullable): path of the batch file. Signal "start" (): the person wants it. */
const char *fm_questions_get_chosen (FmQuestions *self);

/** fm_questions_list: (transfer full) (element-type utf8): paths of the shipped batch files, the first one first. */
GPtrArray  *fm_questions_list       (void);

G_END_DECLS
