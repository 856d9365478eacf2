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
)

// logs prints the lines of all processes in one shape: time, process, level, message, keys. Processes log JSON; what is not
// JSON (a panic, say) is printed as it came.
type logs struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	width  int // of the longest name of a process
	now    func() time.Time
}

const (
	reset = "\x1b[0m"
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
)

// palette of the process column, by what runs there.
var palette = map[string]string{
	"order": "\x1b[36m", "payment": "\x1b[32m", "notification": "\x1b[35m", "query": "\x1b[34m",
	"broker": "\x1b[33m", "redis": "\x1b[31m", "gateway": "\x1b[92m", "mailbox": "\x1b[95m",
}

var levelColours = map[string]string{"WARN": "\x1b[33m", "ERROR": "\x1b[31m", "DEBUG": dim}

func (l *logs) paint(colour, text string) string {
	if !l.colour || colour == "" {
		return text
	}
	return colour + text + reset
}

// line prints one line of a process.
func (l *logs) line(name string, raw []byte) {
	at, level, text, ok := parse(raw)
	if !ok {
		at, level, text = l.now(), "", strings.ToValidUTF8(string(raw), "�")
	}
	service, _, _ := strings.Cut(name, "-")
	l.print(fmt.Sprintf("%s %s %s %s\n", l.paint(dim, at.Local().Format("15:04:05.000")),
		l.paint(palette[service], fmt.Sprintf("%-*s", l.width, name)), l.paint(levelColours[level], fmt.Sprintf("%-5s", level)), text))
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
	return at, level, strings.ToValidUTF8(message, "�") + pairs.String(), ok
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
