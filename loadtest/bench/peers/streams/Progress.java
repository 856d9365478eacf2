import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;

/** Counts the orders that have reached the read model, and says on standard output what the benchmark's workers say. */
final class Progress {
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private final boolean[] arrived; // by the order's number
  private final long[] settled; // microseconds from when an order was due
  private final int every; // orders between two readings; 0: none
  private int n;
  private boolean started;
  private final CompletableFuture<Throwable> over = new CompletableFuture<>();

  Progress(int orders, int every) {
    arrived = new boolean[orders];
    settled = new long[orders];
    this.every = every;
  }

  /** Tells, once, that the first order is worked on. */
  synchronized void started() {
    if (!started) {
      started = true;
      say("first", "");
    }
  }

  /** Counts an order whose last event is in the read model, unless it was counted. */
  synchronized void done(String id, long placedAt) {
    int number = Integer.parseInt(id.substring("order-".length()).replaceFirst("\\..*", ""));
    if (arrived[number]) {
      return;
    }
    arrived[number] = true;
    var now = Instant.now();
    settled[n++] = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000 - placedAt;
    if (n == settled.length) {
      Arrays.sort(settled);
      var quantiles = "{\"P50\":%d,\"P99\":%d}".formatted(at(.5), at(.99));
      say("last", ",\"settled\":" + quantiles);
      over.complete(null);
    } else if (every > 0 && n % every == 0) {
      say("passed", "");
    }
  }

  private long at(double quantile) {
    return settled[(int) Math.ceil(quantile * settled.length) - 1];
  }

  void fail(Throwable failure) {
    over.complete(failure);
  }

  /** Waits until all orders are done, and returns null, or until something failed, and returns that. */
  Throwable await() throws Exception {
    return over.get();
  }

  private static void say(String event, String more) {
    System.out.printf(
        "{\"event\":\"%s\",\"at\":\"%s\",\"cpu\":%d,\"rss\":%d,\"holds\":%d%s}%n",
        event, Instant.now(), SYSTEM.getProcessCpuTime(), memory("VmHWM:"), memory("VmRSS:"), more);
  }

  /** A line of /proc/self/status, in bytes. */
  private static long memory(String line) {
    try (var lines = Files.lines(Path.of("/proc/self/status"))) {
      var value = lines.filter(l -> l.startsWith(line)).findFirst().orElseThrow();
      return Long.parseLong(value.replaceAll("\\D", "")) << 10;
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }
}
