package play

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
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

// parse reads a line of slog's JSON handler.
func parse(raw []byte) (at time.Time, level, text string, ok bool) {
	var line struct {
		Time       time.Time
		Level, Msg string
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &line) != nil || json.Unmarshal(raw, &keys) != nil || line.Time.IsZero() {
		return at, "", "", false
	}
	for _, shown := range []string{"time", "level", "msg", "service"} { // in columns of their own
		delete(keys, shown)
	}
	text = line.Msg
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value := string(keys[key])
		if value[0] == '{' {
			value = "{…}"
		}
		text += " " + key + "=" + value
	}
	return line.Time, line.Level, terminal.Clean(text), true
}
