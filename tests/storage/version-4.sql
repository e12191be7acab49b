-- A store of schema version 4 with two runs, a roof, labels and a measuring process, as sqlite3 dumps it. Never edited once version 5 exists.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE device (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  name TEXT,
  driver TEXT,
  threads INTEGER,
  peak_gflop_per_s REAL,
  peak_gbyte_per_s REAL
) STRICT, WITHOUT ROWID;
INSERT INTO device VALUES('cpu','cpu','A processor',NULL,2,NULL,NULL);
CREATE TABLE architecture (
  id TEXT PRIMARY KEY,
  skeleton TEXT NOT NULL
, mixer TEXT, feedforward TEXT, mixer_parameters TEXT, feedforward_parameters TEXT) STRICT, WITHOUT ROWID;
INSERT INTO architecture VALUES('architecture-0','encoder layers=2 width=64','softmax-attention','mlp','heads=4','hidden=256');
INSERT INTO architecture VALUES('architecture-1','encoder layers=2 width=64','local-attention','mlp','heads=4','hidden=256');
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
INSERT INTO architecture_role VALUES('architecture-0',0,'mixer',NULL,'softmax-attention','hash','heads=4');
INSERT INTO architecture_role VALUES('architecture-0',1,'feedforward',NULL,'mlp','hash','hidden=256');
INSERT INTO architecture_role VALUES('architecture-1',0,'mixer',NULL,'local-attention','hash','heads=4');
INSERT INTO architecture_role VALUES('architecture-1',1,'feedforward',NULL,'mlp','hash','hidden=256');
CREATE TABLE task (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  parameters TEXT NOT NULL,
  data_key TEXT,
  chance_level REAL
) STRICT, WITHOUT ROWID;
INSERT INTO task VALUES('task-1','fashion-mnist','view=patches','sha256:0123',0.10000000000000000555);
CREATE TABLE task_shortcut (
  task TEXT NOT NULL REFERENCES task,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  help TEXT,
  accuracy REAL,
  PRIMARY KEY (task, position)
) STRICT, WITHOUT ROWID;
INSERT INTO task_shortcut VALUES('task-1',0,'grey values','Bag of grey values',0.32000000000000000666);
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
INSERT INTO batch VALUES(1,'key of first','first','/somewhere/first.batch',replace('[batch]\n','\n',char(10)),'0.1.0','planned',1795000000000000,NULL,NULL,NULL,NULL,NULL,'windows','A cool day.');
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
INSERT INTO stage VALUES('measure-0-0','measure','planned',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO stage VALUES('measure-1-0','measure','planned',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO stage VALUES('train-0-0','train','done',NULL,1,1795000000000000,1795000012500000,4711,'1','elsewhere',NULL,0,NULL,NULL,0.83999999999999996891,0.84999999999999997779,0.5,300.0,300.0,NULL,12.5,1000000,2000000,123456,2500000000.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO stage VALUES('train-1-0','train','planned',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE stage_input (
  stage TEXT NOT NULL REFERENCES stage,
  position INTEGER NOT NULL,
  earlier_stage TEXT NOT NULL REFERENCES stage,
  PRIMARY KEY (stage, position)
) STRICT, WITHOUT ROWID;
INSERT INTO stage_input VALUES('measure-0-0',0,'train-0-0');
INSERT INTO stage_input VALUES('measure-1-0',0,'train-1-0');
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
INSERT INTO run VALUES(1,1,0,'softmax-attention x mlp','architecture-0','task-1','cpu',0,NULL,NULL,'the fan was loud','train-0-0','measure-0-0',0);
INSERT INTO run VALUES(2,1,1,'local-attention x mlp','architecture-1','task-1','cpu',0,NULL,NULL,NULL,'train-1-0','measure-1-0',0);
CREATE TABLE run_stage (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  position INTEGER NOT NULL,
  stage TEXT NOT NULL REFERENCES stage,
  PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
INSERT INTO run_stage VALUES(1,1,'measure-0-0');
INSERT INTO run_stage VALUES(2,1,'measure-1-0');
INSERT INTO run_stage VALUES(1,0,'train-0-0');
INSERT INTO run_stage VALUES(2,0,'train-1-0');
CREATE TABLE metric (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  split TEXT NOT NULL,
  target TEXT NOT NULL,
  tag TEXT NOT NULL,
  name TEXT NOT NULL,
  value REAL, -- NULL: not a number
  PRIMARY KEY (stage, split, target, tag, name)
) STRICT, WITHOUT ROWID;
INSERT INTO metric VALUES('measure-0-0','','','','unstable',0.0);
INSERT INTO metric VALUES('train-0-0','','','','flops',2500000000.0);
INSERT INTO metric VALUES('train-0-0','','','','parameters',123456.0);
INSERT INTO metric VALUES('train-0-0','','','','train_s',12.5);
INSERT INTO metric VALUES('train-0-0','test','class','','accuracy',0.83999999999999996891);
INSERT INTO metric VALUES('train-0-0','test','class','','loss',0.5);
INSERT INTO metric VALUES('train-0-0','validation','class','','accuracy',0.84999999999999997779);
CREATE TABLE curve (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  name TEXT NOT NULL,
  tag TEXT NOT NULL,
  step INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (stage, name, tag, step)
) STRICT, WITHOUT ROWID;
INSERT INTO curve VALUES('train-0-0','loss','',0,2.2999999999999998223);
INSERT INTO curve VALUES('train-0-0','loss','',1,1.1499999999999999111);
INSERT INTO curve VALUES('train-0-0','loss','',2,0.76666666666666660745);
CREATE TABLE outcome (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  split TEXT NOT NULL,
  target TEXT NOT NULL,
  units INTEGER NOT NULL, -- scoring units: examples, documents, images
  triples_zstd BLOB NOT NULL, -- little-endian f32: correct, count, loss in nats
  PRIMARY KEY (stage, split, target)
) STRICT;
INSERT INTO outcome VALUES('train-0-0','test','class',1000,X'28b52ffd60e02d355e00b4aa00803f6f12033b0bd7a33b3c5939343c42606596438b0bd7a3806abcf4fdd46991ed6f12033d295c0f3de4a51b9eef27593934138340cdcc4c881659426065fda971b7f37db91e8596438b736891508d972eb29d0bd7a3e8fba9c520b0a245b6806abc5d8fc23ab4c817d9cef4fdd4d222dbaf47e18c6ce76991ed46b6f324dbf90000003e6f12033ede24064c3709bb490c295c0f986e12078115759318e4a51b52b81ec1ca2130dd249eef270d022b7b142eea2631593934c74b37365e3aa4703d138340829543f0a7465fba49cdcc4c3cdf4fabf152190456881659f6285c653b5fd44d62426065b172681f856b8e976efda9716bbc74dace7748e17ab7f37d1383804a0c82819583b91e85f0a7862731885fba8996438bcdcc8c05568e3cdf8f736891aaf192e27a94190496508d97881699bf9f9af6289c2eb29d653b9f9cc4a0d34da20bd7a34260a579e9a6b172a8e8fba91f85ab570ead8e97aec520b0fca9b13433b36bbcb4a245b6daceb71158b948e1ba806abcb7f3bdee7cbf2506c15d8fc29418c4cba1c5032bc73ab4c8713dcaa9c6cbe04fcd17d9ce4e62d086ebd1bd74d3f4fdd42c87d66310d89a99d9d222db09acdc4035de77bedfaf47e1e6d0e21d5ae455e3e58c6ce7c3f5e8fb7eea3208ec6991eda01aefd8a3f00f2df246b6f37e3ff5b5c8f6ec51f824dbf95b64fb92edfcc976fe0000003f9cc4003f388901d34d026f12030bd703a69b04426005de240679e90615ae07b172084c3709e8fb0984c00a1f850bbb490c560e0df2d20d8e970e295c0fc5201061e510fca911986e12343313cff7136bbc14078115a245163e0a17dace17759318115819ad1c1a48e11ae4a51b7f6a1c1b2f1db7f31d52b81eee7c1f8a4120250621c1ca215d8f22f8532394182430dd24cba125676626032b279eef273ab428d67829713d2a0d022ba8c62b448b2ce04f2d7b142e17d92eb39d2f4e6230ea263186eb3121b032bd7433593934f4fd3490c2352c8736c74b37631038ffd4389a9939365e3ad1223b6de73b09ac3ca4703d40353edcf93e77be3f138340af47414a0c42e6d0428295431d5a44b91e4555e345f0a7468c6c47283148c3f5485fba49fa7e4a96434b32084ccdcc4c69914d05564ea01a4f3cdf4fd8a3507368510f2d52abf15246b653e27a547e3f55190456b5c856518d57ec515888165923db59bf9f5a5b645bf6285c92ed5c2eb25dc9765e653b5f0100609cc460388961d44d626f12630bd763a79b64426065de24667ae96615ae67b172684d3769e8fb6984c06a1f856bbb496c570e6df2d26d8e976e2a5c6fc5207061e570fda971986e72343373d0f7736bbc74078175a345763e0a77dace77769378115879ad1c7a48e17ae4a57b806a7c1b2f7db7f37d53b87eee7c7fc5208013838061e5ae4781fca9814a0c82986e82e6d0343383819583cff71d5a846bbc84b91e8507818554e3a24586f0a7863e0a878c6c87dace273188759388c3f51158895fba89ac1c8afa7e8a48e196438be4a58b32088c7f6a8ccdcc1b2f8d69918db7f305568e52b88ea01a8fee7c8f3cdf8a4190d7a390250691736891c1ca0f2d925d8f92aaf1f8539346b693941894e27a9430dd7d3f95cba195190496676696b5c8032b97508d979eefec51983ab498881699d5789923db713d9abf9f9a0d029b5b649ba8c6f6289c448b9c92ede04f9d2eb29d7b149ec9769e17d9653b9fb39d9f0000a04e62a09cc4ea26a13889a186ebd34da221b0a26f12a3bd74a30bd75939a4a69ba4f4fd4260a590c2a5de24a62c87a679e9c74ba715aea76310a8b172a8fed44c37a99a99a9e8fb365eaa84c0aad122ab1f85ab6de7bb49ac09acac570eada470adf2d24035ae8e97aedcf92a5caf77beafc520b01383b061e5af47b1fca9b14a0cb2986eb2e6d03433b38295b3cff71d5ab46bbcb4b91eb50781b555e3a245b6f0a7b63e0ab78c6cb7dace2731b87593b8c3f51158b95fbab9ad1cbafa7eba48e19643bbe4a5bb3208bc806abccdcc1b2fbd6991bdb7f30556be53b8bea01abfee7cbf3cdf8a41c0d8a3c02506c17368c1c1ca0f2dc25d8fc2abf1f853c346b6c39418c4e27ac430dd7e3fc5cba1c51904c66766c6b5c8032bc7508dc79eefec51c83ab4c88816c9d678c923db713dcabf9fca0d02cb5b64cba9c6f628cc448bcc92ede04fcd2eb2cd7c14cec976ce17d9653bcfb39dcf0100d04e62d09cc4ea26d13889d186ebd44dd221b0d26f12d3bd74d30bd75939d4a79bd4f4fd4260d590c2d5de24d62c87d67ae9c74bd715aed76310d8b172d8ffd44c37d99a99d9e8fb365eda84c0dad222db1f85db6de7bb49dc09acdc570edda570ddf2d24035de8e97dedcf92a5cdf77bedfc520e01383e061e5af47e1fda9e14a0ce2986ee2e6d03433e38295e3d0f71d5ae46bbce4b91ee50781e555e3a345e6f0a7e63e0ae78c6ce7dace2831e87593e8c3f51158e95fbae9ad1ceafb7eea48e19643ebe4a5eb3208ec806aeccecc1b2fed6991edb7f30556ee53b8eea01aefee7cef3cdf8a41f0d8a3f02606f17368f1c1ca0f2df25d8ff2abf1f953f346b6f39418f4e27af430dd7e3ff5cca1f51904f66766f6b5c8032bf7518df79eefec51f83ab4f88816f9d678f924db713dfabf9ffa0d02fb5b64fba9c6f728fc448bfc92ede04ffd2eb2fd7c14fec976fe17d9653bffb39dff00000040273100404e6275939cc4c3f5ea260111580138895fba86ebac1c02d34d02fa7e21b048e16f1203964303bd74e4a50bd73208045839047f6aa69bcdccf4fd1b2f05426005699190c2b7f3de24060556062b8752b879e9a01a07c74b07ee7c15ae3cdf6310088a4108b172d7a3fed42506094c370973689a99c1cae8fb0f2d0a365e0a5d8f84c0aaf1d1220bf8530b1f8546b66de794180cbb490ce27a09ac30dd560e0d7d3f0da470cba1f2d219040e40350e67668e97b5c8dcf9022b0f295c0f508d77be9eefc52010ec511013833ab461e5881611af4711d578fca923db4a0c12713d12986ebf9fe6d00d02133433135b648195a8c6cff7f628141d5a14448b6bbc92edb91e15e04f1507812eb254e37b1416a24516c976f0a717d93e0a17653b178c6cb39ddace0000182731184e6275939cc4c3f5ea261911581938895fba86ebad1c1ad34d1afa7e21b048e16f121b96431bbd74e4a50bd732081c59391c7f6aa69bcdccf4fd1b2f1d42601d699190c2b7f3de241e05561e2c8752b879e9a01a1fc74b1fee7c15ae3cdf6310208a4120b172d8a3fed42506214c372173689a99c1cae8fb0f2d22365e225d8f84c0aaf1d12223f853231f8546b66de7941824bb4924e27a09ac30dd570e257d3f25a470cba1f2d219042640352667668e97b5c8dcf9032b27295c27508d77be9eefc52028ec512813833ab461e5881629af4729d678fca923db4a0c2a713d2a986ebf9fe6d00d022b34332b5b648295a8c6cff7f6282c1d5a2c448b6bbc92edb91e2de04f2d07812eb255e37b142ea2452ec976f0a717d93e0a2f653b2f8c6cb39ddace0100302731304e6275939cc4c3f5ea263111583138895fba86ebad1c32d34d32fa7e21b048e16f1233964333bd74e4a50bd7320834593934806aa69bcdccf4fd1b2f35426035699190c2b7f3de24360556362c8752b879e9a01a37c74b37ee7c15ae3cdf6310388a4138b172d8a3ffd42506394c373973689a99c1cae8fb0f2d3a365e3a5d8f84c0abf1d1223bf8533b1f8546b66de794183cbb493ce27a09ac30dd570e3d7e3f3da470cba1f2d219043e40353e67668e97b5c8dcf9032b3f2a5c3f508d77be9eef3f4083e9a8221090fac6e2173a1240200824d8fa03c6300ae1ecae0adaedb8a9d3d0be8982267062609427e0e87586613257b9af226ca6e1a9f5c2db2408add9a8c0c683f4931759c6e0a0307f86d16a45e6ae52bba6003c458381b586d1a539723f618386a7be932b94d95541699a00b5c60a04b72c5e8f4a74bd0407fdaedb0a231cfdf3049d7d63d2e28286a0c31d038361e204666f871636ac9191bd6ada2d09698cf63711b5b646c2a82b23e040c8f125011949d89c2c282b04940988b2928c18104642d49525e040c8f89201194958962b59b8704a07a36d48bc24c98781bd18b82551a72165d54c5a1ebc1cd8b681d353343e52f2c5c2561e5c836dd272f0e6c02e19262dc7b39bb46fd3745b2ded0700605a408be9611a');
CREATE TABLE latency_sample (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL, -- batch1, throughput
  position INTEGER NOT NULL,
  process INTEGER NOT NULL,
  rows INTEGER NOT NULL, -- examples in the call
  value_us REAL NOT NULL,
  PRIMARY KEY (stage, kind, position)
) STRICT, WITHOUT ROWID;
INSERT INTO latency_sample VALUES('train-0-0','batch1',0,0,1,300.0);
CREATE TABLE memory (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL, -- peak is the whole, the others its parts
  planned_bytes INTEGER,
  measured_bytes INTEGER,
  PRIMARY KEY (stage, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO memory VALUES('train-0-0','parameters',600000,NULL);
INSERT INTO memory VALUES('train-0-0','peak',1000000,2000000);
CREATE TABLE op_profile (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  op TEXT NOT NULL,
  calls INTEGER NOT NULL,
  seconds REAL,
  flops REAL,
  bytes REAL,
  PRIMARY KEY (stage, op)
) STRICT, WITHOUT ROWID;
INSERT INTO op_profile VALUES('train-0-0','matmul',10,0.5,1000000000.0,100000000.0);
CREATE TABLE artifact (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  path TEXT NOT NULL, -- inside the artifacts' folder
  kind TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT,
  PRIMARY KEY (stage, path)
) STRICT, WITHOUT ROWID;
INSERT INTO artifact VALUES('train-0-0','train-0-0/model.safetensors','checkpoint',493824,'abcd');
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
INSERT INTO device_roof VALUES('A processor','A driver',2,417.0,375.0,42.0,66.0,2.8999999999999999111,NULL,1700000000000000);
CREATE TABLE batch_tag (
  batch INTEGER NOT NULL REFERENCES batch ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (batch, tag)
) STRICT, WITHOUT ROWID;
INSERT INTO batch_tag VALUES(1,'paper');
CREATE TABLE run_tag (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
INSERT INTO run_tag VALUES(1,'odd');
CREATE TABLE stage_text (
  stage TEXT PRIMARY KEY REFERENCES stage ON DELETE CASCADE,
  recipe TEXT NOT NULL, -- all that determines the result
  provenance TEXT CHECK (provenance IS NULL OR json_valid (provenance))
) STRICT, WITHOUT ROWID;
INSERT INTO stage_text VALUES('measure-0-0','recipe',NULL);
INSERT INTO stage_text VALUES('measure-1-0','recipe',NULL);
INSERT INTO stage_text VALUES('train-0-0','recipe','{"threads":2,"processor":"A processor"}');
INSERT INTO stage_text VALUES('train-1-0','recipe',NULL);
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
INSERT INTO measure_process VALUES('measure-0-0',0,'one',0,1,1700000000000000,9,1,6000,NULL,NULL);
CREATE TABLE latency_median (
  stage TEXT NOT NULL REFERENCES stage ON DELETE CASCADE,
  kind TEXT NOT NULL,
  process INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  median_us REAL NOT NULL,
  PRIMARY KEY (stage, kind, process)
) STRICT, WITHOUT ROWID;
INSERT INTO latency_median VALUES('train-0-0','batch1',0,1,300.0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('batch',1);
INSERT INTO sqlite_sequence VALUES('run',2);
CREATE INDEX batch_by_key ON batch (key);
CREATE INDEX run_stage_by_stage ON run_stage (stage);
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
CREATE INDEX stage_input_by_earlier ON stage_input (earlier_stage);
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
COMMIT;
PRAGMA application_id=1179603533;
PRAGMA user_version=4;
