package dev.troupe.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScriptTest {
  @Test
  void optionsAndStatements() {
    Script script = Script.parse("""
        -- ${NOBODY} asks for what a comment says
        SET 'a' = '${A}/b';
        CREATE TABLE t (
          x INT -- ';'
        ) WITH ('c' = '${C:-none}');
        EXECUTE STATEMENT SET BEGIN
        INSERT INTO t SELECT 1;
        INSERT INTO t SELECT 2;
        END;
        """, Map.of("A", "file:///x$1"));
    assertEquals(Map.of("a", "file:///x$1/b"), script.options());
    assertEquals(List.of(
        "CREATE TABLE t (\nx INT -- ';'\n) WITH ('c' = 'none')",
        "EXECUTE STATEMENT SET BEGIN\nINSERT INTO t SELECT 1;\nINSERT INTO t SELECT 2;\nEND"), script.statements());
  }

  @Test
  void whatIsWrongIsSaidInOneLine() {
    assertSays("the variable CHECKPOINTS must be set", "SET 'a' = '${CHECKPOINTS}';");
    assertSays("no semicolon ends the statement CREATE TABLE t", "CREATE TABLE t\n(x INT)\n");
  }

  private static void assertSays(String message, String text) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, () -> Script.parse(text, Map.of())).getMessage());
  }

  @Test
  void theFilesAreRead() throws Exception {
    try (var files = Files.list(Path.of("sql"))) {
      for (Path file : files.toList()) {
        Script script = Script.parse(Files.readString(file), Map.of("CHECKPOINTS", "file:///x"));
        assertEquals(1, script.statements().stream().filter(s -> s.startsWith("EXECUTE STATEMENT SET")).count(), file.toString());
      }
    }
  }
}
