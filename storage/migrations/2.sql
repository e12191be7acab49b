-- Version 2: what a device can do at most, measured on it once, and each op's share of that.

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
