-- Totals over all facts that count, as exact as the read model: whatever comes late, twice or superseded.
-- There is no watermark in it: a row is written anew when a fact changes it, within about a second, and nothing is ever too late.
--
-- KAFKA_BROKERS  where Kafka is; 127.0.0.1:9092 by default
-- CHECKPOINTS    URI of a folder, such as file:///var/lib/statistics; a restart goes on from the newest one there
-- PARALLELISM    tasks of each step, 1 by default

SET 'pipeline.name' = 'statistics: totals';
SET 'parallelism.default' = '${PARALLELISM:-1}';
SET 'table.local-time-zone' = 'UTC';
-- A checkpoint is what was read of each partition with the state that it led to. After a failure records are counted again from there.
SET 'execution.checkpointing.interval' = '5 s';
SET 'execution.checkpointing.dir' = '${CHECKPOINTS}/totals';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
SET 'execution.state-recovery.claim-mode' = 'CLAIM';
-- Rows that change often are written at most once in this time.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '500 ms';
SET 'table.exec.mini-batch.size' = '5000';
-- Longer than topics keep facts (30 days): a total that had been forgotten would begin again at 0.
SET 'table.exec.state.ttl' = '31 d';

CREATE TEMPORARY SYSTEM FUNCTION judge AS 'dev.troupe.statistics.Judge';

CREATE TABLE records (
  order_id STRING,
  topic STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL,
  arrived TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING NOT NULL, BYTES> METADATA VIRTUAL,
  body BYTES
) WITH (
  'connector' = 'kafka',
  'topic' = 'order.events.v1;payment.events.v1;notification.events.v1',
  'properties.bootstrap.servers' = '${KAFKA_BROKERS:-127.0.0.1:9092}',
  'properties.group.id' = 'statistics',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw', 'key.fields' = 'order_id',
  'value.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY'
);

-- One row for each figure: what it is, of which kind, since when. Times are UTC, amounts in minor units.
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

CREATE TEMPORARY VIEW judged AS
SELECT * FROM judge(record => TABLE records PARTITION BY (topic, order_id), uid => 'judge');

-- JSON leaves out what has no value. The kind of a figure is part of its key, where a NULL would stop the job for good.
CREATE TEMPORARY VIEW facts AS
SELECT order_id, type, happened,
  COALESCE(JSON_VALUE(data, '$.currency'), '') AS currency,
  COALESCE(CAST(JSON_VALUE(data, '$.total') AS BIGINT), 0) AS total
FROM judged WHERE verdict = 'valid';

-- Each order as its facts leave it. A row that changes takes itself out of the counts that it was in.
CREATE TEMPORARY VIEW orders AS
SELECT order_id,
  MAX(happened) FILTER (WHERE type = 'troupe.order.v1.OrderPlaced') AS placed,
  MAX(total) FILTER (WHERE type = 'troupe.order.v1.OrderPlaced') AS total,
  CASE
    WHEN COUNT(*) FILTER (WHERE type = 'troupe.order.v1.OrderCancelled') > 0 THEN 'cancelled'
    WHEN COUNT(*) FILTER (WHERE type = 'troupe.order.v1.OrderConfirmed') > 0 THEN 'confirmed'
    ELSE 'placed'
  END AS outcome
FROM facts
WHERE type IN ('troupe.order.v1.OrderPlaced', 'troupe.order.v1.OrderConfirmed', 'troupe.order.v1.OrderCancelled')
GROUP BY order_id;

EXECUTE STATEMENT SET BEGIN

-- Orders by the minute in which they were placed, and by what has become of them.
INSERT INTO statistics
SELECT 'orders', outcome, FLOOR(placed TO MINUTE), COUNT(*), SUM(total), CAST(NULL AS DOUBLE)
FROM orders WHERE placed IS NOT NULL GROUP BY outcome, FLOOR(placed TO MINUTE);

-- What was confirmed, by day and currency. A later refund does not take it back.
INSERT INTO statistics
SELECT 'revenue', currency, FLOOR(happened TO DAY), COUNT(*), SUM(total), CAST(NULL AS DOUBLE)
FROM facts WHERE type = 'troupe.order.v1.OrderConfirmed' GROUP BY currency, FLOOR(happened TO DAY);

-- Payments by day: how many were decided on, and the share of them that was declined.
INSERT INTO statistics
SELECT 'payments', 'declined', FLOOR(happened TO DAY), COUNT(*), CAST(NULL AS BIGINT),
  AVG(CASE type WHEN 'troupe.payment.v1.PaymentDeclined' THEN 1E0 ELSE 0E0 END)
FROM facts WHERE type IN ('troupe.payment.v1.PaymentSucceeded', 'troupe.payment.v1.PaymentDeclined')
GROUP BY FLOOR(happened TO DAY);

-- All records by the day of their arrival: nothing is passed over in silence.
INSERT INTO statistics
SELECT 'records', verdict, FLOOR(arrived TO DAY), COUNT(*), CAST(NULL AS BIGINT), CAST(NULL AS DOUBLE)
FROM judged GROUP BY verdict, FLOOR(arrived TO DAY);

END;
