package event

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Token is an opaque consistency token: a reader that has passed the record at offset has seen all that was written
// before it.
func Token(tp broker.TopicPartition, offset int64) string {
	text := fmt.Sprintf("1,%s,%d,%d", tp.Topic, tp.Partition, offset)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// ParseToken reads a Token; the error is Invalid and has no field name.
func ParseToken(s string) (broker.TopicPartition, int64, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	part := strings.Split(string(raw), ",")
	if err == nil && len(part) == 4 && part[0] == "1" && part[1] != "" {
		p, notPartition := strconv.Atoi(part[2])
		offset, notOffset := strconv.ParseInt(part[3], 10, 64)
		if notPartition == nil && notOffset == nil && p >= 0 && offset >= 0 {
			return broker.TopicPartition{Topic: part[1], Partition: p}, offset, nil
		}
	}
	return broker.TopicPartition{}, 0, fault.New(fault.Invalid, "not a consistency token of this system")
}
