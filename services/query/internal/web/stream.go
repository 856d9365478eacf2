package web

import (
	"fmt"
	"net/http"
	"time"
)

// maxStreams is how many pages can be live at once.
const maxStreams = 256

// patience is how long one write to a reader may take.
const patience = 5 * time.Second

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter) stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy must not collect
	return stream{w: w, control: http.NewResponseController(w)}
}

// send writes one event; data must be one line. It fails when the reader is gone.
func (s stream) send(name, data string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return err
	}
	return s.control.Flush()
}
