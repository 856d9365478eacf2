package hold

import (
	"encoding/binary"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rewrite puts the proxy's addresses in the place of the brokers' in an answer that names some.
func (k *Kafka) rewrite(key, version int16, frame []byte) ([]byte, error) {
	hidden := kmsg.Key(key) == kmsg.Fetch && k.unreadable.Load() != nil
	if !hidden && !names(kmsg.Key(key), version) {
		return frame, nil
	}
	body := kmsg.ResponseForKey(key)
	if err := decode(body, version, frame[8:]); err != nil {
		return nil, err
	}
	if hidden {
		hide(body.(*kmsg.FetchResponse), *k.unreadable.Load())
	}
	var failed error
	each(body, func(host *string, port *int32) {
		if *host == "" || *port <= 0 { // no coordinator, say
			return
		}
		addr, err := k.Addr(net.JoinHostPort(*host, strconv.Itoa(int(*port))))
		if err != nil {
			failed = err
			return
		}
		own, number, _ := net.SplitHostPort(addr)
		n, _ := strconv.ParseInt(number, 10, 32) // an address that we listen on
		*host, *port = own, int32(n)
	})
	return respond(int32(binary.BigEndian.Uint32(frame[4:])), body), failed
}

// Unreadable makes a topic one that nobody can read, in answers to fetches that are under way too, until end is called. It can be one
// topic at a time.
func (k *Kafka) Unreadable(topic string) (end func()) {
	k.unreadable.Store(&topic)
	return func() { k.unreadable.CompareAndSwap(&topic, nil) }
}

func hide(fetched *kmsg.FetchResponse, topic string) {
	for _, t := range fetched.Topics {
		for p := range t.Partitions {
			if t.Topic == topic {
				t.Partitions[p].ErrorCode, t.Partitions[p].RecordBatches = kerr.KafkaStorageError.Code, nil
			}
		}
	}
}

// names says whether an answer can name brokers.
func names(key kmsg.Key, version int16) bool {
	switch key {
	case kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster:
		return true
	case kmsg.Produce: // KIP-951: where the leader went
		return version >= 10
	case kmsg.Fetch:
		return version >= 16
	}
	return false
}

// each calls f with every address in an answer.
func each(body kmsg.Response, f func(host *string, port *int32)) {
	switch r := body.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			f(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		f(&r.Host, &r.Port)
		for i := range r.Coordinators {
			f(&r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			f(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			f(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			f(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	}
}

// respond makes the frame of an answer.
func respond(correlation int32, body kmsg.Response) []byte {
	frame := binary.BigEndian.AppendUint32(make([]byte, 4, 64), uint32(correlation))
	if body.IsFlexible() {
		frame = append(frame, 0) // no tagged fields
	}
	frame = body.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
