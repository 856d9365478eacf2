package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/schemas/check"
)

const (
	partitions = rig.Partitions
	// answerWithin bounds what customers wait for their answers, hitWithin what a scene waits for a call or a state to come.
	answerWithin, hitWithin = 20 * time.Second, 15 * time.Second
	// elapse is how long a scene lets a service do what it does several times a second.
	elapse = 1500 * time.Millisecond
)

// scene is one fault, aimed at one guard: a few orders, and what befalls them at the moment at which the guard counts.
type scene struct {
	// Name is what controls have, and reports.
	Name string
	// Instances of each service; 0 is 1.
	Instances int
	// Deadline of payments; 0 is 20 s.
	Deadline time.Duration
	// Forgets: the store loses decisions, or somebody appends what nobody decided. Without, there is one decider: nothing is void.
	Forgets bool
	// Anew: the read model is compared, key by key, with one that is folded from the log at once.
	Anew bool
	Act  func(s *stage)
}

// scenes that controls name.
var scenes = []scene{
	everyday, foldedAnew, diesAtWork, diesAtWorkWiped, diesWithAnOutbox, diesWhenItHasCharged, backAfterTheDeadline,
	deliveredAgain, answeredAndDead, sleepsBeforeApply, letterOvertakes, heldAndDead, restoredUnnoticed, wipedWhileIdle,
	partlyWiped, readModelRestored, lateDecision, behindALetter, redriven, foldedByOthers, decidesInItsSleep,
	refusedForOurs, oversleeps, putOff, refundsPend, larger, silent, skewed, anew, foreign,
}

// stage is a troupe on which a scene is played.
type stage struct {
	*rig.Rig
	ctx    context.Context // of the scene, as a test's
	ends   []func()        // what is undone when the scene is over, the last first
	seed   uint64
	placed []check.Expected
	gone   check.Gone
	parked map[string]bool
	mended map[string]bool // were parked, and are not any more
	wrong  []check.Violation
}

// perform plays a scene on a program and looks at everything afterwards.
func perform(ctx context.Context, sc scene, troupe, dir string) (found *check.Report, err error) {
	r, err := rig.Start(ctx, rig.Config{
		Troupe: troupe, Dir: filepath.Join(dir, "play"), Instances: max(1, sc.Instances),
		PaymentDeadline: cmp.Or(sc.Deadline, 20*time.Second),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	s := &stage{Rig: r, ctx: ctx, parked: map[string]bool{}, mended: map[string]bool{}}
	if err := s.play(sc); err != nil {
		return nil, fmt.Errorf("%s was not played: %w", sc.Name, err)
	}
	if found, err = rig.Judge(ctx, s.system(), s.placed, restWithin, nil); err != nil {
		return nil, err
	}
	if sc.Anew && len(found.Of(check.Stuck)) == 0 {
		if err := r.FoldedAnew(ctx, found); err != nil {
			return nil, err
		}
	}
	if found.VoidedRecords > 0 && !sc.Forgets {
		found.Violation(check.Choreography, "", "%d facts are void, although nobody has forgotten anything", found.VoidedRecords)
	}
	found.Violations = slices.DeleteFunc(found.Violations, func(v check.Violation) bool {
		return v.Guarantee == check.UnexplainedLetter && s.mended[v.Order]
	})
	found.Violations = append(s.wrong, found.Violations...) // what a scene has seen itself is the nearest reason
	return found, nil
}
