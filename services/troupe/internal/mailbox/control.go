package mailbox

import (
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

// Control is what the mailbox does wrong on purpose. Its zero value is a mailbox that works.
type Control struct {
	switches.Timed
	// Outage hangs up on whoever says hello, names a sender or a recipient or ends a mail, and stores nothing.
	Outage bool `json:"outage"`
	// DelayMS is how long each mail waits before it is stored, in milliseconds.
	DelayMS int `json:"delay_ms" max:"60000"`
	// RefusePercent of all recipients are refused for good (550), always the same ones.
	RefusePercent int `json:"refuse_percent" max:"100"`
	// DeferPercent of all recipients are put off (450) for as long as this lasts, always the same ones.
	DeferPercent int `json:"defer_percent" max:"100"`
}

func (c Control) delay() time.Duration { return time.Duration(c.DelayMS) * time.Millisecond }
