package hold

import (
	"bufio"
	"net"
	"slices"
	"sync"
)

// Redis is a proxy in front of one Redis server. It speaks RESP2 and RESP3, pipelines included; not publish/subscribe.
type Redis struct {
	upstream string
	doors    *doors
	gate     gate[Command]
	clock    shiftedClock
}

// NewRedis returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewRedis(upstream string) *Redis {
	r := &Redis{upstream: upstream}
	r.doors = newDoors(r.serve)
	return r
}

// Addr is the address for one client, by whose name its commands are known.
func (r *Redis) Addr(client string) (string, error) { return r.doors.open(client) }

// Hold keeps back the next command that matches, and everything after it on the same connection. match must not block.
func (r *Redis) Hold(match func(Command) bool, when When) *Held { return r.gate.arm(match, when) }

// Close ends all connections and waits for them. What is held is dropped.
func (r *Redis) Close() { r.doors.close() }

func (r *Redis) serve(name string, client net.Conn) {
	server, done, err := r.doors.dial(r.upstream)
	if err != nil {
		return
	}
	defer done()
	s := &redisSession{r: r, name: name, client: client, server: server, over: make(chan struct{})}
	var answers sync.WaitGroup
	answers.Go(s.down)
	s.up()
	finish(server)
	answers.Wait()
}

type redisSession struct {
	r              *Redis
	name           string
	client, server net.Conn
	over           chan struct{} // closed when no answers come any more

	mu    sync.Mutex
	sent  int
	await []awaited // answers to keep back or to change, in order
}

type awaited struct {
	number int            // of the command, from 0
	trap   *trap[Command] // nil: a time, which is shifted
	cmd    Command
	passed chan struct{} // closed when its verdict is known
}

// up passes commands on.
func (s *redisSession) up() {
	in, out := bufio.NewReaderSize(s.client, 64<<10), bufio.NewWriterSize(s.server, 64<<10)
	var frame []byte
	for {
		var err error
		if frame, err = appendFrame(frame[:0], in); err != nil {
			return
		}
		var t *trap[Command]
		var cmd Command
		if !s.r.gate.idle() {
			cmd = Command{Client: s.name, Args: arguments(frame)}
			t = s.r.gate.catch(cmd)
		}
		if t != nil && t.when == Before {
			if out.Flush() != nil {
				s.r.gate.add(t)
				return
			}
			if !t.held.stay(cmd.hit(), s.r.doors.life.Done(), func() { _ = s.client.Close() }) {
				_, _ = s.client.Close(), s.server.Close()
				return
			}
			t = nil
		}
		passed := s.expect(t, cmd, asksTime(frame))
		_, err = out.Write(frame)
		if err == nil && (in.Buffered() == 0 || passed != nil) {
			err = out.Flush()
		}
		if err == nil && passed != nil { // what comes after it stands behind it
			select {
			case <-passed:
			case <-s.over:
			}
		}
		select {
		case <-s.over:
			s.rearm()
			return
		default:
		}
		if err != nil {
			return
		}
	}
}

// expect counts a command, and remembers whose answer is to be kept or changed.
func (s *redisSession) expect(t *trap[Command], cmd Command, time bool) (passed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil {
		passed = make(chan struct{})
	}
	if t != nil || time {
		s.await = append(s.await, awaited{s.sent, t, cmd, passed})
	}
	s.sent++
	return passed
}

// down passes answers on; a client that is gone does not keep it from reading them.
func (s *redisSession) down() {
	defer s.end()
	in, out := bufio.NewReaderSize(s.server, 64<<10), bufio.NewWriterSize(s.client, 64<<10)
	var frame []byte
	for number := 0; ; {
		var err error
		if frame, err = appendFrame(frame[:0], in); err != nil {
			return
		}
		push := frame[0] == '>'
		if !push {
			a, ok := s.take(number)
			switch {
			case ok && a.trap == nil:
				frame = s.r.clock.tell(s.name, frame)
			case ok:
				_ = out.Flush()
				if !s.keep(a, frame) {
					return
				}
			}
			number++
		}
		_, _ = out.Write(frame)
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}

// keep keeps an answer back; false: for ever. A command that was refused has not happened, so its hold waits for another.
func (s *redisSession) keep(a awaited, answer []byte) bool {
	defer close(a.passed)
	if !a.cmd.done(answer) {
		s.r.gate.add(a.trap)
		return true
	}
	if a.trap.held.stay(a.cmd.hit(), s.r.doors.life.Done(), func() { _ = s.client.Close() }) {
		return true
	}
	_, _ = s.client.Close(), s.server.Close()
	return false
}

func (s *redisSession) take(number int) (awaited, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.await) == 0 || s.await[0].number != number {
		return awaited{}, false
	}
	a := s.await[0]
	s.await = slices.Delete(s.await, 0, 1)
	return a, true
}

// end arms again what waited for answers that will not come, and cuts the client off: it may come again at once.
func (s *redisSession) end() {
	close(s.over)
	s.rearm()
	_ = s.client.Close()
}

func (s *redisSession) rearm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.await {
		if a.trap != nil {
			s.r.gate.add(a.trap)
		}
	}
	s.await = nil
}
