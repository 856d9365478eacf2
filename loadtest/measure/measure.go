// Package measure has what the commands that measure do alike.
package measure

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/wait"
)

// Times that something took, sorted.
type Times []time.Duration

// At is the time within which a share of them was over: .5 is the median.
func (t Times) At(share float64) time.Duration { return t[int(share*float64(len(t)-1))] }

// OpenLoop does something n times at a rate, each time when it is due, however long those before take, and returns how
// long after that each was done. An error is the first of them; all have ended then.
func OpenLoop(ctx context.Context, n int, perSecond float64, do func(n int) error) (Times, error) {
	took, errs := make(Times, n), make([]error, n)
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		if errs[i] = wait.Sleep(ctx, time.Until(due)); errs[i] != nil {
			break
		}
		all.Go(func() {
			errs[i] = do(i)
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	slices.Sort(took)
	return took, nil
}

// Spread is the least, the middle and the most of some figures.
type Spread struct{ Least, Middle, Most float64 }

// SpreadOf returns that of a figure that each of all has. There must be one at least. The middle of an even number of
// figures is the mean of the middle two.
func SpreadOf[T any](all []T, figure func(T) float64) Spread {
	var figures []float64
	for _, one := range all {
		figures = append(figures, figure(one))
	}
	slices.Sort(figures)
	n := len(figures)
	return Spread{figures[0], (figures[(n-1)/2] + figures[n/2]) / 2, figures[n-1]}
}
