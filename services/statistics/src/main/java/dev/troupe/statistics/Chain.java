package dev.troupe.statistics;

/**
 * The rule which of an order's facts in one topic count, for a reader from the log's start. pkg/chain is the same in Go,
 * and docs/protocol.md says why. Both pass pkg/chain/testdata/table.json.
 */
final class Chain {
  private Chain() {}

  /** Verdicts on a record, as pkg/chain has them. */
  enum Verdict { VALID, DUPLICATE, SUPERSEDED, CONTRADICTED }

  /** What an event says of its own place. Sequence 0: a request, which is in no chain; it is unsigned. */
  record Link(long sequence, String id, String previous) {
    private boolean isAfter(long other) {
      return Long.compareUnsigned(sequence, other) > 0;
    }
  }

  /** The last fact accepted. Sequence 0: there is none; it is unsigned. Flink keeps it as state: hence public, with fields. */
  public static final class Head {
    public long sequence;
    public String id = "";
    /** What came before the first fact that was met is not known: retention took it. */
    public boolean adopted;

    /**
     * known: an event with this id took effect before. Validity is looked at first: a superseded fact and its valid
     * successor can have the same id.
     */
    Verdict judge(Link link, boolean known) {
      if (link.sequence == 0 || precedes(link)) {
        return known ? Verdict.DUPLICATE : Verdict.VALID;
      }
      if (!link.isAfter(sequence) && (known || link.id.equals(id))) {
        return Verdict.DUPLICATE;
      }
      return adopted ? Verdict.CONTRADICTED : Verdict.SUPERSEDED;
    }

    private boolean precedes(Link link) {
      return sequence == 0 || link.sequence == sequence + 1 && link.previous.equals(id);
    }

    /** Moves the head over an event that is valid or a duplicate. */
    void accept(Link link) {
      if (!link.isAfter(sequence)) {
        return;
      }
      adopted |= sequence == 0 && link.isAfter(1);
      sequence = link.sequence;
      id = link.id;
    }
  }
}
