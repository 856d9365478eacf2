package contract

import (
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// maxWait is the longest that a request may ask to wait, in seconds.
const maxWait = 30

// Wait reads the header Prefer (RFC 7240): of all preferences, only wait is known here, 0 to 30 seconds; otherwise is
// for a request that has none.
func Wait(prefer string, otherwise time.Duration) (time.Duration, error) {
	for p := range strings.SplitSeq(prefer, ",") {
		p, _, _ = strings.Cut(p, ";")
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
		if err != nil || n < 0 || n > maxWait {
			return 0, fault.Field("Prefer", "wait must be a number of seconds from 0 to %d", maxWait)
		}
		return time.Duration(n) * time.Second, nil // the first of its name counts
	}
	return otherwise, nil
}
