package readmodel_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// wiped is a Redis that is emptied before a transaction, counted from 1.
type wiped struct {
	redis.Hook
	before, n int
	wipe      func()
}

func (*wiped) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*wiped) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *wiped) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.n++; h.n == h.before {
			h.wipe()
		}
		return next(ctx, cmds)
	}
}

// Redis is wiped while a list or numbers are read: they are whole, or the read model is behind.
func TestNoListOfAPart(t *testing.T) {
	s := querytest.New(t)
	s.Put(s.Confirmed(viewtest.ID("o"), "c-1")...)
	reads := map[string]func() (int64, error){
		"list": func() (int64, error) {
			page, _, err := s.Model.List(t.Context(), readmodel.Filter{}, 0, "")
			return int64(len(page)), err
		},
		"numbers": func() (int64, error) {
			got, err := s.Model.Stats(t.Context(), time.Now(), 1)
			return got.Settled, err
		},
	}
	for _, name := range []string{"list", "numbers"} {
		for before := 1; before <= 2; before++ {
			stop := s.Play()
			s.Caught()
			stop()
			h := &wiped{before: before, wipe: func() { s.Redis.FlushAll(t.Context()) }}
			s.Redis.AddHook(h)
			n, err := reads[name]()
			if wiped := h.n >= before; wiped != problem.Is(err, view.SlugBehind) || !wiped && (n != 1 || err != nil) {
				t.Errorf("%s, wiped before transaction %d: %d, %v", name, before, n, err)
			}
		}
	}
}
