package play

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// logs prints the lines of all processes in one shape: time, process, level, message, keys. Processes log JSON; what is not
// JSON (a panic, say) is printed as it came.
type logs struct {
	mu    sync.Mutex
	out   io.Writer
	style terminal.Style
	width int // of the longest name of a process
	now   func() time.Time
}

var levelColours = map[string]terminal.Colour{"WARN": terminal.Yellow, "ERROR": terminal.Red, "DEBUG": terminal.Dim}

// line prints one line of a process.
func (l *logs) line(name string, raw []byte) {
	at, level, text, ok := parse(raw)
	if !ok {
		at, level, text = l.now(), "", terminal.Clean(string(raw))
	}
	service, _, _ := strings.Cut(name, "-")
	l.print(fmt.Sprintf("%s %s %s %s\n", l.style.Paint(terminal.Dim, at.Local().Format("15:04:05.000")),
		l.style.Paint(terminal.Of[service], fmt.Sprintf("%-*s", l.width, name)),
		l.style.Paint(levelColours[level], fmt.Sprintf("%-5s", level)), text))
}

func (l *logs) print(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.out, text) // a closed terminal must not stop the troupe
}

// Write takes the playground's own lines, one per call, as slog's handlers write them.
func (l *logs) Write(b []byte) (int, error) {
	l.line("play", bytes.TrimSuffix(b, []byte{'\n'}))
	return len(b), nil
}

// parse reads a line of slog's JSON handler, keys in their order.
func parse(raw []byte) (at time.Time, level, text string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return at, "", "", false
	}
	var message string
	var pairs strings.Builder
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return at, "", "", false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return at, "", "", false
		}
		switch key {
		case "time":
			ok = json.Unmarshal(value, &at) == nil
		case "level":
			_ = json.Unmarshal(value, &level)
		case "msg":
			_ = json.Unmarshal(value, &message)
		case "service": // the column says it
		default:
			fmt.Fprintf(&pairs, " %s=%s", key, plain(value))
		}
	}
	return at, level, terminal.Clean(message + pairs.String()), ok
}

// plain is a JSON value as people like to read it: strings without quotes where that is clear, the inside of objects left out.
func plain(value json.RawMessage) string {
	switch value[0] {
	case '"':
		var s string
		if json.Unmarshal(value, &s) != nil {
			return string(value)
		}
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r) }) {
			return strconv.Quote(s)
		}
		return s
	case '{':
		return "{…}"
	}
	return string(value)
}
