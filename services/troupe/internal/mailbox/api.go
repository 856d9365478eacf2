package mailbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// List is the answer of GET /api/messages.
type List struct {
	// Total is how many mails match, on this page and others.
	Total int `json:"total"`
	// Messages of this page, oldest first.
	Messages []Message `json:"messages"`
	// NextAfter is the after of the next page; 0: there is none.
	NextAfter int64 `json:"next_after,omitempty"`
}

// Sizes of a page of the API.
const (
	defaultLimit = 1000
	maxLimit     = 10_000
)

// list reads the mailbox for programs.
func (p web) list(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	writeJSON(w, f.list(p.store.all()))
}

// filter picks mails.
type filter struct {
	messageID string
	after     int64
	limit     int
}

// readFilter reads the query: message_id (with or without angle brackets), after (an id), limit.
func readFilter(q url.Values) (filter, error) {
	f := filter{limit: defaultLimit}
	for name, values := range q {
		if len(values) != 1 {
			return f, fault.Field(name, "must be given once")
		}
		v := values[0]
		var err error
		switch name {
		case "message_id":
			f.messageID = strings.Trim(v, "<>")
		case "after":
			if f.after, err = strconv.ParseInt(v, 10, 64); err != nil || f.after < 0 {
				return f, fault.Field(name, "must be the number of a mail")
			}
		case "limit":
			if f.limit, err = strconv.Atoi(v); err != nil || f.limit < 1 || f.limit > maxLimit {
				return f, fault.Field(name, "must be 1 to %d", maxLimit)
			}
		default:
			return f, fault.Field(name, "is not a parameter; there are message_id, after and limit")
		}
	}
	return f, nil
}

func (f filter) list(all []Message) List {
	l := List{Messages: []Message{}}
	for _, m := range all {
		if f.messageID != "" && f.messageID != m.MessageID {
			continue
		}
		l.Total++
		switch {
		case m.ID <= f.after:
		case len(l.Messages) < f.limit:
			l.Messages = append(l.Messages, m)
		default:
			l.NextAfter = l.Messages[f.limit-1].ID
		}
	}
	return l
}

func writeJSON(w http.ResponseWriter, v any) {
	harmless(w)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the reader is gone; nobody to tell
}

// harmless keeps a browser from making anything of what strangers wrote.
func harmless(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}
