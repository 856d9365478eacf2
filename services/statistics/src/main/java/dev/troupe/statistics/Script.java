package dev.troupe.statistics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A file of SQL: its SET statements as options, and the other statements in their order. */
record Script(Map<String, String> options, List<String> statements) {
  private static final Pattern VARIABLE = Pattern.compile("\\$\\{(\\w+)(?::-([^}]*))?}");
  private static final Pattern SET = Pattern.compile("(?is)SET\\s+'([^']+)'\\s*=\\s*'([^']*)'");
  private static final Pattern STATEMENT_SET = Pattern.compile("(?is)EXECUTE\\s+STATEMENT\\s+SET\\b.*");

  /**
   * A statement ends with a semicolon at the end of a line, a statement set with the line END;. A line that begins with
   * -- is a comment. ${NAME} and ${NAME:-default} are variables, as in a shell.
   */
  static Script parse(String text, Map<String, String> variables) {
    Script script = new Script(new HashMap<>(), new ArrayList<>());
    StringBuilder statement = new StringBuilder();
    for (String line : text.lines().map(String::strip).filter(l -> !l.isEmpty() && !l.startsWith("--")).toList()) {
      statement.append(line).append('\n');
      boolean inSet = STATEMENT_SET.matcher(statement).matches();
      if (line.endsWith(";") && (!inSet || line.equalsIgnoreCase("END;"))) {
        script.add(substitute(statement.substring(0, statement.lastIndexOf(";")), variables));
        statement.setLength(0);
      }
    }
    if (!statement.isEmpty()) {
      throw new IllegalArgumentException("no semicolon ends the statement " + statement.toString().lines().findFirst().orElseThrow());
    }
    return script;
  }

  private void add(String statement) {
    Matcher set = SET.matcher(statement);
    if (set.matches()) {
      options.put(set.group(1), set.group(2));
    } else {
      statements.add(statement);
    }
  }

  private static String substitute(String text, Map<String, String> variables) {
    return VARIABLE.matcher(text).replaceAll(m -> {
      String value = variables.getOrDefault(m.group(1), "");
      if (value.isEmpty() && m.group(2) == null) {
        throw new IllegalArgumentException("the variable " + m.group(1) + " must be set");
      }
      return Matcher.quoteReplacement(value.isEmpty() ? m.group(2) : value);
    });
  }
}
