/* measure-times.h: how long a measuring process takes its turn; the estimate of a plan counts with the same numbers. */
#pragma once

#define FM_MEASURE_WARM_UPS       10   /* calls at least, in the time below, until they have settled */
#define FM_MEASURE_LEAST_WARM_UPS 2
#define FM_MEASURE_MOST_WARM_UPS  1000
#define FM_MEASURE_MOST_SAMPLES   200  /* of a kind */
#define FM_MEASURE_LEAST_SAMPLES  3
#define FM_MEASURE_LATENCY_US     40000 /* for the samples of a kind; at most as long for its warm-up */
#define FM_MEASURE_THROUGHPUT_US  100000
#define FM_MEASURE_PROFILED_RUNS  5
#define FM_MEASURE_MODE_US        100000 /* for the samples of a mode that measure= names; at most as long for its warm-up */
