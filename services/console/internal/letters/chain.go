package letters

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Chain is what one participant parked of one order. What was folded from the letters' topic and what
// from the requests' is kept apart, so that no order of arrival can corrupt it.
type Chain struct {
	Participant string `json:"p"`
	// Order by its NameOf.
	Order     string `json:"o"`
	Partition int    `json:"n"`
	// Letters that wait, the head first.
	Letters []Letter `json:"l,omitempty"`
	// Gone holds a mark of goneLen characters for each letter that came out, the newest maxGone.
	Gone string `json:"g,omitempty"`
	// Told says where the letters' topic speaks of this chain, Asked the requests' topic: the newest maxTold and maxAsked.
	Told  []Told  `json:"t,omitempty"`
	Asked []Asked `json:"a,omitempty"`
	// Updated is the time of the newest record.
	Updated view.Moment `json:"u,omitempty"`
}

// Bounds of a chain's document. A participant parks 1,000 letters of an order at most.
const (
	goneLen    = 8
	maxGone    = 4096
	maxTold    = 3000
	maxAsked   = 200
	maxMessage = 500
)

// Letter is one event that waits. Ids are names.
type Letter struct {
	ID string `json:"i"`
	// At is its offset in the letters' topic.
	At int64 `json:"a"`
	// Topic, Partition and Offset say where the event itself lies.
	Topic     string `json:"t"`
	Partition int    `json:"p"`
	Offset    int64  `json:"o"`
	// Type of the event; empty when it has none that is plain text.
	Type     string      `json:"y,omitempty"`
	Class    string      `json:"c"`
	Message  string      `json:"m,omitempty"`
	First    view.Moment `json:"f"`
	Last     view.Moment `json:"l"`
	Redrives int         `json:"r,omitempty"`
	// Retry is when the participant redrives the chain by itself, should this letter not have come out by then; zero: it waits for a person.
	Retry  view.Moment `json:"n,omitempty"`
	Behind string      `json:"b,omitempty"`
}

// Told is one record of the letters' topic.
type Told struct {
	At     int64           `json:"o"`
	Kind   deadletter.Kind `json:"k"`
	Moment view.Moment     `json:"t"`
	// Request that was answered; of closed, how many letters came back, how many still waited, and whether something stopped it.
	Request  string `json:"r,omitempty"`
	Redriven int    `json:"d,omitempty"`
	Waiting  int    `json:"w,omitempty"`
	Stopped  bool   `json:"s,omitempty"`
	// Automatic: the participant redrove by itself.
	Automatic bool `json:"u,omitempty"`
}

// Asked is one request.
type Asked struct {
	ID     string            `json:"i"`
	At     int64             `json:"o"`
	Action deadletter.Action `json:"c"`
	Moment view.Moment       `json:"t"`
}

// known is false of the zero Chain, which is none.
func (c Chain) known() bool { return c.Participant != "" }

// ID of the chain's document, as Behavior.Note gives it.
func (c Chain) ID() string { return ChainID(c.Participant, c.Order) }

// ChainID is the id of the document of a participant's chain of an order, which is given by its NameOf.
func ChainID(participant, order string) string { return participant + ":" + order }

// Head is why the chain waits; nil when it does not.
func (c Chain) Head() *Letter {
	if len(c.Letters) == 0 {
		return nil
	}
	return &c.Letters[0]
}

// Find returns the place of a letter that waits, or -1.
func (c Chain) Find(letter string) int {
	return slices.IndexFunc(c.Letters, func(l Letter) bool { return l.ID == letter })
}

func mark(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:goneLen]
}

func (c Chain) gone(letter string) bool {
	m := mark(letter)
	for i := 0; i+goneLen <= len(c.Gone); i += goneLen {
		if c.Gone[i:i+goneLen] == m {
			return true
		}
	}
	return false
}

// withRequest returns the chain after a request was put to it.
func (c Chain) withRequest(r deadletter.Request, at int64) Chain {
	id := deadletter.NameOf(r.ID)
	if slices.ContainsFunc(c.Asked, func(a Asked) bool { return a.ID == id }) {
		return c
	}
	c.Asked = append(slices.Clone(c.Asked), Asked{ID: id, At: at, Action: r.Action, Moment: view.At(r.At)})
	c.Asked = c.Asked[max(0, len(c.Asked)-maxAsked):]
	c.Updated = max(c.Updated, view.At(r.At))
	return c
}

// withRecord returns the chain after a record of the letters' topic. A letter that is there already, or came out before, and an
// outcome that says what is known, change nothing.
func (c Chain) withRecord(r deadletter.Record, typ string, rec broker.Record) Chain {
	id := deadletter.NameOf(r.ID)
	at := view.At(when(r, rec))
	i := c.Find(id)
	switch r.Kind {
	case deadletter.Letter:
		if i >= 0 || c.gone(id) {
			return c
		}
		c.Letters = append(slices.Clone(c.Letters), letter(r, typ, rec))
	case deadletter.Failed:
		if i >= 0 && r.Redrives > c.Letters[i].Redrives { // otherwise a late copy
			c.Letters = slices.Clone(c.Letters)
			l := &c.Letters[i]
			l.Class, l.Message, l.Last, l.Redrives, l.Retry = deadletter.Plain(r.Class), cut(r.Message), at, r.Redrives, view.At(r.RetryAt)
		}
	case deadletter.Closed:
	default:
		if i >= 0 {
			c.Letters = slices.Delete(slices.Clone(c.Letters), i, i+1)
		}
		if !c.gone(id) {
			c.Gone += mark(id)
			c.Gone = c.Gone[max(0, len(c.Gone)-maxGone*goneLen):]
		}
	}
	t := Told{
		At: rec.Offset, Kind: r.Kind, Moment: at, Request: NameOf(r.RequestID), Redriven: r.Redriven, Waiting: r.Waiting,
		Stopped: r.Kind == deadletter.Closed && r.Class+r.Message != "", Automatic: r.Automatic,
	}
	c.Told = slices.Clone(c.Told)
	if n := len(c.Told); n > 0 && t.Automatic && t.Kind == deadletter.Failed && c.Told[n-1].Automatic && c.Told[n-1].Kind == t.Kind {
		c.Told = c.Told[:n-1] // of tries that failed in a row the last one tells all
	}
	c.Told = append(c.Told, t)
	c.Told = c.Told[max(0, len(c.Told)-maxTold):]
	c.Updated = max(c.Updated, at)
	return c
}

func letter(r deadletter.Record, typ string, rec broker.Record) Letter {
	return Letter{
		ID: deadletter.NameOf(r.ID), At: rec.Offset, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Type: deadletter.Plain(typ),
		Class: deadletter.Plain(r.Class), Message: cut(r.Message), First: view.At(r.FirstFailure), Last: view.At(r.LastFailure),
		Redrives: r.Redrives, Retry: view.At(r.RetryAt), Behind: NameOf(r.Behind),
	}
}

// NameOf is deadletter.NameOf, and nothing of nothing.
func NameOf(id string) string {
	if id == "" {
		return ""
	}
	return deadletter.NameOf(id)
}

// when a record was written, as its writer says, or the log.
func when(r deadletter.Record, rec broker.Record) time.Time {
	if r.Kind == deadletter.Letter && !r.LastFailure.IsZero() {
		return r.LastFailure
	}
	return rec.Time
}

func cut(message string) string {
	message = deadletter.Masked(message)
	return strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
}
