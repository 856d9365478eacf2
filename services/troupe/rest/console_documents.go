package rest

import (
	"encoding/json"
	"time"
)

// Groups is what waits, by participant, class and type of the heads, the largest first. Orders and Letters are over all.
type Groups struct {
	Groups  []Group         `json:"groups"`
	Orders  int64           `json:"orders"`
	Letters int64           `json:"letters"`
	Raw     json.RawMessage `json:"-"`
}

// Group of chains whose heads wait for the same reason. Message is that of the newest head.
type Group struct {
	Participant string    `json:"participant"`
	Class       string    `json:"class"`
	Type        string    `json:"type"`
	Orders      int64     `json:"orders"`
	Letters     int64     `json:"letters"`
	Oldest      time.Time `json:"oldest"`
	Newest      time.Time `json:"newest"`
	Message     string    `json:"message"`
}

// LetterPage is one page of the letters that wait.
type LetterPage struct {
	Letters   []Letter        `json:"letters"`
	NextToken string          `json:"next_page_token"`
	Raw       json.RawMessage `json:"-"`
}

// Letter is an event that waits. Position 1 is the head of its chain; Topic, Partition and Offset are the event's own.
type Letter struct {
	Participant  string    `json:"participant"`
	OrderID      string    `json:"order_id"`
	ID           string    `json:"letter_id"`
	Position     int       `json:"position"`
	Type         string    `json:"type"`
	Class        string    `json:"class"`
	Message      string    `json:"message"`
	Topic        string    `json:"topic"`
	Partition    int       `json:"partition"`
	Offset       int64     `json:"offset"`
	FirstFailure time.Time `json:"first_failure"`
	LastFailure  time.Time `json:"last_failure"`
	Redrives     int       `json:"redrives"`
	RetryAt      time.Time `json:"retry_at"` // zero: it waits for a person
	Behind       string    `json:"behind"`
}

// Chain is what waits of one order at one participant, the head first, and what was done about it, the newest first.
type Chain struct {
	Participant string          `json:"participant"`
	OrderID     string          `json:"order_id"`
	Partition   int             `json:"partition"`
	Waiting     int             `json:"waiting"`
	Letters     []ChainLetter   `json:"letters"`
	Outcomes    []LogEntry      `json:"outcomes"`
	Story       string          `json:"story"`
	NextToken   string          `json:"next_page_token"`
	Raw         json.RawMessage `json:"-"`
}

// ChainLetter is a letter with all there is of it. Payload is protobuf JSON, and absent when PayloadError says why.
type ChainLetter struct {
	Letter
	Headers      []Header        `json:"headers"`
	Payload      json.RawMessage `json:"payload"`
	PayloadError string          `json:"payload_error"`
	Bytes        []byte          `json:"raw"`
	Group        string          `json:"group"`
	Deliveries   int             `json:"deliveries"`
	Exception    string          `json:"exception"`
	LetterTopic  string          `json:"letter_topic"`
	LetterOffset int64           `json:"letter_offset"`
}

// Header of a record; Value is base64 when Base64 says so.
type Header struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Base64 bool   `json:"base64"`
}

// LogPage is one page of the audit trail.
type LogPage struct {
	Entries   []LogEntry      `json:"entries"`
	NextToken string          `json:"next_page_token"`
	Raw       json.RawMessage `json:"-"`
}

// LogEntry is a request (Kind request), what became of one letter by it (redriven, edited, discarded, failed), or its end (closed).
type LogEntry struct {
	Kind        string    `json:"kind"`
	At          time.Time `json:"at"`
	Participant string    `json:"participant"`
	OrderID     string    `json:"order_id"`
	RequestID   string    `json:"request_id"`
	LetterID    string    `json:"letter_id"`
	Action      string    `json:"action"`
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	Class       string    `json:"class"`
	Message     string    `json:"message"`
	Redrives    int       `json:"redrives"`
	Redriven    int       `json:"redriven"`
	Waiting     int       `json:"waiting"`
	Topic       string    `json:"topic"`
	Partition   int       `json:"partition"`
	Offset      int64     `json:"offset"`
}

// Act is the body of a redrive (By, Reason, Force), an edit (all of it) or a discard (By, Reason, LetterID).
type Act struct {
	By       string          `json:"by"`
	Reason   string          `json:"reason,omitempty"`
	LetterID string          `json:"letter_id,omitempty"`
	Payload  json.RawMessage `json:"payload,omitempty"`
	Force    bool            `json:"force,omitempty"`
}

// RequestState is what became of a request. State is waiting, done, failed (a letter failed again and waits on, with all behind it)
// or refused.
type RequestState struct {
	RequestID   string          `json:"request_id"`
	Participant string          `json:"participant"`
	OrderID     string          `json:"order_id"`
	Action      string          `json:"action"`
	State       string          `json:"state"`
	Redriven    int             `json:"redriven"`
	Waiting     int             `json:"waiting"`
	LetterID    string          `json:"letter_id"`
	Class       string          `json:"class"`
	Message     string          `json:"message"`
	Raw         json.RawMessage `json:"-"`
}

// Bulk is a redrive or discard of many chains. Rate is in orders a second, 0 the service's default of 50; Limit 0 is none. A
// discard knows no Force.
type Bulk struct {
	LetterFilter
	All    bool   `json:"all,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	Rate   int    `json:"rate,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Force  bool   `json:"force,omitempty"`
}

// DryRun is what a Bulk would do, with the heads counted by why they failed.
type DryRun struct {
	Orders     int64           `json:"orders"`
	Letters    int64           `json:"letters"`
	PassedOver int64           `json:"passed_over"`
	Reasons    []ReasonCount   `json:"reasons"`
	Raw        json.RawMessage `json:"-"`
}

// ReasonCount is how many heads failed for one reason.
type ReasonCount struct {
	Participant string `json:"participant"`
	Class       string `json:"class"`
	Type        string `json:"type"`
	Message     string `json:"message"`
	Orders      int64  `json:"orders"`
	Letters     int64  `json:"letters"`
}

// Job is a Bulk on its way. State is running, finished, cancelled or broken; the numbers are chains.
type Job struct {
	ID         string          `json:"id"`
	Action     string          `json:"action"`
	State      string          `json:"state"`
	Total      int64           `json:"total"`
	Done       int64           `json:"done"`
	Failed     int64           `json:"failed"`
	PassedOver int64           `json:"passed_over"`
	Waiting    int64           `json:"waiting"`
	Error      string          `json:"error"`
	Raw        json.RawMessage `json:"-"`
}
