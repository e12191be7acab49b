/* How often verdicts are wrong, on 2,000 simulated matrices with the spread that first.batch has.
 *
 * Measured on examples/first.batch (five variants, three seeds, 10,000 test pictures): how many pictures k of the fifteen
 * models got right, for k = 0 to 15; residual standard deviation of the layout 0.00333; standard deviation of a seed's
 * mean 0.00348, of which the residuals make 0.00149 and the seeds themselves 0.00314.
 *
 * A simulated run draws each picture right with its own probability k / 15 (the spread of examples) and adds a draw of
 * the seed and one of the run, such that the residual is the measured one. Deterministic. With -m slow three generator
 * seeds, otherwise the first alone.
 *
 * 5 % of 2,000 is 100; 123 is 2.36 standard deviations above (99 %), 60 is four below. */
#include <math.h>

#include "app/results/statistics.h"

#define MATRICES 2000
#define MOST_FALSE 123
#define LEAST_FALSE 60
#define RESIDUAL_SD 0.00333
#define SEED_SD 0.00314
/* A margin below what these matrices can resolve: nothing is called equal, and the tests of better and worse show all
 * that they do. At the default margin many a chance difference is called equal, rightly, before it is called better. */
#define NO_MARGIN 0.0005
#define EXAMPLES 10000

static const guint right_of_15[] = { 513, 176, 145, 135, 127, 117, 148, 143, 148, 136, 164, 178, 248, 330, 538, 6754 };

#define MOST_VARIANTS 5
#define MOST_SEEDS 9

/* What is simulated: variant v is `effect [v]` better and `noise [v]` times as noisy as the measured runs. */
typedef struct
{
  gsize    variants, seeds;
  gdouble  effect[MOST_VARIANTS];
  gdouble  noise[MOST_VARIANTS]; /* 0: 1 */
  guint    holes;                /* cells that are missing, drawn anew for each matrix, never of variant 0 */
  gboolean single;               /* only variant 1 is compared, else all with variant 0 */
  gdouble  margin;               /* 0: FM_ACCURACY_MARGIN */
} Scene;

/* --- Runs ---------------------------------------------------------------------------------------------------------*/

typedef struct
{
  gdouble *table[16]; /* cumulative binomial of right_of_15[k] pictures at k / 15 */
  gdouble  mean, example_sd;
} Pictures;

static Pictures *
pictures_new (void)
{
  Pictures *pictures = g_new0 (Pictures, 1);
  gdouble variance = 0;

  for (guint k = 0; k < 16; k++)
    {
      gdouble p = k / 15.0;

      pictures->table[k] = g_new (gdouble, right_of_15[k] + 1);
      for (guint i = 0; i <= right_of_15[k]; i++)
        pictures->table[k][i] = fm_binomial_cdf (i, right_of_15[k], p);
      pictures->mean += right_of_15[k] * p / EXAMPLES;
      variance += right_of_15[k] * p * (1 - p);
    }
  pictures->example_sd = sqrt (variance) / EXAMPLES;
  return pictures;
}

static void
pictures_free (Pictures *pictures)
{
  for (guint k = 0; k < 16; k++)
    g_free (pictures->table[k]);
  g_free (pictures);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pictures, pictures_free)

static gdouble
draw_accuracy (const Pictures *pictures, FmRandom *random)
{
  guint right = right_of_15[15];

  for (guint k = 1; k < 15; k++)
    {
      gdouble u = fm_random_uniform (random);
      guint low = 0, high = right_of_15[k];

      while (low < high)
        {
          guint middle = (low + high) / 2;

          if (pictures->table[k][middle] <= u)
            low = middle + 1;
          else
            high = middle;
        }
      right += low;
    }
  return (gdouble) right / EXAMPLES;
}

static void
draw_matrix (const Scene *scene, const Pictures *pictures, FmRandom *random, gdouble *values)
{
  gdouble run_sd = sqrt (RESIDUAL_SD * RESIDUAL_SD - pictures->example_sd * pictures->example_sd);
  gdouble seeds[MOST_SEEDS];

  for (gsize s = 0; s < scene->seeds; s++)
    seeds[s] = SEED_SD * fm_random_normal (random);
  for (gsize v = 0; v < scene->variants; v++)
    for (gsize s = 0; s < scene->seeds; s++)
      {
        gdouble noise = scene->noise[v] > 0 ? scene->noise[v] : 1;
        gdouble own = draw_accuracy (pictures, random) - pictures->mean + run_sd * fm_random_normal (random);

        values[v * scene->seeds + s] = pictures->mean + scene->effect[v] + seeds[s] + noise * own;
      }
  for (guint h = 0; h < scene->holes; h++)
    values[scene->seeds + fm_random_below (random, (scene->variants - 1) * scene->seeds)] = NAN;
}

/* --- Verdicts -----------------------------------------------------------------------------------------------------*/

typedef struct
{
  guint spoke; /* matrices with a better or a worse */
  guint better, equal; /* matrices where variant 1 is that */
  guint paired;
} Tally;

static void
judge (const Scene *scene, const gdouble *values, gsize seeds, gdouble alpha, FmComparison *list, FmSpread *spread)
{
  gsize n = scene->single ? 1 : scene->variants - 1;
  FmJudging how = { scene->margin > 0 ? scene->margin : FM_ACCURACY_MARGIN, alpha, TRUE, FALSE };
  FmSpread spreads[MOST_VARIANTS];
  gdouble part[MOST_VARIANTS * MOST_SEEDS];

  for (gsize v = 0; v < scene->variants; v++)
    for (gsize s = 0; s < seeds; s++)
      part[v * seeds + s] = values[v * scene->seeds + s];
  for (gsize i = 0; i < n; i++)
    list[i] = (FmComparison) { .variant = i + 1 };
  *spread = fm_comparisons_estimate (part, scene->variants, seeds, list, n, how.margin, alpha);
  for (gsize i = 0; i < n; i++)
    spreads[i] = *spread;
  fm_comparisons_judge (list, spreads, n, &how);
}

static Tally
simulate (const Scene *scene, guint64 generator)
{
  g_autoptr (Pictures) pictures = pictures_new ();
  gsize n = scene->single ? 1 : scene->variants - 1;
  Tally tally = { 0 };
  FmRandom random;

  fm_random_init (&random, generator, 17);
  for (guint m = 0; m < MATRICES; m++)
    {
      gdouble values[MOST_VARIANTS * MOST_SEEDS];
      FmComparison list[MOST_VARIANTS];
      FmSpread spread;
      gboolean spoke = FALSE;

      draw_matrix (scene, pictures, &random, values);
      judge (scene, values, scene->seeds, FM_ALPHA, list, &spread);
      for (gsize i = 0; i < n; i++)
        spoke |= list[i].verdict == FM_VERDICT_BETTER || list[i].verdict == FM_VERDICT_WORSE;
      tally.spoke += spoke;
      tally.better += list[0].verdict == FM_VERDICT_BETTER;
      tally.equal += list[0].verdict == FM_VERDICT_EQUAL;
      tally.paired += spread.paired;
    }
  g_test_message ("%zu variants, %zu seeds, %u holes, effect %.4f, %zu compared: spoke %u, better %u, equal %u, paired %u",
                  scene->variants, scene->seeds, scene->holes, scene->effect[1], n, tally.spoke, tally.better,
                  tally.equal, tally.paired);
  return tally;
}

static guint
generators (void)
{
  return g_test_slow () ? 3 : 1;
}

/* Copies of one variant at other seeds: any word but equal and undecided is false. */
static void
test_copies (void)
{
  const Scene scenes[] = { { 5, 3 },
                           { .variants = 5, .seeds = 3, .margin = NO_MARGIN },
                           { .variants = 5, .seeds = 5, .margin = NO_MARGIN },
                           { .variants = 3, .seeds = 4, .margin = NO_MARGIN },
                           { .variants = 5, .seeds = 4, .holes = 3, .margin = NO_MARGIN } };

  for (guint g = 0; g < generators (); g++)
    for (gsize i = 0; i < G_N_ELEMENTS (scenes); i++)
      g_assert_cmpuint (simulate (&scenes[i], g).spoke, <=, MOST_FALSE);
}

/* A single comparison speaks neither too often nor never. */
static void
test_single (void)
{
  const Scene scenes[] = { { .variants = 5, .seeds = 3, .single = TRUE, .margin = NO_MARGIN },
                           { .variants = 5, .seeds = 9, .single = TRUE, .margin = NO_MARGIN },
                           { .variants = 2, .seeds = 3, .single = TRUE, .margin = NO_MARGIN },
                           { .variants = 2, .seeds = 3, .single = TRUE },
                           { .variants = 5, .seeds = 3, .single = TRUE } };

  for (guint g = 0; g < generators (); g++)
    for (gsize i = 0; i < G_N_ELEMENTS (scenes); i++)
      {
        Tally tally = simulate (&scenes[i], g);

        g_assert_cmpuint (tally.spoke, <=, MOST_FALSE);
        if (scenes[i].margin > 0)
          g_assert_cmpuint (tally.spoke, >=, LEAST_FALSE);
      }
}

/* The difference that a t test of @df at @level finds in 90 of 100. */
static gdouble
difference_found (gdouble df, gdouble level, gdouble error)
{
  gdouble t = fm_t_quantile (1 - level / 2, df), low = 0, high = 100;

  for (int i = 0; i < 100; i++)
    {
      gdouble middle = (low + high) / 2;

      if (fm_t_power (t, df, middle) < 0.9)
        low = middle;
      else
        high = middle;
    }
  return high * error;
}

static void
test_power (void)
{
  for (guint g = 0; g < generators (); g++)
    for (gsize seeds = 3; seeds <= 5; seeds += 2)
      for (int single = 0; single < 2; single++)
        {
          /* With five seeds the difference that is found lies within the margin, so most would be called equal first. */
          Scene scene = { .variants = 5, .seeds = seeds, .single = single, .margin = seeds > 3 ? NO_MARGIN : 0 };

          /* Of four comparisons the only true one is tested at a quarter of the level. */
          scene.effect[1] = difference_found (4.0 * (seeds - 1), FM_ALPHA / (single ? 1 : 4),
                                              RESIDUAL_SD * sqrt (2.0 / seeds));
          g_assert_cmpuint (simulate (&scene, g).better, >=, MATRICES * 8 / 10);
        }
}

/* Differences exactly at the margin, on either side, are not equal. */
static void
test_margin (void)
{
  for (guint g = 0; g < generators (); g++)
    for (gsize seeds = 3; seeds <= 9; seeds += 3)
      for (int sign = -1; sign <= 1; sign += 2)
        {
          Scene scene = { .variants = 5, .seeds = seeds };

          scene.effect[1] = sign * FM_ACCURACY_MARGIN;
          g_assert_cmpuint (simulate (&scene, g).equal, <=, MOST_FALSE);
        }
}

/* And copies are called equal, given seeds enough: a test of equality that never speaks fails too. */
static void
test_equal (void)
{
  const Scene scene = { 5, 9 };

  for (guint g = 0; g < generators (); g++)
    g_assert_cmpuint (simulate (&scene, g).equal, >=, MATRICES * 9 / 10);
}

/* Three announced looks, at 3, 6 and 9 seeds, each at a third of the level: one false word in any of them counts. The same
 * looks unannounced would speak about twice as often, which is why they are not taken. */
static void
test_looks (void)
{
  g_autoptr (Pictures) pictures = pictures_new ();
  const Scene scene = { .variants = 5, .seeds = 9, .single = TRUE, .margin = NO_MARGIN };

  for (guint g = 0; g < generators (); g++)
    {
      guint announced = 0, peeking = 0;
      FmRandom random;

      fm_random_init (&random, g, 18);
      for (guint m = 0; m < MATRICES; m++)
        {
          gdouble values[MOST_VARIANTS * MOST_SEEDS];
          gboolean spoke[2] = { FALSE, FALSE };

          draw_matrix (&scene, pictures, &random, values);
          for (int third = 0; third < 2; third++)
            for (gsize seeds = 3; seeds <= 9; seeds += 3)
              {
                FmComparison list[MOST_VARIANTS];
                FmSpread spread;

                judge (&scene, values, seeds, third ? FM_ALPHA / 3 : FM_ALPHA, list, &spread);
                spoke[third] |= list[0].verdict == FM_VERDICT_BETTER || list[0].verdict == FM_VERDICT_WORSE;
              }
          announced += spoke[1];
          peeking += spoke[0];
        }
      g_test_message ("three looks: announced %u, unannounced %u", announced, peeking);
      g_assert_cmpuint (announced, <=, MOST_FALSE);
      g_assert_cmpuint (peeking, >, announced);
    }
}

/* Copies of which one is noisier than the rest, three and ten times: what the spread test must catch. With three seeds it
 * cannot see a factor of three each time, so these bounds are no 5 %: they are what was found (263, 179, 124 and 167, 107,
 * 96 with generator seed 0) and four standard deviations, kept from getting worse. */
static void
test_noisy (void)
{
  static const struct
  {
    gdouble noise;
    guint   seeds, most;
  } scenes[] = { { 3, 3, 325 }, { 3, 6, 231 }, { 3, 9, 169 }, { 10, 3, 217 }, { 10, 6, 148 }, { 10, 9, 136 } };

  for (guint g = 0; g < generators (); g++)
    for (gsize i = 0; i < G_N_ELEMENTS (scenes); i++)
      {
        Scene scene = { .variants = 5, .seeds = scenes[i].seeds, .single = TRUE, .margin = NO_MARGIN };

        scene.noise[1] = scenes[i].noise;
        g_assert_cmpuint (simulate (&scene, g).spoke, <=, scenes[i].most);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/calibration/copies", test_copies);
  g_test_add_func ("/app/calibration/single", test_single);
  g_test_add_func ("/app/calibration/power", test_power);
  g_test_add_func ("/app/calibration/margin", test_margin);
  g_test_add_func ("/app/calibration/equal", test_equal);
  g_test_add_func ("/app/calibration/looks", test_looks);
  g_test_add_func ("/app/calibration/noisy", test_noisy);
  return g_test_run ();
}
