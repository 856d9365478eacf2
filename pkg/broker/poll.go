package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	defaultMaxBytes = 1 << 20
	maxAnswerBytes  = 64 << 20 // of one leader's answer, whatever the positions add up to
)

// poll is one fetch request to one leader. It may outlive the call that sent it.
type poll struct {
	leader    int32
	positions []Position // sorted
	first     int        // which of them the request begins with
	wait      time.Duration
	heard     chan<- *poll // who hears of its answer, with room for it; nil: nobody. Under Client.mu
	result    []Fetched    // one per position; set before heard
}

// ask sends a fetch request and lets heard know when it is answered, whatever the answer.
func (c *Client) ask(leader int32, positions []Position, wait time.Duration, heard chan<- *poll) *poll {
	p := &poll{leader: leader, positions: positions, wait: wait, heard: heard}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start(p)
	return p
}

// start runs a poll; the caller holds mu. After Close it is answered at once.
func (c *Client) start(p *poll) {
	if c.closed {
		p.result = p.failed(fault.New(fault.Unavailable, "the client is closed"))
		p.heard <- p
		return
	}
	c.polls.Go(func() {
		p.result = c.poll(p)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bells[p.leader] = slices.DeleteFunc(c.bells[p.leader], func(b *poll) bool { return b == p })
		if p.heard != nil {
			p.heard <- p
		}
	})
}

// listen finds a long poll with these positions that nobody listens to any more, or sends one. They are few: each is
// answered within MaxWait, and one is left behind only when another leader brought records or other logs are asked for.
func (c *Client) listen(leader int32, positions []Position, heard chan<- *poll) *poll {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.bells[leader] {
		if b.heard == nil && slices.Equal(b.positions, positions) {
			b.heard = heard
			return b
		}
	}
	b := &poll{leader: leader, positions: positions, wait: c.cfg.MaxWait, heard: heard}
	c.bells[leader] = append(c.bells[leader], b)
	c.start(b)
	return b
}

func (c *Client) leave(bells []*poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bells {
		b.heard = nil
	}
}

func (p *poll) failed(err error) []Fetched {
	result := make([]Fetched, len(p.positions))
	for i, from := range p.positions {
		result[i] = Fetched{TopicPartition: from.TopicPartition, Next: from.Offset, Err: err}
	}
	return result
}

func (c *Client) poll(p *poll) []Fetched {
	ctx, cancel := context.WithTimeout(c.life, p.wait+answerWithin)
	defer cancel()
	r, err := c.roundTrip(ctx, brokerName(p.leader), &exchange{api: protocol.Fetch, version: fetchVersion, leader: p.leader,
		request: c.fetchRequest(p), answer: &polled{client: c, poll: p, fetchAnswer: fetchAnswers.Get().(*fetchAnswer)}})
	if err != nil {
		return p.failed(err)
	}
	a := r.(*polled)
	defer a.free()
	if err := code("fetch", a.code, ""); err != nil {
		return p.failed(err)
	}
	for i, from := range p.positions {
		if a.result[i].Topic == "" {
			a.result[i] = Fetched{TopicPartition: from.TopicPartition, Next: from.Offset,
				Err: fault.New(fault.Unavailable, "%s/%d is missing in the answer of its leader", from.Topic, from.Partition)}
		}
	}
	c.bounds(ctx, a.result)
	return a.result
}

// polled is the answer to a poll. Its records are taken out as it is read, on the goroutine of the connection, which stays: the stack of
// the poll's own would have to grow for it each time.
type polled struct {
	*fetchAnswer
	client *Client
	poll   *poll
	result []Fetched // one per position, empty where the answer is silent
}

func (a *polled) read() error {
	if err := a.fetchAnswer.read(); err != nil {
		return err
	}
	a.result = make([]Fetched, len(a.poll.positions))
	taken := 0
	for i, l := range a.logs {
		if place, asked := a.poll.place(l.TopicPartition, i); asked {
			a.result[place] = a.client.fetched(a.poll.positions[place], l, &taken)
		}
	}
	return nil
}

// place finds a log among the positions. Brokers answer in the order of the request: it is the one that was asked for at a turn.
func (p *poll) place(tp TopicPartition, turn int) (int, bool) {
	if i := (p.first + turn) % len(p.positions); p.positions[i].TopicPartition == tp {
		return i, true
	}
	return slices.BinarySearchFunc(p.positions, tp, func(p Position, tp TopicPartition) int { return compareLogs(p.TopicPartition, tp) })
}

// fetched is what an answer says of one log; taken is what its records take in memory so far.
func (c *Client) fetched(from Position, l logAnswer, taken *int) Fetched {
	f := Fetched{TopicPartition: from.TopicPartition, Next: from.Offset}
	switch {
	case kafka.Error(l.code) == kafka.OffsetOutOfRange:
		f.Err = ErrOutOfRange
	case l.code != 0:
		if moved(l.code) {
			c.refresh()
		}
		f.Err = code("fetch", l.code, "")
	default:
		f.Start, f.End = l.start, l.end
		f.Records, f.Next, f.Err = decode(from, l, taken)
	}
	return f
}

// bounds fills in where the logs begin and end whose offset is out of range: the answer does not say it.
func (c *Client) bounds(ctx context.Context, result []Fetched) {
	var logs []TopicPartition
	for _, f := range result {
		if errors.Is(f.Err, ErrOutOfRange) {
			logs = append(logs, f.TopicPartition)
		}
	}
	if len(logs) == 0 {
		return
	}
	starts, err := c.Starts(ctx, logs)
	ends, eerr := c.Ends(ctx, logs)
	for i, f := range result {
		switch {
		case !errors.Is(f.Err, ErrOutOfRange):
		case err != nil || eerr != nil:
			result[i].Err = errors.Join(err, eerr)
		case f.Next >= starts[f.TopicPartition] && f.Next <= ends[f.TopicPartition]: // it was appended to since
			result[i].Err = fault.New(fault.Unavailable, "%s/%d: %w for a moment", f.Topic, f.Partition, kafka.OffsetNotAvailable)
		default:
			result[i].Start, result[i].End = starts[f.TopicPartition], ends[f.TopicPartition]
		}
	}
}
