import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The flow on Kafka Streams with exactly_once_v2: each service is an application of its own, in this one process. Its
 * state, and with it what it has seen, lies in its state store, which is part of the transaction; so does the
 * read model.
 *
 * <p>Properties: kafka (host:port), state (directory of the stores), orders, every, charge (microseconds), commit
 * (milliseconds), charging (threads of payment) and threads (of each other service).
 */
public final class Streams {
  static final String PLACED = "bench.order-placed";
  static final String PAID = "bench.payment-succeeded";
  static final String CONFIRMED = "bench.order-confirmed";
  static final String NOTIFIED = "bench.notification-sent";
  static final String STORE = "events";

  /** A service: what it listens to and what it answers with. The read model answers with nothing: out is null. */
  record Stage(String name, List<String> in, String out) {}

  static final List<Stage> STAGES =
      List.of(
          new Stage("payment", List.of(PLACED), PAID),
          new Stage("order", List.of(PAID), CONFIRMED),
          new Stage("notification", List.of(CONFIRMED), NOTIFIED),
          new Stage("query", List.of(PLACED, PAID, CONFIRMED, NOTIFIED), null));

  /** An event, as the other peers write it. */
  @JsonInclude(JsonInclude.Include.NON_EMPTY)
  record Event(
      String id, String type, String orderId, String cause, long placedAt, String customerId, String email,
      String currency, long total, String payment, List<Line> lines) {
    Event answer(String type) {
      return new Event(
          orderId + "/" + type, type, orderId, id, placedAt, customerId, email, currency, total, payment, lines);
    }
  }

  record Line(String sku, String name, int quantity, long unitPrice) {}

  static final ObjectMapper JSON = new ObjectMapper().setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE);

  static byte[] encode(Event e) {
    try {
      return JSON.writeValueAsBytes(e);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  static Event decode(byte[] value) {
    try {
      return JSON.readValue(value, Event.class);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  static final Serde<Event> EVENTS = Serdes.serdeFrom((topic, e) -> encode(e), (topic, value) -> decode(value));

  /** A stage's work on one event. */
  static final class React implements Processor<String, Event, String, Event> {
    private final Stage stage;
    private final Progress progress;
    private ProcessorContext<String, Event> context;
    private KeyValueStore<String, byte[]> seen;

    React(Stage stage, Progress progress) {
      this.stage = stage;
      this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<String, Event> context) {
      this.context = context;
      seen = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, Event> record) {
      Event e = record.value();
      // The read model keeps the event, which is a part of the order's document; the others keep what they made of it.
      byte[] state = stage.out == null ? encode(e) : stage.out.getBytes();
      if (seen.putIfAbsent(e.id, state) != null) {
        return;
      }
      if (stage.out == null) {
        if (e.type.equals(NOTIFIED)) {
          progress.done(e.orderId, e.placedAt);
        }
        return;
      }
      if (stage.name.equals("payment")) {
        progress.started();
        charge();
      }
      context.forward(record.withValue(e.answer(stage.out)));
    }

    private static void charge() {
      try {
        TimeUnit.MICROSECONDS.sleep(Integer.getInteger("charge"));
      } catch (InterruptedException stopped) {
        throw new IllegalStateException(stopped);
      }
    }
  }

  static Topology topology(Stage stage, Progress progress) {
    var builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray()));
    var answers =
        builder
            .stream(stage.in, Consumed.with(Serdes.String(), EVENTS))
            .process(() -> new React(stage, progress), STORE);
    if (stage.out != null) {
      answers.to(stage.out, Produced.with(Serdes.String(), EVENTS));
    }
    return builder.build();
  }

  static Properties settings(Stage stage) {
    var p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-" + stage.name);
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getProperty("kafka"));
    p.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("state"));
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Integer.getInteger("commit"));
    // A thread that waits for records does not commit.
    p.put(StreamsConfig.POLL_MS_CONFIG, Integer.getInteger("commit"));
    // A thread takes one event after the other, so it is threads that let the gateway take several charges at once.
    var threads = Integer.getInteger(stage.name.equals("payment") ? "charging" : "threads");
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
    return p;
  }

  public static void main(String[] args) throws Exception {
    System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
    var progress = new Progress(Integer.getInteger("orders"), Integer.getInteger("every"));
    var services = new ArrayList<KafkaStreams>();
    var running = new ArrayList<CompletableFuture<Void>>();
    for (var stage : STAGES) {
      var service = new KafkaStreams(topology(stage, progress), settings(stage));
      service.setUncaughtExceptionHandler(
          failure -> {
            progress.fail(failure);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
          });
      var runs = new CompletableFuture<Void>();
      service.setStateListener(
          (now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
              runs.complete(null);
            }
          });
      services.add(service);
      running.add(runs);
    }
    // Time counts from the first charge: payment starts when the others, after it in the list, have their partitions.
    var payment = services.get(0);
    var others = running.subList(1, running.size());
    services.subList(1, services.size()).forEach(KafkaStreams::start);
    CompletableFuture.allOf(others.toArray(CompletableFuture[]::new)).thenRun(payment::start);
    Throwable failure = progress.await();
    for (var service : services) { // the next run's group must not wait for a member of this one
      service.close(
          CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
              .withTimeout(Duration.ofSeconds(20)));
    }
    if (failure != null) {
      failure.printStackTrace();
      System.exit(1);
    }
  }
}
