package letters

import (
	"cmp"
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Answer is a request and what is known of it.
type Answer struct {
	Chain Chain
	Asked Asked
	// Closed ends the answer; nil: the request waits.
	Closed *Told
	// Failed is the last failure that it led to.
	Failed *Told
}

// States of a request.
const (
	StateWaiting = "waiting"
	StateDone    = "done"
	StateFailed  = "failed"
	StateRefused = "refused"
)

// State is waiting until the request is closed; then failed when a letter failed again, refused when something else stopped it, and
// otherwise done.
func (a Answer) State() string {
	switch {
	case a.Closed == nil:
		return StateWaiting
	case a.Failed != nil:
		return StateFailed
	case a.Closed.Stopped:
		return StateRefused
	}
	return StateDone
}

// Why says where the reason lies that a request was not done.
func (a Answer) Why() []projection.At {
	t := cmp.Or(a.Failed, a.Closed)
	if t == nil {
		return nil
	}
	at := projection.At{Offset: t.At}
	at.Topic, at.Partition = deadletter.Topic(a.Chain.Participant), a.Chain.Partition
	return []projection.At{at}
}

// Answer returns what became of a request to this chain; ok is false when it is not known.
func (c Chain) Answer(request string) (a Answer, ok bool) {
	i := slices.IndexFunc(c.Asked, func(a Asked) bool { return a.ID == request })
	if i < 0 {
		return Answer{}, false
	}
	a = Answer{Chain: c, Asked: c.Asked[i]}
	for i, t := range c.Told {
		switch {
		case t.Request != request:
		case t.Kind == deadletter.Closed:
			a.Closed = &c.Told[i]
		case t.Kind == deadletter.Failed:
			a.Failed = &c.Told[i]
		}
	}
	return a, true
}

// Request returns a request by its id; ok is false when the read model does not know it. Errors are Unavailable.
func (m *Model) Request(ctx context.Context, id string) (Answer, bool, error) {
	var sets []*redis.StringSliceCmd
	_, err := m.Reader.Read(ctx, m.Every(), func(pipe projection.Pipes, keys projection.Keys) {
		sets = nil
		for _, p := range m.Every() {
			sets = append(sets, pipe(p).ZRange(ctx, keys(p, keyAsked+id), 0, 0))
		}
	})
	if err != nil {
		return Answer{}, false, err
	}
	for p, set := range sets {
		if len(set.Val()) == 0 {
			continue
		}
		found, err := m.Documents(ctx, []view.Cursor{{ID: set.Val()[0], Partition: p}})
		if err != nil {
			return Answer{}, false, err
		}
		a, ok := found[0].Doc.Answer(id)
		return a, ok, nil
	}
	return Answer{}, false, nil
}

// maxRounds bounds the look-ups for one page, when few entries pass the filter.
const maxRounds = 5

// Trail filters the audit trail; empty fields let everything pass.
type Trail struct {
	Participant string `json:"p,omitempty"`
	Order       string `json:"o,omitempty"`
}

// Log returns one page of the places where requests and what became of them lie, the newest first, and the token of the next
// page. Sizes and errors as those of Chains.
func (m *Model) Log(ctx context.Context, f Trail, size int, token string) (page []projection.At, next string, err error) {
	after, err := view.ParsePage(token, f)
	if err != nil {
		return nil, "", err
	}
	size = view.PageSize(size)
	for range maxRounds {
		refs, err := m.trail(ctx, f, after, size+1)
		if err != nil {
			return nil, "", err
		}
		for i, r := range refs {
			if len(page) == size {
				return page, view.EncodePage(*after, f), nil
			}
			after = &refs[i]
			if at, ok := parsePlace(r.ID); ok && (f.Participant == "" || ofParticipant(at.Topic) == f.Participant) {
				page = append(page, at)
			}
		}
		if len(refs) <= size {
			return page, "", nil
		}
	}
	return page, view.EncodePage(*after, f), nil
}

func ofParticipant(topic string) string {
	if i := slices.Index(Notes, topic); i >= 0 {
		return Participants[i/2]
	}
	return ""
}

// trail is the next n entries after a cursor.
func (m *Model) trail(ctx context.Context, f Trail, after *view.Cursor, n int) ([]view.Cursor, error) {
	w := view.List{Keys: []string{keyLog}}
	if f.Order == "" {
		return m.Places(ctx, w, after, n)
	}
	var all []view.Cursor
	chains, err := m.ofOrder(ctx, f.Order)
	for _, c := range chains {
		all = append(all, c.trail()...)
	}
	return pageOf(w, all, after, n), err
}

// Newest says where the last n entries about a chain lie in the audit trail, the newest first.
func (c Chain) Newest(n int) (places []projection.At) {
	for _, r := range pageOf(view.List{}, c.trail(), nil, n) {
		if at, ok := parsePlace(r.ID); ok {
			places = append(places, at)
		}
	}
	return places
}

// trail is what a chain adds to the audit trail.
func (c Chain) trail() (all []view.Cursor) {
	var s view.Share
	addTo(&s, c)
	for _, e := range s {
		if e.Key.Text == keyLog {
			all = append(all, view.Cursor{Score: e.N, ID: e.Name.Text, Partition: c.Partition})
		}
	}
	return all
}
