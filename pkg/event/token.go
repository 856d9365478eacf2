package event

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Token is an opaque consistency token: a reader that has passed the record at offset has seen all that was written before it.
func Token(tp broker.TopicPartition, offset int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte("1," + tp.Topic + "," + strconv.Itoa(tp.Partition) + "," + strconv.FormatInt(offset, 10)))
}

// ParseToken reads a Token; the error is Invalid and has no field name.
func ParseToken(s string) (broker.TopicPartition, int64, error) {
	bad := func() (broker.TopicPartition, int64, error) {
		return broker.TopicPartition{}, 0, fault.New(fault.Invalid, "not a consistency token of this system")
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return bad()
	}
	part := strings.Split(string(raw), ",")
	if len(part) != 4 || part[0] != "1" || part[1] == "" {
		return bad()
	}
	p, err1 := strconv.Atoi(part[2])
	off, err2 := strconv.ParseInt(part[3], 10, 64)
	if err1 != nil || err2 != nil || p < 0 || off < 0 {
		return bad()
	}
	return broker.TopicPartition{Topic: part[1], Partition: p}, off, nil
}
