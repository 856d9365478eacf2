package dev.troupe.statistics;

import static org.apache.flink.table.annotation.ArgumentTrait.PASS_COLUMNS_THROUGH;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.troupe.statistics.Chain.Head;
import dev.troupe.statistics.Chain.Verdict;
import java.io.IOException;
import java.time.Instant;
import java.util.Locale;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * judge(record => TABLE records PARTITION BY (topic, order_id)) adds to each record its type, when it happened, its body
 * as JSON and a verdict: valid, duplicate, superseded or undecodable. Only what is valid counts.
 *
 * <p>The table must have the columns topic, partition, offset, order_id (the key), headers and body. Kafka keeps the
 * records of an order in one partition of each topic, and Flink keeps the order of a partition up to here.
 */
@DataTypeHint("ROW<type STRING, happened TIMESTAMP_LTZ(3), verdict STRING NOT NULL, data STRING>")
public class Judge extends ProcessTableFunction<Row> {
  private static final Logger LOG = LoggerFactory.getLogger(Judge.class);
  private static final String UNDECODABLE = "undecodable";

  private transient Messages messages;

  @Override
  public void open(FunctionContext context) throws IOException {
    messages = new Messages();
  }

  /** seen are the ids that took effect. Both states end with table.exec.state.ttl. */
  public void eval(
      @StateHint Head head,
      @StateHint MapView<String, Boolean> seen,
      @ArgumentHint({SET_SEMANTIC_TABLE, PASS_COLUMNS_THROUGH}) Row record)
      throws Exception {
    Envelope envelope;
    try {
      envelope = Envelope.of(record.getFieldAs("order_id"), record.<Map<String, byte[]>>getFieldAs("headers"));
    } catch (IllegalArgumentException e) {
      refuse(record, null, null, e);
      return;
    }
    String verdict = judge(head, seen, envelope.link()).name().toLowerCase(Locale.ROOT);
    try {
      collect(Row.of(envelope.type(), envelope.time(), verdict, messages.decode(envelope.type(), record.getFieldAs("body"))));
    } catch (InvalidProtocolBufferException | IllegalArgumentException e) { // the latter: a timestamp that JSON has no form for
      refuse(record, envelope.type(), envelope.time(), e); // its place in the chain is taken all the same
    }
  }

  private static Verdict judge(Head head, MapView<String, Boolean> seen, Chain.Link link) throws Exception {
    boolean known = seen.contains(link.id());
    Verdict verdict = head.judge(link, known);
    if (verdict == Verdict.CONTRADICTED) { // retention took what came before: the log knows nothing better than this head
      head.adopted = false;
      verdict = head.judge(link, known);
    }
    if (verdict == Verdict.VALID) {
      seen.put(link.id(), true);
    }
    if (verdict != Verdict.SUPERSEDED) {
      head.accept(link);
    }
    return verdict;
  }

  /** Counts a record that cannot be read, and says where it lies. */
  private void refuse(Row record, String type, Instant time, Exception why) {
    LOG.warn("undecodable record {}/{}@{}: {}", record.getField("topic"), record.getField("partition"), record.getField("offset"),
        why.getMessage());
    collect(Row.of(type, time, UNDECODABLE, null));
  }
}
