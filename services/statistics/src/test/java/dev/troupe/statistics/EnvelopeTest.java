package dev.troupe.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.google.gson.Gson;
import com.google.gson.annotations.SerializedName;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** What pkg/event refuses and what it accepts, from the file that it is tested by. */
class EnvelopeTest {
  /** The table: an envelope, and what the cases have in place of its parts. */
  static class Table {
    String key;
    Map<String, String> headers;
    List<Case> cases;
  }

  static class Case {
    String name;
    String key;
    Map<String, String> headers = Map.of();
    @SerializedName("long")
    Map<String, Integer> lengths = Map.of();
    String refused;
    String time;
    String sequence;
  }

  private static Table table() throws Exception {
    return new Gson().fromJson(Files.readString(Path.of("../../pkg/event/testdata/envelopes.json")), Table.class);
  }

  @TestFactory
  List<DynamicTest> cases() throws Exception {
    Table table = table();
    return table.cases.stream().map(c -> dynamicTest(c.name, () -> {
      String key = c.key == null ? table.key : c.key;
      Map<String, String> headers = new HashMap<>(table.headers);
      headers.putAll(c.headers);
      for (Map.Entry<String, Integer> value : c.lengths.entrySet()) {
        if (value.getKey().equals("key")) {
          key = "x".repeat(value.getValue());
        } else {
          headers.put(value.getKey(), "x".repeat(value.getValue()));
        }
      }
      Map<String, byte[]> bytes = new HashMap<>();
      headers.forEach((name, value) -> {
        if (value != null) {
          bytes.put(name, value.getBytes(StandardCharsets.UTF_8));
        }
      });
      assertEnvelope(c, key, bytes);
    })).toList();
  }

  private static void assertEnvelope(Case c, String key, Map<String, byte[]> headers) {
    if (c.refused != null) {
      String why = assertThrows(IllegalArgumentException.class, () -> Envelope.of(key, headers)).getMessage();
      assertTrue(why.startsWith("attribute " + c.refused + ":"), why);
      return;
    }
    Envelope envelope = Envelope.of(key, headers);
    if (c.time != null) {
      assertEquals(Instant.parse(c.time), envelope.time());
    }
    if (c.sequence != null) {
      assertEquals(c.sequence, Long.toUnsignedString(envelope.link().sequence()));
    }
  }

  @Test
  void aHeaderOfNull() throws Exception {
    Map<String, byte[]> headers = new HashMap<>();
    table().headers.forEach((name, value) -> headers.put(name, value.getBytes(StandardCharsets.UTF_8)));
    headers.put("ce_causationid", null);
    assertEquals(1, Envelope.of("o1", headers).link().sequence());
  }
}
