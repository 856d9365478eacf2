package rig

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Do does something to a process by the control API. What has no process at the moment is tried again.
func (r *Rig) Do(ctx context.Context, process, action string) error {
	return Until(ctx, action+" "+process, func() (string, error) {
		err := r.Control.Do(ctx, process, action)
		if fault.ClassOf(err) == fault.Conflict {
			return err.Error(), nil
		}
		return "", err
	})
}

// Kill kills a process and blocks until another one is there in its place.
func (r *Rig) Kill(ctx context.Context, process string) error { return r.renew(ctx, process, "kill") }

// Term asks a process to end and blocks until another one is there in its place.
func (r *Rig) Term(ctx context.Context, process string) error { return r.renew(ctx, process, "term") }

func (r *Rig) renew(ctx context.Context, process, action string) error {
	_, before, err := r.life(ctx, process)
	if err != nil {
		return err
	}
	if err := r.Do(ctx, process, action); err != nil {
		return err
	}
	return Until(ctx, process+" started again", func() (string, error) {
		pid, restarts, err := r.life(ctx, process)
		if err != nil || pid != 0 && restarts > before {
			return "", err
		}
		return "it has no new process", nil
	})
}

// life is the id of a process, 0 while there is none, and how often it was started again.
func (r *Rig) life(ctx context.Context, process string) (pid, restarts int, err error) {
	list, err := r.Control.Processes(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range list {
		if p.Name == process {
			return p.PID, p.Restarts, nil
		}
	}
	return 0, 0, fmt.Errorf("no process %s", process)
}

// Member blocks until a process is, or is not, a member of its service's consumer group.
func (r *Rig) Member(ctx context.Context, service, process string, is bool) error {
	what := map[bool]string{true: " in its group", false: " out of its group"}[is]
	return Until(ctx, process+what, func() (string, error) {
		members, err := r.Log.Members(ctx, service)
		if err != nil {
			return err.Error(), nil // the broker may be away
		}
		if slices.Contains(members, process) != is {
			return fmt.Sprintf("its members are %v", members), nil
		}
		return "", nil
	})
}

// Until asks until nothing is missing.
func Until(ctx context.Context, what string, ask func() (missing string, err error)) error {
	for {
		missing, err := ask()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if missing == "" {
			return nil
		}
		if err := wait.Sleep(ctx, askEvery); err != nil {
			return fmt.Errorf("%s: %s: %w", what, missing, err)
		}
	}
}
