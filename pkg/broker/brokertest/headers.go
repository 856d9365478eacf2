package brokertest

import "github.com/troupe-dev/troupe/pkg/broker"

// SetHeader returns a copy of some headers with one of a key, at the end.
func SetHeader(h broker.Headers, key string, value []byte) broker.Headers {
	return h.Without(func(k string) bool { return k == key }).Append(key, value)
}
