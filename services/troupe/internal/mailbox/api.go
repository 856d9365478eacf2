package mailbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// api reads the mailbox for programs.
type api struct{ store *store }

// List is the answer of GET /api/messages.
type List struct {
	// Total is how many mails match, on this page and others.
	Total int `json:"total"`
	// Messages of this page, oldest first.
	Messages []Message `json:"messages"`
	// NextAfter is the after of the next page; 0: there is none.
	NextAfter int64 `json:"next_after,omitempty"`
}

// Mail is the answer of GET /api/messages/{id}. Headers are as they came; Text and HTML are decoded.
type Mail struct {
	Message
	Headers map[string][]string `json:"headers"`
	Text    string              `json:"text"`
	HTML    string              `json:"html"`
	// Unreadable says what of the mail could not be decoded; empty when all could.
	Unreadable string `json:"unreadable,omitempty"`
}

// Sizes of a page of the API.
const (
	defaultLimit = 1000
	maxLimit     = 10_000
)

func (a api) routes(r chi.Router) {
	r.Get("/api/messages", a.list)
	r.Get("/api/messages/{id}", a.read)
	r.Get("/api/messages/{id}/raw", a.raw)
}

func (a api) list(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	writeJSON(w, f.list(a.store.all()))
}

func (a api) read(w http.ResponseWriter, r *http.Request) {
	m, raw, err := a.find(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	writeJSON(w, decode(m, raw))
}

func (a api) raw(w http.ResponseWriter, r *http.Request) {
	_, raw, err := a.find(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	harmless(w)
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", "attachment")
	_, _ = w.Write(raw) // the reader is gone; nobody to tell
}

func (a api) find(r *http.Request) (Message, []byte, error) {
	id, err := strconv.ParseInt(httpdoor.Param(r, "id"), 10, 64)
	if err != nil {
		return Message{}, nil, fault.Field("id", "must be the number of a mail")
	}
	return a.store.get(id)
}

// filter picks mails.
type filter struct {
	to, messageID string
	since         time.Time
	after         int64
	limit         int
}

// readFilter reads the query: to (a recipient, letters' case aside), message_id (with or without angle brackets), since (RFC 3339),
// after (an id), limit.
func readFilter(q url.Values) (filter, error) {
	f := filter{limit: defaultLimit}
	for name, values := range q {
		if len(values) != 1 {
			return f, fault.Field(name, "must be given once")
		}
		v := values[0]
		var err error
		switch name {
		case "to":
			f.to = v
		case "message_id":
			f.messageID = strings.Trim(v, "<>")
		case "since":
			if f.since, err = time.Parse(time.RFC3339Nano, v); err != nil {
				return f, fault.Field(name, "must be a time in RFC 3339, such as 2026-01-02T15:04:05Z")
			}
		case "after":
			if f.after, err = strconv.ParseInt(v, 10, 64); err != nil || f.after < 0 {
				return f, fault.Field(name, "must be the number of a mail")
			}
		case "limit":
			if f.limit, err = strconv.Atoi(v); err != nil || f.limit < 1 || f.limit > maxLimit {
				return f, fault.Field(name, "must be 1 to %d", maxLimit)
			}
		default:
			return f, fault.Field(name, "is not a parameter; there are to, message_id, since, after and limit")
		}
	}
	return f, nil
}

func (f filter) matches(m Message) bool {
	return (f.messageID == "" || m.MessageID == f.messageID) && !m.Received.Before(f.since) &&
		(f.to == "" || slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, f.to) }))
}

func (f filter) list(all []Message) List {
	l := List{Messages: []Message{}}
	for _, m := range all {
		if !f.matches(m) {
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
