-- Version 4: latencies come from several fresh processes, which take turns in blocks with those of the other variants;
-- what each process found stands beside its samples, so that verdicts can pair the processes of one block.

CREATE TABLE measure_process (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  process INTEGER NOT NULL, -- as in latency_sample
  session TEXT NOT NULL, -- one for all stages that were measured together
  block INTEGER NOT NULL, -- of the session: processes of one block ran within a short time
  place INTEGER NOT NULL, -- in the order drawn for the block
  started_unix_us INTEGER NOT NULL,
  warm_ups INTEGER, -- calls before the first sample
  settled INTEGER, -- 1: they had stopped getting faster; 0: the time for them was over first
  measured_peak_bytes INTEGER,
  device_heap_bytes INTEGER,
  energy_joules REAL, -- an example
  PRIMARY KEY (stage, process)
) STRICT, WITHOUT ROWID;

-- From latency_sample, written in the transaction that ends the stage.
CREATE TABLE latency_median (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL,
  process INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  median_us REAL NOT NULL,
  PRIMARY KEY (stage, kind, process)
) STRICT, WITHOUT ROWID;

CREATE VIEW latency_medians AS
SELECT stage, kind, process, max (n) AS samples, avg (value_us) AS median_us
FROM (
  SELECT
    stage, kind, process, value_us,
    row_number () OVER (PARTITION BY stage, kind, process ORDER BY value_us) AS place,
    count (*) OVER (PARTITION BY stage, kind, process) AS n
  FROM latency_sample
)
WHERE place IN ((n + 1) / 2, (n + 2) / 2)
GROUP BY stage, kind, process;
INSERT INTO latency_median SELECT stage, kind, process, samples, median_us FROM latency_medians;

DROP VIEW variants;
DROP VIEW results;
DROP VIEW stage_figures;

ALTER TABLE stage ADD COLUMN latency_blocks INTEGER; -- fresh processes that were measured
ALTER TABLE stage ADD COLUMN unstable INTEGER; -- 1: the interval asked for was not reached
ALTER TABLE stage ADD COLUMN energy_joules REAL; -- an example
ALTER TABLE stage ADD COLUMN device_heap_bytes INTEGER;
ALTER TABLE stage ADD COLUMN trials INTEGER; -- of tuning, behind the settings of this stage
ALTER TABLE stage ADD COLUMN parameters_by_n INTEGER; -- those whose number depends on the length

CREATE VIEW stage_figures AS
SELECT
  g.id AS stage,
  (SELECT value FROM metric WHERE stage = g.id AND split = 'test' AND tag = '' AND name = 'accuracy'
    ORDER BY target LIMIT 1) AS test_accuracy,
  (SELECT value FROM metric WHERE stage = g.id AND split = 'validation' AND tag = '' AND name = 'accuracy'
    ORDER BY target LIMIT 1) AS validation_accuracy,
  (SELECT value FROM metric WHERE stage = g.id AND split = 'test' AND tag = '' AND name = 'loss'
    ORDER BY target LIMIT 1) AS test_loss_nats,
  (SELECT avg (value_us) FROM (SELECT value_us,
    row_number () OVER (ORDER BY value_us) AS place, count (*) OVER () AS n
    FROM latency_sample WHERE stage = g.id AND kind = 'batch1')
    WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS latency_us_median,
  (SELECT min (value_us) FROM (SELECT value_us,
    row_number () OVER (ORDER BY value_us) AS place, count (*) OVER () AS n
    FROM latency_sample WHERE stage = g.id AND kind = 'batch1')
    WHERE place >= 0.95 * n) AS latency_us_p95,
  (SELECT 1e6 * max (rows) / avg (value_us) FROM (SELECT value_us, rows,
    row_number () OVER (ORDER BY value_us) AS place, count (*) OVER () AS n
    FROM latency_sample WHERE stage = g.id AND kind = 'throughput')
    WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS throughput_per_s,
  (SELECT value FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = '' AND name = 'train_s')
    AS train_s,
  (SELECT planned_bytes FROM memory WHERE stage = g.id AND kind = 'peak') AS planned_peak_bytes,
  (SELECT measured_bytes FROM memory WHERE stage = g.id AND kind = 'peak') AS measured_peak_bytes,
  (SELECT CAST (value AS INTEGER) FROM metric WHERE stage = g.id AND split = '' AND tag = '' AND name = 'parameters'
    ORDER BY target LIMIT 1) AS parameters,
  (SELECT value FROM metric WHERE stage = g.id AND split = '' AND tag = '' AND name = 'flops'
    ORDER BY target LIMIT 1) AS flops,
  (SELECT count (DISTINCT process) FROM latency_median WHERE stage = g.id AND kind = 'batch1'
    HAVING count (*) > 0) AS latency_blocks,
  (SELECT CAST (value AS INTEGER) FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = ''
    AND name = 'unstable') AS unstable,
  (SELECT value FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = '' AND name = 'energy_joules')
    AS energy_joules,
  (SELECT CAST (value AS INTEGER) FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = ''
    AND name = 'device_heap_bytes') AS device_heap_bytes,
  (SELECT CAST (value AS INTEGER) FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = ''
    AND name = 'trials') AS trials,
  (SELECT CAST (value AS INTEGER) FROM metric WHERE stage = g.id AND split = '' AND target = '' AND tag = ''
    AND name = 'parameters_by_n') AS parameters_by_n
FROM stage g;
UPDATE stage SET latency_blocks = (SELECT latency_blocks FROM stage_figures WHERE stage = stage.id)
  WHERE kind = 'measure';

-- One row a run: what people read.
CREATE VIEW results AS
SELECT
  b.title AS batch,
  r.variant AS variant,
  a.mixer AS mixer,
  a.feedforward AS feedforward,
  t.name AS task,
  d.label AS device,
  r.seed AS seed,
  CASE WHEN n.state = 'done' AND m.state = 'done' AND NOT r.has_more_stages AND r.skip_reason IS NULL THEN 'done'
    ELSE (SELECT state FROM run_state WHERE run = r.id) END AS state,
  CASE WHEN r.has_more_stages THEN (SELECT s.test_accuracy FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.test_accuracy IS NOT NULL
    AND x.position >= coalesce ((SELECT y.position FROM run_stage y WHERE y.run = r.id AND y.stage = r.train_stage), 0)
    ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.test_accuracy, n.test_accuracy) END AS test_accuracy,
  CASE WHEN r.has_more_stages THEN (SELECT s.validation_accuracy FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.validation_accuracy IS NOT NULL
    AND x.position >= coalesce ((SELECT y.position FROM run_stage y WHERE y.run = r.id AND y.stage = r.train_stage), 0)
    ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.validation_accuracy, n.validation_accuracy) END AS validation_accuracy,
  t.chance_level AS chance_level,
  (SELECT max (accuracy) FROM task_shortcut WHERE task = r.task) AS best_shortcut_accuracy,
  CASE WHEN r.has_more_stages THEN (SELECT s.test_loss_nats FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.test_loss_nats IS NOT NULL
    AND x.position >= coalesce ((SELECT y.position FROM run_stage y WHERE y.run = r.id AND y.stage = r.train_stage), 0)
    ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.test_loss_nats, n.test_loss_nats) END AS test_loss_nats,
  m.latency_us_median AS latency_us_median,
  m.latency_us_p95 AS latency_us_p95,
  m.throughput_per_s AS throughput_per_s,
  n.train_s AS train_s,
  n.planned_peak_bytes AS planned_peak_bytes,
  n.measured_peak_bytes AS measured_peak_bytes,
  m.planned_peak_bytes AS inference_planned_peak_bytes,
  m.measured_peak_bytes AS inference_measured_peak_bytes,
  CASE WHEN r.has_more_stages THEN (SELECT s.parameters FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.parameters IS NOT NULL
    AND x.position >= coalesce ((SELECT y.position FROM run_stage y WHERE y.run = r.id AND y.stage = r.train_stage), 0)
    ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.parameters, n.parameters) END AS parameters,
  CASE WHEN r.has_more_stages THEN (SELECT s.flops FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.flops IS NOT NULL
    AND x.position >= coalesce ((SELECT y.position FROM run_stage y WHERE y.run = r.id AND y.stage = r.train_stage), 0)
    ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.flops, n.flops) END AS flops,
  CASE WHEN r.has_more_stages THEN (SELECT s.diverged_step FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.state = 'diverged' ORDER BY x.position LIMIT 1)
    WHEN n.state = 'diverged' THEN n.diverged_step
    WHEN m.state = 'diverged' THEN m.diverged_step END AS diverged_step,
  CASE WHEN r.has_more_stages THEN (SELECT s.diverged_tensor FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.state = 'diverged' ORDER BY x.position LIMIT 1)
    WHEN n.state = 'diverged' THEN n.diverged_tensor
    WHEN m.state = 'diverged' THEN m.diverged_tensor END AS diverged_tensor,
  coalesce (r.skip_reason, CASE WHEN r.has_more_stages THEN (SELECT s.reason FROM run_stage x JOIN stage s
    ON s.id = x.stage WHERE x.run = r.id AND s.state IN ('failed', 'diverged', 'cancelled') ORDER BY x.position LIMIT 1)
    WHEN n.state IN ('failed', 'diverged', 'cancelled') THEN n.reason
    WHEN m.state IN ('failed', 'diverged', 'cancelled') THEN m.reason END) AS reason,
  CASE WHEN r.has_more_stages THEN (SELECT sum (s.fallbacks) FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id)
    ELSE coalesce (n.fallbacks + m.fallbacks, n.fallbacks, m.fallbacks) END AS fallbacks,
  a.mixer_parameters AS mixer_parameters,
  a.feedforward_parameters AS feedforward_parameters,
  a.skeleton AS skeleton,
  t.parameters AS task_parameters,
  d.name AS device_name,
  r.batch AS batch_id,
  r.id AS run_id,
  r.architecture AS architecture_id,
  r.train_stage AS train_stage,
  r.measure_stage AS measure_stage,
  m.latency_blocks AS latency_blocks,
  m.unstable AS unstable,
  m.energy_joules AS energy_joules,
  m.device_heap_bytes AS device_heap_bytes,
  n.trials AS trials,
  coalesce (m.parameters_by_n, n.parameters_by_n) AS parameters_by_n,
  r.name AS name,
  (SELECT group_concat (tag, ' ') FROM run_tag WHERE run = r.id) AS tags,
  r.note AS note,
  b.name AS batch_name,
  (SELECT group_concat (tag, ' ') FROM batch_tag WHERE batch = b.id) AS batch_tags,
  b.note AS batch_note
FROM run r
JOIN batch b ON b.id = r.batch
JOIN architecture a ON a.id = r.architecture
JOIN task t ON t.id = r.task
JOIN device d ON d.id = r.device
LEFT JOIN stage n ON n.id = r.train_stage
LEFT JOIN stage m ON m.id = r.measure_stage
ORDER BY r.batch DESC, r.position;

-- One row a variant: means over the seeds that ended well, and how many of them did not.
CREATE VIEW variants AS
SELECT
  batch, variant, task, device,
  count (*) AS runs,
  sum (state = 'done') AS done,
  sum (state IN ('failed', 'diverged')) AS failed,
  avg (test_accuracy) FILTER (WHERE state = 'done') AS test_accuracy_mean,
  min (test_accuracy) FILTER (WHERE state = 'done') AS test_accuracy_minimum,
  max (test_accuracy) FILTER (WHERE state = 'done') AS test_accuracy_maximum,
  avg (latency_us_median) FILTER (WHERE state = 'done') AS latency_us_mean_of_medians,
  avg (train_s) FILTER (WHERE state = 'done') AS train_s_mean,
  max (measured_peak_bytes) AS measured_peak_bytes_maximum,
  max (parameters) AS parameters,
  batch_id
FROM results
GROUP BY batch_id, variant, task, device
ORDER BY batch_id DESC, min (run_id);
