// Package workers runs jobs beside their caller: so many at once, the rest in order.
package workers

import "sync"

// Job is done on a worker. What it returns is called by the one who collects results.
type Job func() (result func())

// Pool is a number of goroutines that come with jobs and go when there are none. Its methods may be called by anybody.
type Pool struct {
	size  int
	start func(func()) // starts a goroutine
	done  func()       // tells that there are results

	mu      sync.Mutex
	jobs    []Job
	results []func()
	running int
}

// New returns a pool of at most size workers, each a goroutine begun by start. done is called after each job and must
// not block.
func New(size int, start func(func()), done func()) *Pool {
	return &Pool{size: size, start: start, done: done}
}

// Submit queues a job. It does not block.
func (p *Pool) Submit(j Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, j)
	if p.running < p.size {
		p.running++
		p.start(p.work)
	}
}

func (p *Pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.jobs) > 0 {
		j := p.jobs[0]
		p.jobs[0] = nil
		p.jobs = p.jobs[1:]
		p.mu.Unlock()
		result := j()
		p.mu.Lock()
		p.results = append(p.results, result)
		p.done()
	}
	p.running--
}

// Results takes away what is done.
func (p *Pool) Results() []func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.results
	p.results = nil
	return all
}
