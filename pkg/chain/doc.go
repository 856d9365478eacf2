// Package chain is the rule by which everybody who reads a topic agrees which of an order's facts count:
// participants, projections, and whoever reads a log back. It holds no state and reads nothing; it is the protocol's
// chain table as code.
//
// # Why there is a chain
//
// An order's facts in one topic are decided by one writer, each from the state that the facts before it left. Now and
// then there are two writers for a moment (one was paused, or its store was wiped while a produce was on its way),
// and two different decisions about the same place get into the log. So every fact carries its sequence in the order
// and the id of the fact before it in that topic, and the log is the referee: the first in the log that is the next
// of its chain counts, the other is superseded, for everyone alike.
//
// # How to use it
//
// Keep one Head per order and topic. For every event, in the order of the log: Judge it by the Head; when it is Valid
// let it take effect; when it is Valid or Duplicate keep what Accept returns.
//
// A reader that did not see a chain begin adopts the first head it meets. When a later fact contradicts that head,
// Judge says so, and the reader reads the log from its start, with a zero Head, up to that fact: the Head that it
// comes to, Confirmed, is the right one.
package chain
