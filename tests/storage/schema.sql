CREATE INDEX batch_by_key ON batch (key);
CREATE INDEX run_stage_by_stage ON run_stage (stage);
CREATE INDEX stage_input_by_earlier ON stage_input (earlier_stage);
CREATE TABLE architecture (
  id TEXT PRIMARY KEY,
  skeleton TEXT NOT NULL
, mixer TEXT, feedforward TEXT, mixer_parameters TEXT, feedforward_parameters TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE architecture_role (
  architecture TEXT NOT NULL REFERENCES architecture,
  position INTEGER NOT NULL,
  role TEXT NOT NULL,
  layer INTEGER, -- NULL: every layer
  plugin TEXT NOT NULL,
  plugin_hash TEXT,
  parameters TEXT NOT NULL,
  PRIMARY KEY (architecture, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE artifact (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  path TEXT NOT NULL, -- inside the artifacts' folder
  kind TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT,
  PRIMARY KEY (stage, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL, -- hash of the plan
  title TEXT NOT NULL,
  file_name TEXT,
  text TEXT NOT NULL, -- of the batch file
  program_version TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'paused', 'done', 'cancelled')),
  created_unix_us INTEGER NOT NULL,
  ended_unix_us INTEGER,
  runner_pid INTEGER,
  runner_start TEXT,
  runner_machine TEXT,
  heartbeat_unix_us INTEGER
, name TEXT, note TEXT) STRICT;
CREATE TABLE batch_tag (
  batch INTEGER NOT NULL REFERENCES batch ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (batch, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE curve (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  name TEXT NOT NULL,
  tag TEXT NOT NULL,
  step INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (stage, name, tag, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE device (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  name TEXT,
  driver TEXT,
  threads INTEGER,
  peak_gflop_per_s REAL,
  peak_gbyte_per_s REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE device_roof (
  name TEXT NOT NULL, -- of the hardware, as in device
  driver TEXT NOT NULL,
  threads INTEGER NOT NULL, -- -1 where there are none
  peak_gflop_per_s REAL NOT NULL, -- multiply-adds from registers
  product_gflop_per_s REAL, -- a large product
  read_gbyte_per_s REAL,
  copy_gbyte_per_s REAL, -- bytes read and written
  dispatch_us REAL, -- one more kernel
  submission_us REAL,
  measured_unix_us INTEGER NOT NULL,
  PRIMARY KEY (name, driver, threads)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_median (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL,
  process INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  median_us REAL NOT NULL,
  PRIMARY KEY (stage, kind, process)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_sample (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL, -- batch1, throughput
  position INTEGER NOT NULL,
  process INTEGER NOT NULL,
  rows INTEGER NOT NULL, -- examples in the call
  value_us REAL NOT NULL,
  PRIMARY KEY (stage, kind, position)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE memory (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL, -- peak is the whole, the others its parts
  planned_bytes INTEGER,
  measured_bytes INTEGER,
  PRIMARY KEY (stage, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE metric (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  split TEXT NOT NULL,
  target TEXT NOT NULL,
  tag TEXT NOT NULL,
  name TEXT NOT NULL,
  value REAL, -- NULL: not a number
  PRIMARY KEY (stage, split, target, tag, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE op_profile (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  op TEXT NOT NULL,
  calls INTEGER NOT NULL,
  seconds REAL,
  flops REAL,
  bytes REAL,
  PRIMARY KEY (stage, op)
) STRICT, WITHOUT ROWID;
CREATE TABLE outcome (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  split TEXT NOT NULL,
  target TEXT NOT NULL,
  units INTEGER NOT NULL, -- scoring units: examples, documents, images
  triples_zstd BLOB NOT NULL, -- little-endian f32: correct, count, loss in nats
  PRIMARY KEY (stage, split, target)
) STRICT;
CREATE TABLE run (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  batch INTEGER NOT NULL REFERENCES batch ON DELETE CASCADE,
  position INTEGER NOT NULL,
  variant TEXT NOT NULL,
  architecture TEXT NOT NULL REFERENCES architecture,
  task TEXT NOT NULL REFERENCES task,
  device TEXT NOT NULL REFERENCES device,
  seed INTEGER NOT NULL,
  skip_reason TEXT, name TEXT, note TEXT, train_stage TEXT, measure_stage TEXT, has_more_stages INTEGER NOT NULL DEFAULT 0,
  UNIQUE (batch, position)
) STRICT;
CREATE TABLE run_stage (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  position INTEGER NOT NULL,
  stage TEXT NOT NULL REFERENCES stage,
  PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_tag (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE stage (
  id TEXT PRIMARY KEY, -- hash of the recipe
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'failed', 'diverged', 'cancelled')),
  reason TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  started_unix_us INTEGER,
  ended_unix_us INTEGER,
  runner_pid INTEGER,
  runner_start TEXT,
  runner_machine TEXT,
  worker_pid INTEGER,
  fallbacks INTEGER, -- ops that ran elsewhere than asked
  diverged_step INTEGER,
  diverged_tensor TEXT, test_accuracy REAL, validation_accuracy REAL, test_loss_nats REAL, latency_us_median REAL, latency_us_p95 REAL, throughput_per_s REAL, train_s REAL, planned_peak_bytes INTEGER, measured_peak_bytes INTEGER, parameters INTEGER, flops REAL, latency_blocks INTEGER, unstable INTEGER, energy_joules REAL, device_heap_bytes INTEGER, trials INTEGER, parameters_by_n INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE stage_input (
  stage TEXT NOT NULL REFERENCES stage,
  position INTEGER NOT NULL,
  earlier_stage TEXT NOT NULL REFERENCES stage,
  PRIMARY KEY (stage, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE stage_text (
  stage TEXT PRIMARY KEY REFERENCES stage ON DELETE CASCADE,
  recipe TEXT NOT NULL, -- all that determines the result
  provenance TEXT CHECK (provenance IS NULL OR json_valid (provenance))
) STRICT, WITHOUT ROWID;
CREATE TABLE task (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  parameters TEXT NOT NULL,
  data_key TEXT,
  chance_level REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE task_shortcut (
  task TEXT NOT NULL REFERENCES task,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  help TEXT,
  accuracy REAL,
  PRIMARY KEY (task, position)
) STRICT, WITHOUT ROWID;
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
CREATE VIEW latency_summary AS
SELECT
  stage,
  kind,
  count (*) AS samples,
  avg (CASE WHEN place IN ((n + 1) / 2, (n + 2) / 2) THEN value_us END) AS median_us,
  min (CASE WHEN place >= 0.95 * n THEN value_us END) AS p95_us,
  min (value_us) AS minimum_us,
  max (rows) AS rows
FROM (
  SELECT
    stage, kind, rows, value_us,
    row_number () OVER (PARTITION BY stage, kind ORDER BY value_us) AS place,
    count (*) OVER (PARTITION BY stage, kind) AS n
  FROM latency_sample
)
GROUP BY stage, kind;
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
