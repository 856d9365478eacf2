// Package narrate tells an order's story in a terminal while it happens.
package narrate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// Narrator prints one line per event of one order.
type Narrator struct {
	out    io.Writer
	style  terminal.Style
	client *rest.Client
	id     string
	told   map[string]bool
	began  time.Time // of the first event
}

// New returns a narrator of an order that has told nothing yet.
func New(out io.Writer, client *rest.Client, orderID string) *Narrator {
	return &Narrator{out: out, style: terminal.StyleOf(out), client: client, id: orderID, told: map[string]bool{}}
}

// Until follows the order's live stream and tells each event as it arrives, until enough says so of the order, or ctx ends; it
// returns the order as it was then. It may be called again and goes on where it was. An error is ctx's or what trying again
// cannot mend.
func (n *Narrator) Until(ctx context.Context, enough func(rest.Order) bool) (last rest.Order, err error) {
	var untold error
	err = n.client.Follow(ctx, n.id, func(o rest.Order) bool {
		last = o
		untold = n.tellNew(ctx)
		return untold != nil || enough(o)
	})
	if untold != nil {
		err = untold
	}
	if err == nil {
		return last, nil
	}
	return last, fmt.Errorf("follow order %s: %w", n.id, err)
}

// retryEvery is how often a story is asked for that is away: there may be no later document to tell it with.
const retryEvery = 200 * time.Millisecond

// tellNew reads the story and tells what it has not told. An error is ctx's or what trying again cannot mend.
func (n *Narrator) tellNew(ctx context.Context) error {
	s, err := n.client.Story(ctx, n.id)
	for fault.ClassOf(err) == fault.Unavailable {
		if err := wait.Sleep(ctx, retryEvery); err != nil {
			return err
		}
		s, err = n.client.Story(ctx, n.id)
	}
	if err != nil {
		return err
	}
	for _, e := range s.Events {
		if n.told[e.ID] {
			continue
		}
		n.told[e.ID] = true
		if n.began.IsZero() {
			n.began = e.Time
		}
		_, _ = io.WriteString(n.out, Line(n.style, e, n.began))
	}
	return nil
}

// Line is one event as a line of text: when it happened since began, who said what, and how long after its cause.
func Line(style terminal.Style, e rest.Event, began time.Time) string {
	name := e.Type[strings.LastIndexByte(e.Type, '.')+1:]
	told := detail(name, e.Data)
	if e.Kind == "dead_letter" {
		name = "parked " + name
	} else if e.Kind != "event" && e.Kind != "" {
		name = cmp.Or(became[e.Kind], e.Kind)
	}
	if e.Class+e.Message != "" {
		told = terminal.Cut(strings.TrimPrefix(e.Class+": "+e.Message, ": "), 120)
	}
	gap := ""
	if e.GapMS != nil {
		gap = fmt.Sprintf("+%.0f ms", max(0, *e.GapMS))
	}
	return fmt.Sprintf("  %7.0f ms  %s  %s %s %s\n", float64(e.Time.Sub(began).Microseconds())/1000,
		style.Paint(terminal.Of[e.Source], fmt.Sprintf("%-12s", terminal.Clean(e.Source))),
		style.Paint(terminal.Bold, fmt.Sprintf("%-26s", terminal.Clean(name))),
		style.Paint(terminal.Dim, fmt.Sprintf("%8s", gap)), terminal.Clean(told))
}

// became is what became of an event that was parked, where the kind alone does not say it.
var became = map[string]string{"failed": "failed again", "closed": "redrive ended"}

// body has what is worth telling of any event; protobuf's JSON writes 64-bit numbers as strings.
type body struct {
	Total         int64  `json:"total,string"`
	Amount        int64  `json:"amount,string"`
	Currency      string `json:"currency"`
	PaymentMethod string `json:"paymentMethod"`
	Reason        string `json:"reason"`
	Kind          string `json:"kind"`
	Lines         []struct {
		Name     string `json:"name"`
		Quantity int    `json:"quantity"`
	} `json:"lines"`
}

func detail(name string, data json.RawMessage) string {
	var b body
	if err := json.Unmarshal(data, &b); err != nil {
		return ""
	}
	switch name {
	case "OrderPlaced":
		var lines []string
		for _, l := range b.Lines {
			lines = append(lines, fmt.Sprintf("%d × %s", l.Quantity, l.Name))
		}
		return strings.Join(lines, ", ") + " for " + terminal.Money(b.Total, b.Currency)
	case "PaymentSucceeded":
		return terminal.Money(b.Amount, b.Currency) + " charged"
	case "PaymentRefunded":
		return terminal.Money(b.Amount, b.Currency) + " given back"
	case "PaymentDeclined":
		return b.Reason
	case "OrderCancelled":
		return because(b.Reason)
	case "OrderCancellationRequested":
		return "the customer changed their mind"
	case "NotificationSent":
		return "mail “" + kind(b.Kind) + "”"
	case "NotificationFailed":
		return "mail “" + kind(b.Kind) + "” refused"
	}
	return ""
}

func because(reason string) string {
	return "because of " + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(reason, "CANCELLATION_REASON_"), "_", " "))
}

func kind(k string) string { return strings.ToLower(strings.TrimPrefix(k, "KIND_")) }
