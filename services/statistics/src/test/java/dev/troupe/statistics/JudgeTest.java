package dev.troupe.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.troupe.statistics.Chain.Head;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** One order's records in the order of the log. */
class JudgeTest {
  private static final String ORDER = "4f6d0a5e-0000-5000-8000-000000000001";
  private static final byte[] PLACED = {0x1a, 3, 'E', 'U', 'R', 0x30, 5}; // currency (3) EUR, total (6) 5

  private final List<Row> rows = new ArrayList<>();
  private final Head head = new Head();
  private final MapView<String, Boolean> seen = new MapView<>();
  private final Judge judge = new Judge();

  @BeforeEach
  void open() throws Exception {
    judge.open(null);
    judge.setCollector(new Collector<>() {
      @Override
      public void collect(Row row) {
        rows.add(row);
      }

      @Override
      public void close() {}
    });
  }

  /** Gives the function a record, and returns its verdict. */
  private String verdict(String key, Map<String, String> headers, byte[] body) throws Exception {
    Map<String, byte[]> bytes = new HashMap<>();
    headers.forEach((name, value) -> bytes.put(name, value.getBytes(StandardCharsets.UTF_8)));
    Row record = Row.withNames();
    record.setField("topic", "order.events.v1");
    record.setField("partition", 3);
    record.setField("offset", 7L);
    record.setField("order_id", key);
    record.setField("headers", bytes);
    record.setField("body", body);
    judge.eval(head, seen, record);
    return rows.get(rows.size() - 1).getFieldAs(2);
  }

  private static Map<String, String> headers(String type, String id, String sequence, String previous) {
    Map<String, String> headers = new HashMap<>(Map.of(
        "ce_specversion", "1.0", "ce_id", id, "ce_type", "troupe.order.v1." + type, "ce_source", "order", "ce_subject", ORDER,
        "ce_time", "2026-11-30T05:54:00.123456789Z", "content-type", "application/protobuf"));
    headers.put("ce_sequence", sequence);
    headers.put("ce_previousid", previous);
    return headers;
  }

  private String fact(String type, String id, String sequence, String previous, byte[] body) throws Exception {
    return verdict(ORDER, headers(type, id, sequence, previous), body);
  }

  @Test
  void theLogIsTheReferee() throws Exception {
    assertEquals("valid", fact("OrderPlaced", "a", "1", "", PLACED));
    assertEquals("{\"currency\":\"EUR\",\"total\":\"5\"}", rows.get(0).getField(3));
    assertEquals("duplicate", fact("OrderPlaced", "a", "1", "", PLACED));
    assertEquals("superseded", fact("OrderConfirmed", "c", "2", "x", null));
    assertEquals("valid", fact("OrderCancellationRequested", "r", "", "", null));
    assertEquals("duplicate", fact("OrderCancellationRequested", "r", "", "", null));
    assertEquals("valid", fact("OrderConfirmed", "c", "2", "a", null)); // with the id of the superseded one
    assertEquals("superseded", fact("OrderCancelled", "d", "2", "a", null));
    assertEquals("duplicate", fact("OrderPlaced", "a", "1", "", PLACED));
    assertEquals("valid", fact("OrderCancelled", "d", "3", "c", null));
  }

  @Test
  void aHeadThatWasAdoptedIsTakenForRight() throws Exception {
    assertEquals("valid", fact("OrderConfirmed", "c", "2", "a", null));
    assertEquals("superseded", fact("OrderPlaced", "x", "1", "", PLACED));
    assertEquals("valid", fact("OrderCancelled", "d", "3", "c", null));
  }

  @Test
  void whatCannotBeReadIsCountedAndPassed() throws Exception {
    assertEquals("undecodable", verdict(null, Map.of(), null));
    assertEquals("undecodable", verdict(ORDER, Map.of("ce_type", "\0"), new byte[] {1}));
    for (String name : List.of("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_sequence", "content-type")) {
      Map<String, String> broken = headers("OrderPlaced", "a", "1", "");
      broken.put(name, name.equals("ce_sequence") ? "first" : "");
      if (name.equals("ce_subject")) {
        broken.put(name, "another");
      }
      assertEquals("undecodable", verdict(ORDER, broken, PLACED), name);
    }
    assertEquals("undecodable", fact("OrderConfirmed", "c", "2", "", null), "previousid");
    assertEquals("undecodable", fact("OrderPlaced", "x".repeat(1025), "1", "", PLACED), "a long id");
    assertEquals(0, head.sequence);

    assertEquals("undecodable", fact("OrderPlaced", "a", "1", "", new byte[] {1, 2, 3}));
    assertEquals("undecodable", fact("OrderShipped", "b", "2", "a", null), "a type of a newer release");
    byte[] placedNever = {0x4a, 6, 0x10, -128, -128, -128, -128, 4}; // placed_at (9) with more nanoseconds than a second has
    assertEquals("undecodable", fact("OrderPlaced", "c", "3", "b", placedNever), "a timestamp that JSON has no form for");
    assertEquals("valid", fact("OrderCancelled", "d", "4", "c", null), "they have their places in the chain");
  }
}
