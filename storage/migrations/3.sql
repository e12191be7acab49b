-- Version 3: names, tags and notes; what tables of results show stands ready in small rows: with 10,000 runs the view
-- `results` took seconds. Texts that only a worker or a reader of one stage wants lie apart, since a stage's state was
-- looked up among them.

ALTER TABLE batch ADD COLUMN name TEXT;
ALTER TABLE batch ADD COLUMN note TEXT;
ALTER TABLE run ADD COLUMN name TEXT;
ALTER TABLE run ADD COLUMN note TEXT;

CREATE TABLE batch_tag (
  batch INTEGER NOT NULL REFERENCES batch ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (batch, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_tag (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;

DROP VIEW learning_curves;
DROP VIEW op_shares;
DROP VIEW batches;
DROP VIEW variants;
DROP VIEW results;
DROP VIEW run_state;

CREATE TABLE stage_text (
  stage TEXT PRIMARY KEY REFERENCES stage ON DELETE CASCADE,
  recipe TEXT NOT NULL, -- all that determines the result
  provenance TEXT CHECK (provenance IS NULL OR json_valid (provenance))
) STRICT, WITHOUT ROWID;
INSERT INTO stage_text SELECT id, recipe, provenance FROM stage;
ALTER TABLE stage DROP COLUMN recipe;
ALTER TABLE stage DROP COLUMN provenance;
CREATE INDEX stage_input_by_earlier ON stage_input (earlier_stage);

-- The last stage of these kinds in the run's chain, and whether the chain has others; written with the run.
ALTER TABLE run ADD COLUMN train_stage TEXT;
ALTER TABLE run ADD COLUMN measure_stage TEXT;
ALTER TABLE run ADD COLUMN has_more_stages INTEGER NOT NULL DEFAULT 0;

CREATE VIEW run_chain AS
SELECT
  r.id AS run,
  (SELECT x.stage FROM run_stage x JOIN stage s ON s.id = x.stage WHERE x.run = r.id AND s.kind = 'train'
    ORDER BY x.position DESC LIMIT 1) AS train_stage,
  (SELECT x.stage FROM run_stage x JOIN stage s ON s.id = x.stage WHERE x.run = r.id AND s.kind = 'measure'
    ORDER BY x.position DESC LIMIT 1) AS measure_stage,
  (SELECT count (*) > 2 OR count (*) > total (s.kind IN ('train', 'measure')) OR total (s.kind = 'train') > 1
    OR total (s.kind = 'measure') > 1 FROM run_stage x JOIN stage s ON s.id = x.stage WHERE x.run = r.id)
    AS has_more_stages
FROM run r;
UPDATE run SET (train_stage, measure_stage, has_more_stages) =
  (SELECT train_stage, measure_stage, has_more_stages FROM run_chain WHERE run = run.id);

-- What plugins an architecture has, as the tables show it; written with its roles.
ALTER TABLE architecture ADD COLUMN mixer TEXT;
ALTER TABLE architecture ADD COLUMN feedforward TEXT;
ALTER TABLE architecture ADD COLUMN mixer_parameters TEXT;
ALTER TABLE architecture ADD COLUMN feedforward_parameters TEXT;

CREATE VIEW architecture_plugins AS
SELECT
  a.id AS architecture,
  (SELECT group_concat (plugin, ',') FROM (SELECT plugin FROM architecture_role
    WHERE architecture = a.id AND role = 'mixer' GROUP BY plugin ORDER BY min (position))) AS mixer,
  (SELECT group_concat (plugin, ',') FROM (SELECT plugin FROM architecture_role
    WHERE architecture = a.id AND role = 'feedforward' GROUP BY plugin ORDER BY min (position))) AS feedforward,
  (SELECT group_concat (parameters, ', ') FROM (SELECT DISTINCT parameters FROM architecture_role
    WHERE architecture = a.id AND role = 'mixer' ORDER BY position)) AS mixer_parameters,
  (SELECT group_concat (parameters, ', ') FROM (SELECT DISTINCT parameters FROM architecture_role
    WHERE architecture = a.id AND role = 'feedforward' ORDER BY position)) AS feedforward_parameters
FROM architecture a;
UPDATE architecture SET (mixer, feedforward, mixer_parameters, feedforward_parameters) =
  (SELECT mixer, feedforward, mixer_parameters, feedforward_parameters FROM architecture_plugins
    WHERE architecture = architecture.id);

-- The figures of a stage that has ended, from its rows; written in the transaction that ends it.
ALTER TABLE stage ADD COLUMN test_accuracy REAL;
ALTER TABLE stage ADD COLUMN validation_accuracy REAL;
ALTER TABLE stage ADD COLUMN test_loss_nats REAL;
ALTER TABLE stage ADD COLUMN latency_us_median REAL;
ALTER TABLE stage ADD COLUMN latency_us_p95 REAL;
ALTER TABLE stage ADD COLUMN throughput_per_s REAL;
ALTER TABLE stage ADD COLUMN train_s REAL;
ALTER TABLE stage ADD COLUMN planned_peak_bytes INTEGER;
ALTER TABLE stage ADD COLUMN measured_peak_bytes INTEGER;
ALTER TABLE stage ADD COLUMN parameters INTEGER;
ALTER TABLE stage ADD COLUMN flops REAL;

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
    ORDER BY target LIMIT 1) AS flops
FROM stage g;
UPDATE stage SET
  (test_accuracy, validation_accuracy, test_loss_nats, latency_us_median, latency_us_p95, throughput_per_s, train_s,
   planned_peak_bytes, measured_peak_bytes, parameters, flops) =
  (SELECT test_accuracy, validation_accuracy, test_loss_nats, latency_us_median, latency_us_p95, throughput_per_s,
   train_s, planned_peak_bytes, measured_peak_bytes, parameters, flops FROM stage_figures WHERE stage = stage.id);

-- A run's state is read from its stages, so the two cannot contradict each other.
CREATE VIEW run_state AS
SELECT
  r.id AS run,
  CASE WHEN r.skip_reason IS NOT NULL THEN 'skipped' ELSE (
    SELECT CASE min (CASE s.state WHEN 'diverged' THEN 1 WHEN 'failed' THEN 2 WHEN 'running' THEN 3
        WHEN 'cancelled' THEN 4 WHEN 'planned' THEN 5 ELSE 6 END)
      WHEN 1 THEN 'diverged' WHEN 2 THEN 'failed' WHEN 3 THEN 'running' WHEN 4 THEN 'cancelled' WHEN 6 THEN 'done'
      ELSE 'planned' END
    FROM run_stage x JOIN stage s ON s.id = x.stage WHERE x.run = r.id
  ) END AS state
FROM run r;

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
    WHERE x.run = r.id AND s.test_accuracy IS NOT NULL ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.test_accuracy, n.test_accuracy) END AS test_accuracy,
  CASE WHEN r.has_more_stages THEN (SELECT s.validation_accuracy FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.validation_accuracy IS NOT NULL ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.validation_accuracy, n.validation_accuracy) END AS validation_accuracy,
  t.chance_level AS chance_level,
  (SELECT max (accuracy) FROM task_shortcut WHERE task = r.task) AS best_shortcut_accuracy,
  CASE WHEN r.has_more_stages THEN (SELECT s.test_loss_nats FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.test_loss_nats IS NOT NULL ORDER BY x.position DESC LIMIT 1)
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
    WHERE x.run = r.id AND s.parameters IS NOT NULL ORDER BY x.position DESC LIMIT 1)
    ELSE coalesce (m.parameters, n.parameters) END AS parameters,
  CASE WHEN r.has_more_stages THEN (SELECT s.flops FROM run_stage x JOIN stage s ON s.id = x.stage
    WHERE x.run = r.id AND s.flops IS NOT NULL ORDER BY x.position DESC LIMIT 1)
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

CREATE VIEW batches AS
SELECT
  b.id AS batch_id,
  b.title AS batch,
  b.state AS state,
  datetime (b.created_unix_us / 1000000, 'unixepoch') AS created_utc,
  datetime (b.ended_unix_us / 1000000, 'unixepoch') AS ended_utc,
  count (r.id) AS runs,
  count (*) FILTER (WHERE q.state = 'done') AS done,
  count (*) FILTER (WHERE q.state IN ('failed', 'diverged')) AS failed,
  b.program_version AS program_version,
  b.file_name AS file_name,
  b.name AS name,
  (SELECT group_concat (tag, ' ') FROM batch_tag WHERE batch = b.id) AS tags,
  b.note AS note
FROM batch b
LEFT JOIN run r ON r.batch = b.id
LEFT JOIN run_state q ON q.run = r.id
GROUP BY b.id
ORDER BY b.id DESC;

CREATE VIEW learning_curves AS
SELECT b.title AS batch, r.variant AS variant, r.seed AS seed, c.name AS name, c.tag AS tag, c.step AS step,
  c.value AS value, r.batch AS batch_id, r.id AS run_id
FROM curve c
JOIN run_stage x ON x.stage = c.stage
JOIN run r ON r.id = x.run
JOIN batch b ON b.id = r.batch
ORDER BY r.id, c.name, c.tag, c.step;

CREATE VIEW op_shares AS
SELECT b.title AS batch, r.variant AS variant, r.seed AS seed, p.op AS op, p.calls AS calls, p.seconds AS seconds,
  p.flops / p.seconds / 1e9 AS gflop_per_s,
  p.bytes / p.seconds / 1e9 AS gbyte_per_s,
  max (p.flops / f.peak_gflop_per_s,
       p.bytes / max (coalesce (f.read_gbyte_per_s, 0), coalesce (f.copy_gbyte_per_s, 0))) / 1e9 / p.seconds AS roof_share,
  r.batch AS batch_id, r.id AS run_id, p.stage AS stage
FROM op_profile p
JOIN run_stage x ON x.stage = p.stage
JOIN run r ON r.id = x.run
JOIN batch b ON b.id = r.batch
JOIN device d ON d.id = r.device
LEFT JOIN device_roof f ON f.name = d.name AND f.driver = d.driver AND f.threads = coalesce (d.threads, -1)
ORDER BY r.id, p.seconds DESC;
