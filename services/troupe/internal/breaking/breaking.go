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

	mu sync.Mutex
	on map[string]*Status
}

// newStage returns a stage where these can be broken.
func newStage(breaks []Break) *Stage {
	return &Stage{breaks: breaks, on: map[string]*Status{}}
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
	before := s.on[name]
	if before != nil && before.On && before.Option != option {
		if err := b.end(ctx); err != nil {
			return Status{}, err
		}
	}
	order, err := b.begin(ctx, option)
	if err != nil {
		return Status{}, err
	}
	if before != nil {
		before.On = false // its time does not count any more
	}
	is := &Status{Break: b, On: b.LastsS > 0, Option: option, Order: order}
	if is.On {
		s.mendIn(is, time.Duration(b.LastsS)*time.Second)
	}
	s.on[name] = is
	slog.InfoContext(ctx, "broken on request", "break", name, "option", option, "for_s", b.LastsS)
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
		if err := s.mend(ctx, is); err != nil {
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

// mend is called with the lock. It is tried again when it fails.
func (s *Stage) mend(ctx context.Context, is *Status) error {
	if err := is.end(ctx); err != nil {
		is.Error = err.Error()
		s.mendIn(is, retryAfter)
		slog.WarnContext(ctx, "not mended yet", "break", is.Name, "error", err)
		return err
	}
	is.On, is.EndsAt, is.Error = false, nil, ""
	slog.InfoContext(ctx, "mended", "break", is.Name)
	return nil
}

// mendIn mends it by itself, unless it is mended before, or to be mended at another time.
func (s *Stage) mendIn(is *Status, d time.Duration) {
	ends := time.Now().Add(d)
	is.EndsAt = &ends
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if is.On && is.EndsAt == &ends {
			_ = s.mend(context.Background(), is) // the status says why it failed
		}
	})
}

// Run waits until ctx ends, and mends everything, as far as that can be mended: it tries once.
func (s *Stage) Run(ctx context.Context) error {
	<-ctx.Done()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, is := range s.on {
		if !is.On {
			continue
		}
		is.On = false // there is no later time
		if err := is.end(within); err != nil {
			slog.WarnContext(ctx, "left broken", "break", is.Name, "error", err)
		}
	}
	return nil
}
