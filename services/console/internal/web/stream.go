package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxStreams is how many browsers can be live at once, and maxOfOne how many of one client.
const (
	maxStreams = 256
	maxOfOne   = 64
)

// patience is how long one write to a reader may take.
const patience = 5 * time.Second

// stream writes server-sent events.
type stream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy must not collect
	w.WriteHeader(http.StatusOK)     // HEAD ends here
	return &stream{w: w, control: http.NewResponseController(w)}
}

// sendJSON is send of a document.
func (s *stream) sendJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(name, string(data))
}

// send writes one event; data must be one line. It fails when the reader is gone.
func (s *stream) send(name, data string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return err
	}
	return s.control.Flush()
}
