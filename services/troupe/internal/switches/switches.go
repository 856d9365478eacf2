// Package switches makes a simulator misbehave on purpose. What is wrong with it is one JSON object at /control: GET reads
// it, PUT replaces all of it, DELETE ends it; so do its own time, when it has one, and the end of the process.
package switches

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// maxBody bounds a PUT, in bytes.
const maxBody = 4 << 10

// Timed is embedded in what can be wrong.
type Timed struct {
	// ResetAfterS is after how many seconds all of it ends by itself; 0: it does not.
	ResetAfterS int `json:"reset_after_s" max:"86400"`
}

func (t Timed) lasts() time.Duration { return time.Duration(t.ResetAfterS) * time.Second }

// Settings are what can be wrong: a struct that embeds Timed. Its zero value is good behaviour. Its fields are booleans and
// whole numbers, which have a tag json with their name and a tag max with the most that they may be; the least is 0.
type Settings interface{ lasts() time.Duration }

// Switches hold what is wrong at the moment. Make them with New.
type Switches[S Settings] struct {
	now func() time.Time

	mu   sync.Mutex
	set  S
	ends time.Time // zero: not by itself
}

// New returns switches that are all off, and the clock that they go by.
func New[S Settings](now func() time.Time) *Switches[S] { return &Switches[S]{now: now} }

// Now returns what is wrong now.
func (s *Switches[S]) Now() S {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ends.IsZero() && !s.now().Before(s.ends) {
		s.set, s.ends = *new(S), time.Time{}
	}
	return s.set
}

// Set replaces all of it.
func (s *Switches[S]) Set(settings S) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.ends = settings, time.Time{}
	if d := settings.lasts(); d > 0 {
		s.ends = s.now().Add(d)
	}
}

// Update changes it, and nothing of when it ends.
func (s *Switches[S]) Update(change func(*S)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.set)
}

// Routes adds GET, PUT and DELETE /control.
func (s *Switches[S]) Routes(r chi.Router) {
	show := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(s.Now()) // the caller is gone; nobody to tell
	}
	r.Get("/control", show)
	r.Put("/control", func(w http.ResponseWriter, r *http.Request) {
		var settings S
		if err := read(http.MaxBytesReader(w, r.Body, maxBody), reflect.ValueOf(&settings).Elem()); err != nil {
			problem.Write(w, r, err)
			return
		}
		s.Set(settings)
		show(w, r)
	})
	r.Delete("/control", func(w http.ResponseWriter, r *http.Request) {
		s.Set(*new(S))
		show(w, r)
	})
}

// read fills settings from a JSON object. The error names every field at fault.
func read(body io.Reader, settings reflect.Value) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil || given == nil {
		return fault.New(fault.Invalid, "the body must be one JSON object")
	}
	var wrong []error
	for _, f := range reflect.VisibleFields(settings.Type()) {
		name := f.Tag.Get("json")
		if value, ok := given[name]; ok && !f.Anonymous {
			wrong = append(wrong, fill(settings.FieldByIndex(f.Index), value, f.Tag))
			delete(given, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		wrong = append(wrong, fault.Field("/"+name, "is not known here"))
	}
	return errors.Join(wrong...)
}

// fill sets one field. The error names it.
func fill(field reflect.Value, value []byte, tag reflect.StructTag) error {
	name := "/" + tag.Get("json")
	err := json.Unmarshal(value, field.Addr().Interface())
	if !field.CanInt() {
		return fault.FieldIf(err != nil, name, "must be true or false")
	}
	most, _ := strconv.ParseInt(tag.Get("max"), 10, 64) // every number has one
	return fault.FieldIf(err != nil || field.Int() < 0 || field.Int() > most, name, "must be a whole number from 0 to %d", most)
}

// Chosen says whether a text is one of so many of a hundred: always the same ones.
func Chosen(text string, percent int) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // a hash never fails
	return int(h.Sum32()%100) < percent
}
