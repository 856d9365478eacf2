// Package breaking breaks one thing at a time in a running playground, from outside and for people who want to see what happens. It
// says what to watch, and mends everything by itself.
package breaking

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// retryAfter is when mending is tried again after it failed.
const retryAfter = time.Second

// Break is something that can be broken.
type Break struct {
	Name string `json:"name"`
	// Title is what its button does, Does what that means, and Watch what to look at.
	Title string `json:"title"`
	Does  string `json:"does"`
	Watch string `json:"watch"`
	// Options are the choices, the first by default; empty: there is none.
	Options []Option `json:"options,omitempty"`
	// LastsS is after how many seconds it is mended.
	LastsS int `json:"lasts_s"`

	// begin breaks, and returns the order that shows it, if there is one; end mends. Mending what is whole changes nothing. They are
	// called one at a time, of all breaks.
	begin func(ctx context.Context, option string) (order string, err error)
	end   func(ctx context.Context) error
}

// Option is one choice.
type Option struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Status is a Break as it is now.
type Status struct {
	Break
	// On says that it is broken, as Option, until EndsAt.
	On     bool       `json:"on"`
	Option string     `json:"option,omitempty"`
	EndsAt *time.Time `json:"ends_at,omitempty"`
	// Order is the id of the order that it made last.
	Order string `json:"order,omitempty"`
	// Error is why it cannot be mended yet.
	Error string `json:"error,omitempty"`
}

// Stage breaks and mends. Make it with New; Run must run.
type Stage struct {
	breaks []Break
	wake   chan struct{} // something is broken until another time

	mu sync.Mutex
	on map[string]*Status
}

// newStage returns a stage where these can be broken.
func newStage(breaks []Break) *Stage {
	return &Stage{breaks: breaks, wake: make(chan struct{}, 1), on: map[string]*Status{}}
}

// List returns everything that can be broken, always in the same order.
func (s *Stage) List() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, len(s.breaks))
	for i, b := range s.breaks {
		list[i] = Status{Break: b}
		if is := s.on[b.Name]; is != nil {
			list[i] = *is
		}
	}
	return list
}

// Begin breaks something for its time, from now on when it is broken already. An empty option is the first. NotFound and Invalid name
// what there is; other errors say why it could not be broken.
func (s *Stage) Begin(ctx context.Context, name, option string) (Status, error) {
	b, err := s.find(name)
	if err != nil {
		return Status{}, err
	}
	if option == "" && len(b.Options) > 0 {
		option = b.Options[0].Value
	}
	if known := func(o Option) bool { return o.Value == option }; option != "" && !slices.ContainsFunc(b.Options, known) {
		return Status{}, fault.Field("option", "must be one of %v, is %q", b.values(), option)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if is := s.on[name]; is != nil && is.On && is.Option != option {
		if err := b.end(ctx); err != nil {
			return Status{}, err
		}
	}
	order, err := b.begin(ctx, option)
	if err != nil {
		return Status{}, err
	}
	ends := time.Now().Add(time.Duration(b.LastsS) * time.Second)
	is := &Status{Break: b, On: b.LastsS > 0, Option: option, Order: order}
	if is.On {
		is.EndsAt = &ends
	}
	s.on[name] = is
	slog.InfoContext(ctx, "broken on request", "break", name, "option", option, "for_s", b.LastsS)
	s.poke()
	return *is, nil
}

// End mends something now. It is mended later when that fails.
func (s *Stage) End(ctx context.Context, name string) (Status, error) {
	b, err := s.find(name)
	if err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if is := s.on[name]; is != nil && is.On {
		err := s.mend(ctx, is)
		s.poke() // it ends at another time
		if err != nil {
			return Status{}, err
		}
		return *is, nil
	}
	return Status{Break: b}, nil
}

func (s *Stage) find(name string) (Break, error) {
	names := make([]string, len(s.breaks))
	for i, b := range s.breaks {
		if names[i] = b.Name; b.Name == name {
			return b, nil
		}
	}
	return Break{}, fault.New(fault.NotFound, "nothing called %q can be broken; there are %v", name, names)
}

func (b Break) values() []string {
	values := make([]string, len(b.Options))
	for i, o := range b.Options {
		values[i] = o.Value
	}
	return values
}

// mend is called with the lock.
func (s *Stage) mend(ctx context.Context, is *Status) error {
	if err := is.end(ctx); err != nil {
		again := time.Now().Add(retryAfter)
		is.Error, is.EndsAt = err.Error(), &again
		slog.WarnContext(ctx, "not mended yet", "break", is.Name, "error", err)
		return err
	}
	is.On, is.EndsAt, is.Error = false, nil, ""
	slog.InfoContext(ctx, "mended", "break", is.Name)
	return nil
}

func (s *Stage) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run mends what has been broken for long enough, until ctx ends; then it mends everything.
func (s *Stage) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		var due <-chan time.Time
		if next, some := s.due(ctx, time.Now()); some {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-due:
		}
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	s.due(within, time.Now().Add(time.Hour))
	return nil
}

// due mends what ends by now, and returns when the next ends.
func (s *Stage) due(ctx context.Context, now time.Time) (next time.Time, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, is := range s.on {
		if is.On && !is.EndsAt.After(now) {
			_ = s.mend(ctx, is) // it is tried again, and the status says why
		}
		if is.On && (!some || is.EndsAt.Before(next)) {
			next, some = *is.EndsAt, true
		}
	}
	return next, some
}
