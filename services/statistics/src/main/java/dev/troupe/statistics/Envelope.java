package dev.troupe.statistics;

import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.Map;

/** The attributes of an event, which are headers of its record: CloudEvents in binary mode (docs/events.md). */
record Envelope(String type, Instant time, Chain.Link link) {
  private static final int MAX_NAME = 1 << 10;
  private static final int MAX_HEADERS = 64 << 10;

  /** Refuses what the services refuse (pkg/event, FromRecord): the exception names the attribute and the rule. */
  static Envelope of(String key, Map<String, byte[]> headers) {
    require(key != null && !key.isEmpty(), "key", "a record must have a key, the order id");
    require(bytes(key) <= MAX_NAME, "key", "must have at most 1024 bytes");
    require(headers != null && size(headers) <= MAX_HEADERS, "headers", "must have at most 65536 bytes together");
    String id = attribute(headers, "ce_id"), type = attribute(headers, "ce_type"), previous = attribute(headers, "ce_previousid");
    require(attribute(headers, "ce_specversion").equals("1.0"), "specversion", "must be 1.0");
    require(!id.isEmpty(), "id", "must not be empty");
    require(!type.isEmpty(), "type", "must not be empty");
    require(!attribute(headers, "ce_source").isEmpty(), "source", "must not be empty");
    require(attribute(headers, "ce_subject").equals(key), "subject", "must equal the record's key");
    require(attribute(headers, "content-type").equals("application/protobuf"), "content-type", "must be application/protobuf");
    long sequence = sequence(attribute(headers, "ce_sequence"));
    require(sequence <= 1 || !previous.isEmpty(), "previousid", "must be set from the second fact on");
    return new Envelope(type, time(attribute(headers, "ce_time")), new Chain.Link(sequence, id, previous));
  }

  private static Instant time(String text) {
    try {
      return Instant.parse(text);
    } catch (DateTimeException e) {
      throw new IllegalArgumentException("attribute time: must be RFC 3339", e);
    }
  }

  private static long sequence(String text) {
    if (text.isEmpty()) {
      return 0;
    }
    require(text.matches("[0-9]{1,18}") && Long.parseLong(text) > 0, "sequence", "must be a positive integer");
    return Long.parseLong(text);
  }

  /** An attribute; empty when it is missing. */
  private static String attribute(Map<String, byte[]> headers, String name) {
    byte[] value = headers.get(name);
    if (value == null) {
      return "";
    }
    require(value.length <= MAX_NAME, name.replaceFirst("^ce_", ""), "must have at most 1024 bytes");
    return new String(value, StandardCharsets.UTF_8);
  }

  private static int size(Map<String, byte[]> headers) {
    return headers.entrySet().stream().mapToInt(h -> bytes(h.getKey()) + (h.getValue() == null ? 0 : h.getValue().length)).sum();
  }

  private static int bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  private static void require(boolean holds, String attribute, String rule) {
    if (!holds) {
      throw new IllegalArgumentException("attribute " + attribute + ": " + rule);
    }
  }
}
