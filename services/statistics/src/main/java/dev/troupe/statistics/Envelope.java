package dev.troupe.statistics;

import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The attributes of an event, which are headers of its record: CloudEvents in binary mode (docs/events.md). */
record Envelope(String type, Instant time, Chain.Link link) {
  private static final int MAX_NAME = 1 << 10;
  private static final int MAX_HEADERS = 64 << 10;
  private static final List<String> ATTRIBUTES = List.of("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time",
      "ce_sequence", "ce_previousid", "ce_causationid", "ce_traceparent", "content-type");

  /**
   * RFC 3339 as Go reads it: an hour of one digit, a comma and offsets up to 24:60 pass, what is beyond nanoseconds is cut off;
   * small letters, 24:00 and leap seconds do not. java.time is stricter in some of it and laxer in other.
   */
  private static final Pattern TIME = Pattern.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})"
      + "(?:[.,]([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))");

  /**
   * Refuses what the services refuse (pkg/event, FromRecord): the exception names the attribute and the rule. Both pass
   * pkg/event/testdata/envelopes.json. Of a key and of names that are not UTF-8 Flink has taken the bytes before.
   */
  static Envelope of(String key, Map<String, byte[]> headers) {
    require(key != null && !key.isEmpty(), "key", "a record must have a key, the order id");
    require(bytes(key) <= MAX_NAME, "key", "must have at most 1024 bytes");
    require(headers != null && size(headers) <= MAX_HEADERS, "headers", "must have at most 65536 bytes together");
    ATTRIBUTES.forEach(name -> requireName(name, headers.get(name)));
    String id = attribute(headers, "ce_id"), type = attribute(headers, "ce_type"), previous = attribute(headers, "ce_previousid");
    require(attribute(headers, "ce_specversion").equals("1.0"), "specversion", "must be 1.0");
    require(!id.isEmpty(), "id", "must not be empty");
    require(!type.isEmpty(), "type", "must not be empty");
    require(!attribute(headers, "ce_source").isEmpty(), "source", "must not be empty");
    require(attribute(headers, "ce_subject").equals(key), "subject", "must equal the record's key");
    require(attribute(headers, "content-type").equals("application/protobuf"), "content-type", "must be application/protobuf");
    long sequence = sequence(attribute(headers, "ce_sequence"));
    require(Long.compareUnsigned(sequence, 1) <= 0 || !previous.isEmpty(), "previousid", "must be set from the second fact on");
    return new Envelope(type, time(attribute(headers, "ce_time")), new Chain.Link(sequence, id, previous));
  }

  private static Instant time(String text) {
    Matcher m = TIME.matcher(text);
    require(m.matches(), "time", "must be RFC 3339");
    int offset = 0;
    if (m.group(8) != null) {
      require(part(m, 9) <= 24 && part(m, 10) <= 60, "time", "must be RFC 3339");
      offset = (part(m, 9) * 60 + part(m, 10)) * (m.group(8).equals("-") ? -60 : 60);
    }
    Instant time;
    try {
      int nanos = m.group(7) == null ? 0 : Integer.parseInt((m.group(7) + "00000000").substring(0, 9));
      time = LocalDateTime.of(part(m, 1), part(m, 2), part(m, 3), part(m, 4), part(m, 5), part(m, 6), nanos)
          .toInstant(ZoneOffset.UTC).minusSeconds(offset);
    } catch (DateTimeException e) {
      throw new IllegalArgumentException("attribute time: must be RFC 3339", e);
    }
    int year = time.atOffset(ZoneOffset.UTC).getYear();
    require(year >= 1 && year <= 9999, "time", "must be of the years 1 to 9999 in UTC");
    return time;
  }

  private static int part(Matcher time, int group) {
    return Integer.parseInt(time.group(group));
  }

  /** An unsigned number of 64 bits: compare it by Long.compareUnsigned. */

  private static long sequence(String text) {
    if (text.isEmpty()) {
      return 0;
    }
    long sequence = 0;
    try {
      sequence = text.matches("[0-9]+") ? Long.parseUnsignedLong(text) : 0;
    } catch (NumberFormatException e) {
      // more than 64 bits
    }
    require(sequence != 0, "sequence", "must be a positive integer");
    return sequence;
  }

  /** An attribute; empty when it is missing. */
  private static String attribute(Map<String, byte[]> headers, String name) {
    byte[] value = headers.get(name);
    return value == null ? "" : new String(value, StandardCharsets.UTF_8);
  }

  private static void requireName(String header, byte[] value) {
    require(value == null || value.length <= MAX_NAME, header.replaceFirst("^ce_", ""), "must have at most 1024 bytes");
  }

  /** What the headers take in a record: each key and value behind its length. */
  private static int size(Map<String, byte[]> headers) {
    return headers.entrySet().stream()
        .mapToInt(h -> sized(bytes(h.getKey())) + (h.getValue() == null ? 1 : sized(h.getValue().length))).sum();
  }

  /** So many bytes behind their number as a zigzag varint. */
  private static int sized(int bytes) {
    return bytes + (Integer.SIZE - Integer.numberOfLeadingZeros(bytes << 1 | 1) + 6) / 7;
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
