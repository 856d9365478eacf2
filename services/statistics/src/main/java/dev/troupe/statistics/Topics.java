package dev.troupe.statistics;

import static org.apache.kafka.common.config.TopicConfig.CLEANUP_POLICY_COMPACT;
import static org.apache.kafka.common.config.TopicConfig.CLEANUP_POLICY_CONFIG;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.catalog.Catalog;
import org.apache.flink.table.catalog.ObjectPath;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;

/** The topics behind the tables of a script. A job that starts without one would try for ever, with a stack trace each time. */
final class Topics {
  private static final String PREFIX = "properties.";

  private Topics() {}

  /** Requires that what is read is there, and makes what is written: a compacted topic keeps the newest record of each key. */
  static void prepare(TableEnvironment env) throws Exception {
    Catalog catalog = env.getCatalog(env.getCurrentCatalog()).orElseThrow();
    for (String table : catalog.listTables(env.getCurrentDatabase())) {
      Map<String, String> options = catalog.getTable(new ObjectPath(env.getCurrentDatabase(), table)).getOptions();
      String connector = options.getOrDefault("connector", "");
      if (!connector.endsWith("kafka")) {
        continue;
      }
      List<String> topics = List.of(options.get("topic").split(";"));
      try (Admin admin = Admin.create(client(options))) {
        if (connector.equals("kafka")) {
          requireRead(admin, topics);
        } else {
          requireCompacted(admin, topics.get(0));
        }
      } catch (ExecutionException e) {
        boolean silent = e.getCause() instanceof TimeoutException;
        String what = silent ? "no answer within 15 s" : e.getCause().getMessage();
        throw new IllegalStateException("Kafka at " + options.get(PREFIX + "bootstrap.servers") + ", table " + table + ": " + what);
      }
    }
  }

  /** The client settings of a table, such as how to log in. */
  private static Map<String, Object> client(Map<String, String> options) {
    Map<String, Object> client = options.entrySet().stream().filter(o -> o.getKey().startsWith(PREFIX))
        .collect(Collectors.toMap(o -> o.getKey().substring(PREFIX.length()), Map.Entry::getValue));
    client.put("default.api.timeout.ms", "15000");
    client.put("request.timeout.ms", "10000");
    return client;
  }

  private static void requireRead(Admin admin, List<String> topics) throws Exception {
    Set<String> missing = new TreeSet<>(topics);
    missing.removeAll(admin.listTopics().names().get());
    if (!missing.isEmpty()) {
      throw new IllegalStateException(
          "no topic " + String.join(", ", missing) + " in Kafka: the services make their topics when they start");
    }
  }

  /** The console reads partition 0, and the newest record of a key is the newest of one partition only. */
  private static void requireCompacted(Admin admin, String topic) throws Exception {
    try {
      NewTopic compacted = new NewTopic(topic, Optional.of(1), Optional.empty());
      compacted.configs(Map.of(CLEANUP_POLICY_CONFIG, CLEANUP_POLICY_COMPACT));
      admin.createTopics(List.of(compacted)).all().get();
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof TopicExistsException)) {
        throw e;
      }
    }
    int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    if (partitions != 1) {
      throw new IllegalStateException("topic " + topic + " has " + partitions + " partitions: it must have 1, or figures are read in"
          + " part; delete it, and this job makes it anew");
    }
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(CLEANUP_POLICY_CONFIG).value();
    if (!policy.equals(CLEANUP_POLICY_COMPACT)) {
      throw new IllegalStateException(
          "topic " + topic + " has cleanup.policy " + policy + ": it must be compact, or figures vanish with their age");
    }
  }
}
