package broker_test

import (
	"fmt"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/broker"
	"pgregory.net/rapid"
)

// The hashes are those of Apache Kafka's own UtilsTest.testMurmur2; the partition is toPositive(hash) % n, as in its
// BuiltInPartitioner.
func TestPartitionIsJavas(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		string([]byte{'a', 'b', 'c'}):                      479470107,
	} {
		for _, n := range []int{1, 12, 1000, 1 << 30} {
			if got, want := broker.Partition([]byte(key), n), int(hash&0x7fffffff)%n; got != want {
				t.Errorf("partition of %q among %d is %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestPartitionAgreesWithKafkaGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, n := rapid.SliceOf(rapid.Byte()).Draw(t, "key"), rapid.IntRange(1, 100).Draw(t, "n")
		var all []int
		for p := range n {
			all = append(all, p)
		}
		if got, want := broker.Partition(key, n), (kafka.Murmur2Balancer{Consistent: true}).Balance(kafka.Message{Key: key}, all...); got != want {
			t.Fatalf("partition %d, want %d", got, want)
		}
	})
}

func ExamplePartition() {
	fmt.Println(broker.Partition([]byte("foobar"), 12))
	// Output: 6
}
