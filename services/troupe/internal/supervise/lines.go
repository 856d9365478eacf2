package supervise

import "bytes"

// maxLine bounds a line of output; what is longer is cut into several.
const maxLine = 64 << 10

// lineWriter cuts a stream into lines. One goroutine at a time: exec copies output through one.
type lineWriter struct {
	emit func(line []byte)
	rest []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			w.rest = append(w.rest, b...)
			for len(w.rest) > maxLine {
				w.emit(w.rest[:maxLine])
				w.rest = append(w.rest[:0], w.rest[maxLine:]...)
			}
			break
		}
		w.rest = append(w.rest, b[:i]...)
		w.emit(bytes.TrimSuffix(w.rest, []byte{'\r'}))
		w.rest, b = w.rest[:0], b[i+1:]
	}
	return n, nil
}

// flush emits what the stream ended with when that was no whole line.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.emit(w.rest)
		w.rest = nil
	}
}
