// Package broker is how Troupe talks to Kafka: it fetches and produces records, provisions topics and takes part in
// consumer groups, with the settings that lose nothing and errors in the classes of package fault. It is the only
// importer of kafka-go.
//
// Log is the contract and Client its implementation; brokertest has another one in memory, and the suite that both
// pass. Nothing here knows of events or orders. Begin with log.go; the example shows a record on its way.
//
// Files, each using only those above it:
//   - headers.go: the headers of a record
//   - record.go: a record, and one that cannot be read
//   - partition.go: the partition of a key
//   - log.go: what is asked of a broker
//   - config.go: where Kafka is, and how to talk to it
//   - errors.go: the classes of Kafka's errors
//   - outage.go: one line in the log when Kafka stops answering, and one when it is back
//   - exchange.go: one request over a connection of kafka-go
//   - cluster.go: requests to a broker, or to the coordinator of a group
//   - metadata.go: which topics there are, and which broker leads a log
//   - poll.go: the Fetch requests in flight
//   - client.go: a client is opened and closed
//   - offsets.go: where logs begin and end
//   - identity.go: whether a topic is still the same one
//   - access.go: users are made, and what they may do
//   - topics.go: topics are created, and their settings checked
//   - produce.go: batches are appended
//   - decode.go: the records of a Fetch response
//   - fetch_leader.go: the Fetch request to one leader
//   - fetch.go: logs of several leaders are read in one call
//   - assignor.go: which member of a group gets which partitions
//   - generation.go: one generation of a group, its heartbeats and commits
//   - group.go: a member joins, serves one generation after the other, and leaves
//   - standing.go: a group as seen from outside
//
// The formats on the wire are in the package internal/wire.
//
// # Goroutines
//
// A call of Client works on the goroutine of its caller, and waits for those that it starts: one for each leader, in
// Produce, Ends and Starts. Beside them there are
//   - one for each Fetch request (polls.start): it may outlive the call, by MaxWait at most, and Close waits for it;
//   - one for each connection, of kafka-go's: requests are written and responses decoded on it;
//   - those of a group, of kafka-go's: serve runs on one of them, and Join returns after all have ended.
//
// Nothing is fetched, committed or produced in the background: what a caller has not asked for does not happen, except
// for heartbeats.
package broker
