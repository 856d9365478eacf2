package broker

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// A grant or a password is mended while the service runs: what may not be read or joined is waited for.
func TestWhatIsRefusedIsWaitedFor(t *testing.T) {
	for _, answer := range []kafka.Error{
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.SASLAuthenticationFailed,
	} {
		if err := code("read", int16(answer), ""); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("%v: %v of class %v, want to wait", answer, err, fault.ClassOf(err))
		}
	}
}
