-- Windows over the same facts, to learn them by: what Flink gives to whoever asks "in this minute" and can live without what comes too late.
-- A window is closed, and its row written, once the watermark has passed its end. Time here is a record's arrival in Kafka's log:
-- by it a watermark can be told from each partition, whatever a clock says that wrote ce_time.
--
-- What to know of windows, and why sql/totals.sql has none:
-- - A row comes when its window ends, not when it changes; without traffic the watermark stands, and the last windows stay open.
-- - A partition that is silent holds the watermark back, until it is left out after the idle time-out. When it then speaks, what it says of
--   closed windows is dropped without a word. 2 seconds lost rows when the job began; a minute did not.
-- - Mini-batches and windows in one job write late: so this is a job of its own.
--
-- Variables are those of sql/totals.sql.

SET 'pipeline.name' = 'statistics: windows';
SET 'parallelism.default' = '${PARALLELISM:-1}';
SET 'table.local-time-zone' = 'UTC';
SET 'table.exec.source.idle-timeout' = '60 s';
SET 'execution.checkpointing.interval' = '5 s';
SET 'execution.checkpointing.dir' = '${CHECKPOINTS}/windows';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
SET 'execution.state-recovery.claim-mode' = 'CLAIM';
SET 'table.exec.state.ttl' = '31 d';

CREATE TEMPORARY SYSTEM FUNCTION judge AS 'dev.troupe.statistics.Judge';

CREATE TABLE records (
  order_id STRING,
  topic STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL,
  arrived TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING NOT NULL, BYTES> METADATA VIRTUAL,
  body BYTES,
  WATERMARK FOR arrived AS arrived - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'order.events.v1;payment.events.v1;notification.events.v1',
  'properties.bootstrap.servers' = '${KAFKA_BROKERS:-127.0.0.1:9092}',
  'properties.group.id' = 'statistics-windows',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw', 'key.fields' = 'order_id',
  'value.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TABLE statistics (
  figure STRING,
  kind STRING,
  since TIMESTAMP_LTZ(3),
  n BIGINT,
  amount BIGINT,
  share DOUBLE,
  PRIMARY KEY (figure, kind, since) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'statistics.v1',
  'properties.bootstrap.servers' = '${KAFKA_BROKERS:-127.0.0.1:9092}',
  'key.format' = 'json', 'key.json.timestamp-format.standard' = 'ISO-8601',
  'value.format' = 'json', 'value.json.timestamp-format.standard' = 'ISO-8601'
);

-- JSON leaves out what has no value; a key must have one. on_time hands the watermark through: rowtime is the time of the record that a row was made from.
CREATE TEMPORARY VIEW facts AS
SELECT type, rowtime, COALESCE(JSON_VALUE(data, '$.currency'), '') AS currency,
  COALESCE(CAST(JSON_VALUE(data, '$.total') AS BIGINT), 0) AS total
FROM judge(record => TABLE records PARTITION BY (topic, order_id), on_time => DESCRIPTOR(arrived), uid => 'judge')
WHERE verdict = 'valid';

EXECUTE STATEMENT SET BEGIN

-- TUMBLE: one window after the other; each fact is in one. Facts of each type by minute.
INSERT INTO statistics
SELECT 'facts: each minute', type, window_start, COUNT(*), CAST(NULL AS BIGINT), CAST(NULL AS DOUBLE)
FROM TABLE(TUMBLE(TABLE facts, DESCRIPTOR(rowtime), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, type;

-- CUMULATE: windows that begin together and end later and later. The day's revenue so far, written anew each minute.
INSERT INTO statistics
SELECT 'revenue: day so far', currency, window_start, COUNT(*), SUM(total), CAST(NULL AS DOUBLE)
FROM TABLE(CUMULATE(TABLE facts, DESCRIPTOR(rowtime), INTERVAL '1' MINUTE, INTERVAL '1' DAY))
WHERE type = 'troupe.order.v1.OrderConfirmed'
GROUP BY window_start, window_end, currency;

-- HOP: windows that overlap; each fact is in five. The share of payments declined over five minutes, every minute.
INSERT INTO statistics
SELECT 'payments: five minutes', 'declined', window_start, COUNT(*), CAST(NULL AS BIGINT),
  AVG(CASE type WHEN 'troupe.payment.v1.PaymentDeclined' THEN 1E0 ELSE 0E0 END)
FROM TABLE(HOP(TABLE facts, DESCRIPTOR(rowtime), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
WHERE type IN ('troupe.payment.v1.PaymentSucceeded', 'troupe.payment.v1.PaymentDeclined')
GROUP BY window_start, window_end;

END;
