// Package brokertest gives tests an empty broker: Memory, without a network and inside synctest bubbles; or Fresh, an
// embedded Kafka-protocol broker or a real one. Suite is the contract that every broker.Log passes.
package brokertest
