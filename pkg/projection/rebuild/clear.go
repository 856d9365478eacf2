package rebuild

import "context"

// clear deletes, beside the runner, what is left of copies that are no longer used. It looks at every key of the
// read model, so it waits until nothing is built in a partition.
func (r *Runner) clear(ctx context.Context, entries map[int]entry) {
	tokens := map[int]string{}
	for p, e := range entries {
		if e.shadow == "" && e.clear != "" {
			tokens[p] = e.clear
		}
	}
	if len(tokens) == 0 || !r.clearing.CompareAndSwap(false, true) {
		return
	}
	r.background.Go(func() {
		defer r.clearing.Store(false)
		if err := r.clearAll(ctx, tokens); err != nil && ctx.Err() == nil {
			r.log.Warn("old copies are not deleted yet, trying again", "error", err)
		}
	})
}

func (r *Runner) clearAll(ctx context.Context, tokens map[int]string) error {
	err := r.store.Scan(ctx, func(partition int, rests []string) error {
		if tokens[partition] == "" {
			return nil
		}
		byCopy := map[string][]string{}
		for _, rest := range rests {
			if rest != Key {
				byCopy[Copy(rest)] = append(byCopy[Copy(rest)], r.store.Key(partition, rest))
			}
		}
		for name, keys := range byCopy {
			n, err := remove.Run(ctx, r.rdb, append([]string{r.store.Key(partition, Key)}, keys...), name).Int64()
			if err != nil {
				return Unavailable(err)
			}
			r.by().Add(ctx, keysCleared, n)
		}
		return nil
	})
	for partition, token := range tokens {
		if err == nil {
			err = Unavailable(cleared.Run(ctx, r.rdb, []string{r.store.Key(partition, Key)}, token).Err())
		}
	}
	return err
}
