package broker

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// wired is a connection whose other end says one thing.
type wired struct {
	io.Reader
	io.Writer
}

func TestExchangeRefusesWhatIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		speaks int16
		says   string
		is     error
		want   string
	}{
		"an old broker":       {10, "", kafka.UnsupportedVersion, "version 10 of Fetch"},
		"nothing":             {11, "", io.ErrUnexpectedEOF, ""},
		"half a head":         {11, "\x00\x00", io.ErrUnexpectedEOF, ""},
		"less than announced": {11, "\x00\x00\x00\x10\x00\x00\x00\x01abc", io.ErrUnexpectedEOF, ""},
		"another's answer":    {11, "\x00\x00\x00\x04\x00\x00\x00\x02", nil, "number 2"},
		"a negative size":     {11, "\xff\xff\xff\xff\x00\x00\x00\x01", nil, "bytes"},
		"an empty answer":     {11, "\x00\x00\x00\x04\x00\x00\x00\x01", io.ErrUnexpectedEOF, "malformed"},
		"too many topics":     {11, "\x00\x00\x00\x12\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff", io.ErrUnexpectedEOF, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			x := &exchange{Request: &fetch.Request{}}
			if !x.Required(map[protocol.ApiKey]int16{protocol.Fetch: c.speaks}) {
				t.Fatal("kafka-go would read the answer")
			}
			_, err := x.RawExchange(wired{strings.NewReader(c.says), new(bytes.Buffer)})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
