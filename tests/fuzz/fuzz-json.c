/* fuzz-json.c: the lines that processes send each other and the recipes that a store keeps. The first byte says which. */
#include "fuzz.h"

#include "app/run/roof.h"
#include "app/run/run-private.h"

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  criticals_are_fatal ();
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  if (size < 1)
    return 0;
  object = fm_json_parse ((const char *) data + 1, (gssize) size - 1, &error);
  check_refusal (object == NULL, error);
  if (object == NULL)
    return 0;
  if (*data == 'r')
    {
      g_autoptr (FmRecipe) recipe = fm_recipe_parse (object, &error);

      check_refusal (recipe == NULL, error);
    }
  else if (*data == 's')
    {
      g_autoptr (FmStageResult) result = fm_stage_result_from_json (object, FM_STAGE_DONE);
      g_autoptr (JsonObject) again = fm_stage_result_to_json (result);
      g_autofree char *line = fm_json_line (again);
    }
  else if (*data == 'c')
    {
      g_autoptr (FmRunStatus) status = NULL;

      node = json_node_init_object (json_node_alloc (), object);
      status = fm_run_status_from_json (node, &error);
      check_refusal (status == NULL, error);
    }
  else if (*data == 'e')
    {
      FmExploreAnswer *answer = fm_explore_answer_from_json (object, &error);

      check_refusal (answer == NULL, error);
      g_clear_pointer (&answer, fm_explore_answer_free);
    }
  else
    {
      g_autoptr (FmRoofRecord) roof = fm_roof_from_json (object);
    }
  return 0;
}
