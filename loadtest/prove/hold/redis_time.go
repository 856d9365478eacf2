package hold

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// shiftedClock is what the proxy makes of the server's answers to TIME. Its zero value changes nothing.
type shiftedClock struct {
	mu   sync.Mutex
	by   time.Duration
	told map[string]bool // clients, since it was shifted
}

// ShiftTime makes the server's clock say a time that is so much later than it is, to whoever asks by TIME; 0: what it is.
func (r *Redis) ShiftTime(by time.Duration) {
	r.clock.mu.Lock()
	defer r.clock.mu.Unlock()
	r.clock.by, r.clock.told = by, map[string]bool{}
}

// ToldTime says whether a client was told the time since it was shifted.
func (r *Redis) ToldTime(client string) bool {
	r.clock.mu.Lock()
	defer r.clock.mu.Unlock()
	return r.clock.told[client]
}

// tell changes an answer to TIME: seconds and microseconds.
func (c *shiftedClock) tell(client string, answer []byte) []byte {
	args := arguments(answer)
	if len(args) != 2 {
		return answer // a refusal
	}
	seconds, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return answer
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told != nil {
		c.told[client] = true
	}
	args[0] = strconv.FormatInt(seconds+int64(c.by/time.Second), 10)
	return fmt.Appendf(answer[:0], "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(args[0]), args[0], len(args[1]), args[1])
}
