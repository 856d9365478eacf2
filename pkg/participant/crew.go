package participant

import (
	"sync"

	"google.golang.org/protobuf/proto"
)

// crew puts events to React beside the cycle: so many at once, the rest in order. What it brings back waits to be collected.
type crew struct {
	size int
	ask  func(question) answer
	run  func(func()) // starts a goroutine
	news func()       // tells that there is something to collect

	mu       sync.Mutex
	waiting  []question
	answered []answer
	workers  int
	coming   bool // a worker was started, and has not begun
}

// question is one event for React.
type question struct {
	t     *partition
	o     *order
	d     *delivery
	state any           // of the order, when it was asked
	body  proto.Message // of the event; nil: it has none, or is local
}

func newCrew(size int, run func(func()), news func(), ask func(question) answer) *crew {
	return &crew{size: size, ask: ask, run: run, news: news}
}

// do takes in a question. It does not block.
func (c *crew) do(q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, q)
	c.call()
}

// call starts a worker if questions wait, fewer than size run and none is about to begin. Each that begins calls the next: while
// React does not wait for anything, the first has done the work before a second begins, and where it waits there are soon as many
// as may be.
func (c *crew) call() {
	if c.coming || c.workers == c.size || len(c.waiting) == 0 {
		return
	}
	c.workers++
	c.coming = true
	c.run(c.work)
}

func (c *crew) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coming = false
	for len(c.waiting) > 0 {
		q := c.waiting[0]
		c.waiting[0] = question{}
		c.waiting = c.waiting[1:]
		c.call()
		c.mu.Unlock()
		a := c.ask(q)
		c.mu.Lock()
		c.answered = append(c.answered, a)
		c.news()
	}
	c.workers--
}

// collect takes away what is answered.
func (c *crew) collect() []answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.answered
	c.answered = nil
	return all
}
