package participant

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/pack"
	"github.com/troupe-dev/troupe/pkg/task"
)

// An order is kept as one text, in a hash that the orders of its partition share, so that one command writes or reads hundreds of them
// (docs/adr/0008). Redis forgets whole keys only, so there is a hash for each generation, a little longer than the facts are kept: an order
// is written to the one of now and looked for there and in the one before, and what was in neither is older than its facts. Letters are
// kept for ever, and so is an order with some: in a hash of its own.
const (
	keyOrders       = "orders:" // + generation
	keyParkedOrders = "orders:parked"
)

// keep is how long a generation lasts. It is longer than the facts are kept, so that an order outlives the last of them.
func (cfg Config) keep() time.Duration { return cfg.Retention + cfg.Retention/8 }

// generation is the number of the one that a moment belongs to.
func (cfg Config) generation(at time.Time) int64 { return at.UnixMilli() / cfg.keep().Milliseconds() }

func ordersKey(generation int64) string { return keyOrders + strconv.FormatInt(generation, 10) }

// Fields of an order's text: each is a name and a value, both packed. That it has facts is the first: the door's script looks for it there.
const (
	fieldOwn    = "own"
	fieldState  = "state"
	fieldFirst  = "first"
	fieldParked = "parked"
	fieldRetry  = "retry"
	fieldAsked  = "asked"
	fieldTrace  = "trace"
	prefixHead  = "head:"
	prefixSeen  = "seen:"
)

// ownFirst is what the text of an order with facts begins with.
var ownFirst = string(pack.Text(nil, fieldOwn))

// pack appends the order's text.
func (o *order) pack(b []byte) []byte {
	var number [128]byte // on the stack
	if o.own.Sequence > 0 {
		b = pack.Bytes(pack.Text(b, fieldOwn), appendHead(number[:0], o.own))
	}
	if o.text != "" {
		b = pack.Text(pack.Text(b, fieldState), o.text)
	}
	if o.first >= 0 {
		b = pack.Bytes(pack.Text(b, fieldFirst), strconv.AppendInt(number[:0], o.first, 10))
	}
	if o.trace != "" {
		b = pack.Text(pack.Text(b, fieldTrace), o.trace)
	}
	for i := range o.heads {
		b = pack.Bytes(named(b, prefixHead, o.heads[i].topic), appendHead(number[:0], o.heads[i].Head))
	}
	b = append(b, o.seen...)
	if len(o.parked) > 0 {
		b = pack.Text(pack.Text(b, fieldParked), formatParked(o.parked))
	}
	if !o.retryAt.IsZero() {
		b = pack.Bytes(pack.Text(b, fieldRetry), strconv.AppendInt(number[:0], o.retryAt.UnixMilli(), 10))
	}
	if o.asked.ID != "" {
		asked, _ := json.Marshal(o.asked) // plain data, cannot fail
		b = pack.Bytes(pack.Text(b, fieldAsked), asked)
	}
	return b
}

// named appends a field's name of two parts.
func named(b []byte, prefix, rest string) []byte {
	return append(append(pack.Int(b, int64(len(prefix)+len(rest))), prefix...), rest...)
}

// writeOrders adds the commands that write the orders that changed.
func (c *cycle) writeOrders(t *partition, ch *task.Change) {
	if now := c.cfg.generation(time.Now()); now > t.generation {
		t.generation, t.before = now, true
	}
	c.packed, c.ends = c.packed[:0], c.ends[:0]
	for _, o := range t.touched {
		if o.changed {
			c.packed = o.pack(c.packed)
		}
		c.ends = append(c.ends, len(c.packed))
	}
	texts, from := string(c.packed), 0
	var set, setParked, unparked []string
	for i, o := range t.touched {
		text := texts[from:c.ends[i]]
		from = c.ends[i]
		o.touched = false
		switch {
		case !o.changed:
			continue
		case len(o.parked) > 0:
			setParked = append(setParked, o.id, text)
		default:
			set = append(set, o.id, text)
			if o.kept {
				unparked = append(unparked, o.id)
			}
		}
		o.changed, o.kept = false, len(o.parked) > 0
	}
	if len(setParked) > 0 {
		ch.Add("HSET", keyParkedOrders, setParked...)
	}
	if len(unparked) > 0 {
		ch.Add("HDEL", keyParkedOrders, unparked...)
	}
	if len(set) == 0 {
		return
	}
	ch.Add("HSET", ordersKey(t.generation), set...)
	if t.dated != t.generation {
		t.dated = t.generation
		ch.Add("PEXPIRE", ordersKey(t.generation), strconv.FormatInt((3*c.cfg.keep()).Milliseconds(), 10)) // for when no task drops it
	}
}

// readText reads a new order from its text; an empty one is an order nobody has seen.
func (o *order) readText(b *behavior, text string) error {
	r := pack.Read(text)
	for !r.Ended() {
		name, value := r.Text(), r.Text()
		if r.Err() != nil {
			return fault.New(fault.Permanent, "order %s is cut off, or of another layout", o.id)
		}
		if err := o.read(b, name, value); err != nil {
			return fmt.Errorf("order %s, field %s: %w", o.id, name, err)
		}
	}
	return nil
}

func (o *order) read(b *behavior, name, value string) (err error) {
	switch name {
	case fieldOwn:
		o.own, err = parseHead(value)
	case fieldState:
		o.text = value
		o.state, err = b.decode(value)
	case fieldFirst:
		o.first, err = strconv.ParseInt(value, 10, 64)
	case fieldTrace:
		o.trace = value
	case fieldParked:
		o.parked, err = parseParked(value)
	case fieldRetry:
		var ms int64
		ms, err = strconv.ParseInt(value, 10, 64)
		o.retryAt = time.UnixMilli(ms)
	case fieldAsked:
		err = json.Unmarshal([]byte(value), &o.asked)
	default:
		if id, ok := strings.CutPrefix(name, prefixSeen); ok {
			o.seen = o.seen.add(id, value)
		} else if topic, ok := strings.CutPrefix(name, prefixHead); ok {
			h := heard{topic: topic}
			h.Head, err = parseHead(value)
			o.heads = append(o.heads, h)
		}
	}
	return err
}
