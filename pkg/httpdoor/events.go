package httpdoor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Events is an answer of server-sent events. It may be used by many goroutines at once.
type Events struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// NewEvents begins the answer; that to HEAD ends there. A write that takes longer than patience is the last.
func NewEvents(w http.ResponseWriter, patience time.Duration) *Events {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy must not collect
	w.WriteHeader(http.StatusOK)
	return &Events{w: w, control: http.NewResponseController(w), patience: patience}
}

// Comment sends what shows a reader's proxy that a quiet stream is alive: one line. The error says that the reader is
// gone.
func (s *Events) Comment(text string) error { return s.write([]byte(": " + text + "\n\n")) }

// Send sends data as JSON, under the name of an event and with an id (empty: none), which a reader that comes back
// gives as the last that it has. The error says that the reader is gone, or that data cannot be JSON.
func (s *Events) Send(name, id string, data any) error {
	text, err := json.Marshal(data) // one line: JSON has no raw line breaks
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", text)
	return s.write(b.Bytes())
}

func (s *Events) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.control.SetWriteDeadline(time.Now().Add(s.patience))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}
