package pulse

import (
	"maps"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
)

// letter takes in a record about dead letters.
func (j *journal) letter(r broker.Record) {
	rec, err := deadletter.Parse(r)
	if err != nil {
		return
	}
	chain := r.Topic + " " + rec.Order
	switch rec.Kind {
	case deadletter.Letter:
		if j.letters[chain] == nil {
			if !j.room() {
				j.judgeFrom(r.Time)
				return
			}
			j.letters[chain] = map[string]bool{}
		}
		if _, known := j.letters[chain][rec.ID]; !known { // a late copy of one that came out waits no more
			j.letters[chain][rec.ID] = true
		}
	case deadletter.Redriven, deadletter.Edited, deadletter.Discarded:
		if j.letters[chain] != nil {
			j.letters[chain][rec.ID] = false
		}
		if rec.Kind == deadletter.Discarded {
			j.given[rec.Order] = true
		}
	}
}

// room says whether another chain can be held, after dropping those that came out.
func (j *journal) room() bool {
	if len(j.letters) >= maxOrders {
		maps.DeleteFunc(j.letters, func(_ string, letters map[string]bool) bool {
			return !slices.Contains(slices.Collect(maps.Values(letters)), true)
		})
	}
	return len(j.letters) < maxOrders
}

// parked are the orders that have something waiting, and the topics of dead letters where it does.
func (j *journal) parked() map[string][]string {
	parked := map[string][]string{}
	for chain, letters := range j.letters {
		if slices.Contains(slices.Collect(maps.Values(letters)), true) {
			topic, order, _ := strings.Cut(chain, " ")
			parked[order] = append(parked[order], topic)
		}
	}
	return parked
}
