package event_test

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A fact on its way into the log and out of it.
func Example() {
	body := wrapperspb.String("green tea")
	data, err := event.Encode(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fact := event.Event{
		ID: event.FactID("cause-1", "order", "OrderPlaced"), Type: event.TypeOf(body), Source: "order", Subject: "order-1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Sequence: 1, CausationID: "cause-1", Data: data,
	}
	record := event.ToRecord(fact, "order.events.v1", 7)
	fmt.Printf("%s %s/%d\n", record.Key, record.Topic, record.Partition)

	read, err := event.FromRecord(record)
	if err != nil {
		fmt.Println(err) // class Permanent, and names the attribute
		return
	}
	message, err := event.Decode(read)
	fmt.Println(read.ID == fact.ID, read.Sequence, message.Body.(*wrapperspb.StringValue).GetValue(), err)
	// Output:
	// order-1 order.events.v1/7
	// true 1 green tea <nil>
}
