package dev.troupe.statistics;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;

/** sql/totals.sql on a Flink in this process, over records that are given and not read from Kafka. */
class TotalsTest {
  private static final byte[] EUR5 = {0x1a, 3, 'E', 'U', 'R', 0x20, 5}; // of OrderConfirmed: currency (3) EUR, total (4) 5

  private static Row confirmed(String order, byte[] body) {
    Map<String, byte[]> headers = new HashMap<>();
    Map.of("ce_specversion", "1.0", "ce_id", "c" + order, "ce_type", "troupe.order.v1.OrderConfirmed", "ce_source", "order", "ce_subject",
        order, "ce_time", "2026-11-30T05:54:00Z", "ce_sequence", "2", "ce_previousid", "p", "content-type", "application/protobuf")
        .forEach((name, value) -> headers.put(name, value.getBytes(StandardCharsets.UTF_8)));
    return Row.of(order, "order.events.v1", 0, 0L, Instant.EPOCH, headers, body);
  }

  private static TableEnvironment over(Row... records) {
    Configuration options = new Configuration();
    options.setString("restart-strategy.type", "none");
    options.setString("table.local-time-zone", "UTC");
    options.setString("parallelism.default", "1");
    TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(options).build());
    Table table = env.fromValues(DataTypes.ROW(
        DataTypes.FIELD("order_id", DataTypes.STRING()), DataTypes.FIELD("topic", DataTypes.STRING().notNull()),
        DataTypes.FIELD("partition", DataTypes.INT().notNull()), DataTypes.FIELD("offset", DataTypes.BIGINT().notNull()),
        DataTypes.FIELD("arrived", DataTypes.TIMESTAMP_LTZ(3).notNull()),
        DataTypes.FIELD("headers", DataTypes.MAP(DataTypes.STRING().notNull(), DataTypes.BYTES())),
        DataTypes.FIELD("body", DataTypes.BYTES())), (Object[]) records);
    env.createTemporaryView("records", table);
    return env;
  }

  /** Runs the file with a sink that forgets: what is a key may not be NULL there either. */
  private static void run(TableEnvironment env) throws Exception {
    for (String statement : Script.parse(Files.readString(Path.of("sql/totals.sql")), Map.of("CHECKPOINTS", "unused")).statements()) {
      if (!statement.startsWith("CREATE TABLE records")) {
        Main.execute(env, statement.replaceFirst("(?s)^(CREATE TABLE statistics .*) WITH \\(.*", "$1 WITH ('connector' = 'blackhole')"));
      }
    }
  }

  /** An order confirmed that says neither currency nor total: make streams-test holds what it counts as. */
  @Test
  void aFactWithoutACurrencyStopsNothing() throws Exception {
    run(over(confirmed("a", EUR5), confirmed("b", null)));
  }
}
