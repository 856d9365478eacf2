// Package workers runs jobs beside their caller: so many at once, the rest in order. Results wait to be collected.
package workers

import "sync"

// Pool is a number of goroutines that come with jobs and go when there are none. Its methods may be called by anybody.
type Pool[Job, Result any] struct {
	size  int
	do    func(Job) Result
	start func(func()) // starts a goroutine
	done  func()       // tells that there are results

	mu      sync.Mutex
	jobs    []Job
	results []Result
	running int
	coming  bool // a worker was started, and has not begun
}

// New returns a pool of at most size workers, each a goroutine begun by start. do does a job; done is called after each
// and must not block.
func New[Job, Result any](size int, start func(func()), done func(), do func(Job) Result) *Pool[Job, Result] {
	return &Pool[Job, Result]{size: size, start: start, done: done, do: do}
}

// Submit queues a job. It does not block.
func (p *Pool[Job, Result]) Submit(j Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, j)
	p.startWorker()
}

// startWorker starts one goroutine if jobs are queued, fewer than size run, and none is about to begin. Each that
// begins starts the next: where jobs do not wait for anything, the first worker has done them before a second begins,
// and where they wait there are soon as many workers as may be.
func (p *Pool[Job, Result]) startWorker() {
	if p.coming || p.running == p.size || len(p.jobs) == 0 {
		return
	}
	p.running++
	p.coming = true
	p.start(p.work)
}

func (p *Pool[Job, Result]) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming = false
	for len(p.jobs) > 0 {
		j := p.jobs[0]
		clear(p.jobs[:1])
		p.jobs = p.jobs[1:]
		p.startWorker()
		p.mu.Unlock()
		r := p.do(j)
		p.mu.Lock()
		p.results = append(p.results, r)
		p.done()
	}
	p.running--
}

// Results takes away what is done.
func (p *Pool[Job, Result]) Results() []Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.results
	p.results = nil
	return all
}
