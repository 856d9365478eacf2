package participant

import "context"

// Participant runs a behaviour on one instance.
type Participant[S any] struct {
	b   Behavior[S]
	cfg Config
}

// New returns a participant; it opens nothing.
func New[S any](b Behavior[S], cfg Config) *Participant[S] { return &Participant[S]{b: b, cfg: cfg} }

// Run provisions the participant's topics, waits for those it hears, and takes part in its consumer group until ctx ends; then
// it leaves in order: no new work, finish, publish, commit. Outages are waited out. It returns an error only for what waiting
// cannot mend (a topic with the wrong number of partitions), of class Permanent.
func (p *Participant[S]) Run(ctx context.Context) error { panic("not built yet") }

// Ready returns nil when every task of this instance is taken over and no more than half of the lanes of any of them wait for
// something unavailable; otherwise it says why not. It does not block.
func (p *Participant[S]) Ready() error { panic("not built yet") }
