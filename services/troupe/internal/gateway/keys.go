package gateway

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
)

const maxKey = 255

// operation is a request that changes something.
type operation struct {
	quirks quirks
	// execute runs under the lock. Its error means that nothing was begun: such an answer is not remembered. An answer that is
	// an error and is remembered is in the entry.
	execute func(now time.Time) (entry, *apiError)
}

// identify wants a key, as Stripe does, and refuses one that moves real money.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", newID("req"))
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			key, _, _ = r.BasicAuth()
		}
		if !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "rk_test_") {
			fail(w, &apiError{Status: http.StatusUnauthorized, Type: typeInvalid,
				Message: "Give a test API key, one that begins with sk_test_, as a Bearer token. This is a simulator: never give it a live key."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit plays an outage.
func (s *Simulator) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.control.Now().outAt(s.now()) {
			fail(w, unavailable("The simulator plays an outage."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// post answers a POST, with its parameters and the id in its path, by what prepare says is to be done: once per idempotency key,
// and not before the ledger on disk knows it.
func (s *Simulator) post(prepare func(p *params, id string) (*operation, *apiError), allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, e := readParams(w, r, allowed...)
		var op *operation
		if e == nil {
			op, e = prepare(p, httpdoor.Param(r, "id"))
			e = cmp.Or(p.wrong, e)
		}
		key := r.Header.Get("Idempotency-Key")
		if e == nil && len(key) > maxKey {
			e = invalid("", "", "An idempotency key can have up to 255 characters.")
		}
		if e != nil {
			fail(w, e)
			return
		}
		w.Header().Set("Idempotency-Key", key)
		done, replayed, e := s.once(r, key, fingerprint(r, p), op)
		if e == nil && s.ledger.Wait(done.number) != nil {
			e = unwritable()
		}
		if e != nil {
			fail(w, e)
			return
		}
		if !replayed && (op.quirks.silent > 0 || op.quirks.drop || s.control.Now().loses()) {
			pause(r, op.quirks.silent, r.Context().Done())
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		if replayed {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		done.write(w)
	}
}

// once executes an operation, or returns the entry with the first answer to its key.
func (s *Simulator) once(r *http.Request, key, print string, op *operation) (done *entry, replayed bool, e *apiError) {
	s.mu.Lock()
	if key != "" {
		switch first := s.book.answer(key, s.now()); {
		case s.running[key]:
			s.mu.Unlock()
			return nil, false, &apiError{Status: http.StatusConflict, Type: typeIdempotency, Code: "idempotency_key_in_use",
				Message: "There is currently another in-progress request using this Idempotent Key: " + key + ". Please try again later."}
		case first != nil && first.Answer.Print != print:
			s.mu.Unlock()
			return nil, false, &apiError{Status: http.StatusBadRequest, Type: typeIdempotency,
				Message: "Keys for idempotent requests can only be used with the same endpoint and parameters they were first used with."}
		case first != nil:
			s.mu.Unlock()
			return first, true, nil
		}
		s.running[key] = true
	}
	delay := op.quirks.slow + s.control.Now().delay()
	s.mu.Unlock()
	finished := pause(r, delay, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, key)
	if !finished {
		return nil, false, unavailable("The simulator stops.")
	}
	if op.quirks.outage {
		return nil, false, unavailable("The simulator plays an outage for this payment method.")
	}
	return s.enter(key, print, op)
}

// enter executes an operation and writes its entry, with the answer when that is remembered for a key.
func (s *Simulator) enter(key, print string, op *operation) (*entry, bool, *apiError) {
	now := s.now()
	done, e := op.execute(now)
	if e != nil {
		return nil, false, e
	}
	done.At = now
	if done.Answer == nil {
		done.Answer = &answer{}
	}
	done.Answer.Key, done.Answer.Print = key, print
	written := done
	if key == "" {
		written.Answer = nil
	}
	if written == (entry{At: done.At}) { // refused without a key: nothing to remember
		done.number = s.ledger.Last()
		return &done, false, nil
	}
	number, err := s.ledger.Add(written)
	if err != nil {
		slog.Error("ledger: entry cannot be encoded", "error", err)
		return nil, false, unwritable()
	}
	done.number, written.number = number, number
	s.book.apply(written)
	return &done, false, nil
}

// pause waits, and reports false when the server stops meanwhile, or enough is closed. Where that is nil it goes on when
// the caller has gone: what is on the wire arrives.
func pause(r *http.Request, d time.Duration, enough <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-lifecycle.Draining(r.Context()):
	case <-enough:
	}
	return false
}

// write answers with what was done.
func (e *entry) write(w http.ResponseWriter) {
	switch {
	case e.Answer.Error != nil:
		wrong := *e.Answer.Error
		if e.Intent != nil {
			wrong.Intent = e.Intent.view()
		}
		fail(w, &wrong)
	case e.Refund != nil:
		reply(w, http.StatusOK, e.Refund.view(e.At))
	default:
		reply(w, http.StatusOK, e.Intent.view())
	}
}

// newID makes an id with Stripe's kind of prefix; 120 random bits.
func newID(prefix string) string { return prefix + "_" + rand.Text()[:24] }
