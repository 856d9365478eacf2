package chain

// Link is what an event says of its own place. ID and PreviousID are compared and kept as they are: a caller that
// shortens ids shortens both.
type Link struct {
	// Sequence of the fact among those of its order in one topic, from 1. 0: a request or a letter, which is in no
	// chain.
	Sequence uint64
	ID       string
	// PreviousID is the id of the order's fact before this one in the same topic; empty for the first.
	PreviousID string
}

// Head is the last fact accepted of one order in one topic. The zero value is a chain of which nothing is known.
type Head struct {
	// Sequence 0: there is no head.
	Sequence uint64
	ID       string
	// Adopted: what came before the first fact that was met here is not known, so it was taken on trust, and with it
	// all that followed. Both can be late copies or superseded; the log's start alone knows. Without a sequence: so
	// will be the next head.
	Adopted bool
}

// Verdict of Judge.
type Verdict int

// Verdicts. The first is the zero value.
const (
	// Valid: accept it, and let it take effect.
	Valid Verdict = iota
	// Duplicate: it took effect already. Accept moves the head if it does not stand there yet.
	Duplicate
	// Superseded: the log holds another fact in its place. It takes no effect, leaves no mark and moves no head.
	Superseded
	// Contradicted: it is superseded if the head is right, but the head was adopted. Read the chain back and judge
	// again; where the log has nothing to say, Confirmed is all there is to go by.
	Contradicted
)

// Judge places an event in its chain. known says whether its id took effect before; validity is looked at first,
// since a superseded fact and the valid one in its place can have the same id.
func (h Head) Judge(l Link, known bool) Verdict {
	switch {
	case l.Sequence == 0, h.Precedes(l):
		if known {
			return Duplicate
		}
		return Valid
	case l.Sequence <= h.Sequence && (known || l.ID == h.ID):
		return Duplicate
	case h.Adopted:
		return Contradicted
	}
	return Superseded
}

// Precedes says whether a fact is the next of the chain. Where there is no head any fact is: what came before it is
// gone from the log by retention, or from memory.
func (h Head) Precedes(l Link) bool {
	return h.Sequence == 0 || l.Sequence == h.Sequence+1 && l.PreviousID == h.ID
}

// Accept returns the head after an event that was judged Valid or Duplicate. What is no fact, or is behind the head,
// moves nothing.
//
// fromStart says that the caller has met all that the log held of this topic before the event, and has kept it since:
// then a fact with sequence 1 where there is no head is the chain's first. Where reading began in mid-log, or went on
// there when the heads were lost, it can be a late copy, or superseded, with the rest of the chain before it: there
// it is adopted as any other.
func (h Head) Accept(l Link, fromStart bool) Head {
	if l.Sequence <= h.Sequence {
		return h
	}
	adopted := h.Adopted
	if h.Sequence == 0 {
		adopted = adopted || !fromStart || l.Sequence > 1
	}
	return Head{Sequence: l.Sequence, ID: l.ID, Adopted: adopted}
}

// Confirmed returns the head as one that is not adopted: the log was read, and knows nothing better.
func (h Head) Confirmed() Head {
	h.Adopted = false
	return h
}

// Forgotten is the head of a chain that is known to have begun, and nothing else of it: whatever is met next is
// adopted.
func Forgotten() Head { return Head{Adopted: true} }
