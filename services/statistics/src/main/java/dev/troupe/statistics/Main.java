package dev.troupe.statistics;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/** Runs a file of SQL on a Flink in this process, or on the cluster that it names, and resumes from the newest checkpoint. */
public final class Main {
  private static final Pattern VIEW = Pattern.compile("(?is)CREATE\\s+TEMPORARY\\s+VIEW\\s+(\\w+)\\s+AS\\s+(.*)");
  private static final Pattern JOB = Pattern.compile("(?is)(EXECUTE|INSERT)\\b.*");

  private Main() {}

  /** Exits with 0 when the job has ended, which one that reads without bound never does; with 1 on errors, 2 on wrong usage. */
  public static void main(String[] args) {
    if (args.length != 1) {
      System.err.println("usage: java -cp 'statistics-1.jar:libs/*' dev.troupe.statistics.Main FILE.sql");
      System.exit(2);
    }
    try {
      run(Script.parse(Files.readString(Path.of(args[0])), System.getenv()));
    } catch (NoSuchFileException e) {
      fail(args[0], "no such file");
    } catch (Exception e) {
      fail(args[0], reason(e));
    }
    System.exit(0); // Flink's threads would go on
  }

  private static void run(Script script) throws Exception {
    new Messages(); // what a task could not read is better said before one runs
    Configuration options = Configuration.fromMap(script.options());
    Optional<String> checkpoint = newestCheckpoint(script.options().get("execution.checkpointing.dir"));
    checkpoint.ifPresent(path -> {
      System.err.println("statistics: resumes from " + path);
      options.setString("execution.state-recovery.path", path);
    });
    TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().withConfiguration(options).build());
    for (String statement : script.statements()) {
      execute(env, statement);
    }
  }

  static void execute(TableEnvironment env, String statement) throws Exception {
    Matcher view = VIEW.matcher(statement);
    if (view.matches()) { // FLINK-37700: a view over a process table function cannot be created by SQL
      env.createTemporaryView(view.group(1), env.sqlQuery(view.group(2)));
      return;
    }
    boolean job = JOB.matcher(statement).matches();
    if (job) {
      Topics.prepare(env);
    }
    TableResult result = env.executeSql(statement);
    if (job) {
      System.err.println("statistics: runs");
      result.await();
    }
  }

  /** The newest whole checkpoint below a folder: folder/job/chk-N with the file _metadata, which is written last. */
  private static Optional<String> newestCheckpoint(String folder) throws IOException {
    if (folder == null) {
      return Optional.empty();
    }
    org.apache.flink.core.fs.Path root = new org.apache.flink.core.fs.Path(folder);
    FileSystem files = root.getFileSystem();
    List<FileStatus> whole = new ArrayList<>();
    for (FileStatus job : list(files, root)) {
      for (FileStatus checkpoint : list(files, job.getPath())) {
        for (FileStatus file : list(files, checkpoint.getPath())) {
          if (file.getPath().getName().equals("_metadata")) {
            whole.add(file);
          }
        }
      }
    }
    return whole.stream().max(Comparator.comparing(FileStatus::getModificationTime)).map(f -> f.getPath().getParent().toString());
  }

  private static FileStatus[] list(FileSystem files, org.apache.flink.core.fs.Path folder) throws IOException {
    return files.exists(folder) && files.getFileStatus(folder).isDir() ? files.listStatus(folder) : new FileStatus[0];
  }

  /** What lies at the bottom of it, in one line. */
  private static String reason(Throwable e) {
    if (e.getCause() != null) {
      return reason(e.getCause());
    }
    return String.valueOf(e.getMessage() == null ? e : e.getMessage()).lines().findFirst().orElse("");
  }

  private static void fail(String file, String message) {
    System.err.println("statistics: " + file + ": " + message);
    System.exit(1);
  }
}
