package dev.troupe.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.google.gson.Gson;
import dev.troupe.statistics.Chain.Head;
import dev.troupe.statistics.Chain.Link;
import dev.troupe.statistics.Chain.Verdict;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The chain table of docs/protocol.md, from the file that pkg/chain is tested by. */
class ChainTest {
  /** A head or a link. */
  static class Place {
    BigInteger sequence = BigInteger.ZERO; // of 64 bits, unsigned
    String id = "";
    String previous = "";
    boolean adopted;

    Head head() {
      Head head = new Head();
      head.sequence = sequence.longValue();
      head.id = id;
      head.adopted = adopted;
      return head;
    }

    Link link() {
      return new Link(sequence.longValue(), id, previous);
    }
  }

  static class Case {
    String name;
    Place head;
    Place link;
    boolean known;
    String verdict;
    Place after;
  }

  @TestFactory
  List<DynamicTest> table() throws Exception {
    Case[] cases = new Gson().fromJson(Files.readString(Path.of("../../pkg/chain/testdata/table.json")), Case[].class);
    return Arrays.stream(cases).map(c -> dynamicTest(c.name, () -> {
      Head head = c.head.head();
      Verdict verdict = head.judge(c.link.link(), c.known);
      if (verdict == Verdict.VALID || verdict == Verdict.DUPLICATE) {
        head.accept(c.link.link());
      }
      assertEquals(Verdict.valueOf(c.verdict.toUpperCase(Locale.ROOT)), verdict);
      assertEquals(told(c.after.head()), told(head));
    })).toList();
  }

  private static String told(Head head) {
    return head.sequence + " " + head.id + " " + head.adopted;
  }
}
