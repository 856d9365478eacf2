package play

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/breaking"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/redis"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	// saySoAfter is when people are told what is not ready yet.
	saySoAfter = 9 * time.Second
	askEvery   = 50 * time.Millisecond
	// moveWithin bounds the wait for a broker that is away.
	moveWithin = 5 * time.Second
)

// Run plays until ctx ends: it starts everything, says where it is once it is ready, keeps it running, and stops it in
// order, services first. Nothing is left running when it returns. What is wrong with the options, or in the way of the
// ports, is an Invalid error that names the flag; nothing was started then.
func Run(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	release, err := openDir(o.Dir, o.Fresh)
	if err != nil {
		return err
	}
	defer release()
	if err := o.settlePorts(); err != nil {
		return err
	}
	at := o.playground(os.Getpid())
	list, err := o.processes(at)
	if err != nil {
		return err
	}
	ln, err := lifecycle.Listen(local(o.Ports.Control))
	if err != nil {
		return err
	}

	parts, err := o.issuer(at)
	if err != nil {
		return errors.Join(err, ln.Close())
	}

	out := &logs{out: o.Out, style: o.Style, width: width(list), now: time.Now}
	log := slog.New(slog.NewJSONHandler(out, nil))
	slog.SetDefault(log)
	running := make([]*supervise.Process, len(list))
	for i, p := range list {
		running[i] = supervise.New(p, out.line, log)
	}
	handler, stage, err := o.controlAPI(at, running)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	parts = append(parts, lifecycle.HTTP("control", ln, httpdoor.Config{}, handler))
	for i, p := range list {
		parts = append(parts, lifecycle.Part{Name: p.Name, Run: running[i].Run, StopWithin: p.StopWithin + 5*time.Second})
	}
	say := func(ctx context.Context) error { return announce(ctx, o, at, list, out) }
	parts = append(parts, lifecycle.Part{Name: "breaks", Run: stage.Run}, lifecycle.Part{Name: "announcement", Run: say})
	return lifecycle.Run(ctx, parts...)
}

// controlAPI is the control API, and the stage behind it where things are broken.
func (o *Options) controlAPI(at Playground, running []*supervise.Process) (http.Handler, *breaking.Stage, error) {
	protocol, err := choreography.Load()
	if err != nil {
		return nil, nil, err
	}
	processes := make([]control.Process, len(running))
	for i, p := range running {
		processes[i] = p
	}
	stores := o.controlled(at, running)
	stage := breaking.New(breaking.World{
		Processes: processes, Gateway: at.Gateway, Orders: rest.New(at.Order, at.Query).As(at.Tokens("admin")), Brokers: at.Kafka, Topics: protocol.Topics(), Flush: stores.Flush,
	})
	return control.Handler(processes, stores, stage.Routes), stage, nil
}

// controlled is what can be done to the stores from outside.
func (o *Options) controlled(at Playground, running []*supervise.Process) control.Stores {
	snapshots := &redis.Snapshots{}
	move := func(signal syscall.Signal) func(context.Context) error {
		return func(ctx context.Context) error {
			if o.Brokers < 2 || len(o.KafkaBrokers) > 0 {
				return fault.New(fault.Conflict, "only several embedded brokers can move anything: see troupe play --brokers")
			}
			ctx, cancel := context.WithTimeout(ctx, moveWithin)
			defer cancel()
			if err := supervise.Dialable(ctx, at.Kafka[0]); err != nil { // only what listens knows the signal
				return fault.As(fault.Unavailable, err)
			}
			return running[0].Signal(signal) // the broker starts first
		}
	}
	return control.Stores{
		Flush:            func(ctx context.Context) error { return redis.Flush(ctx, at.Redis) },
		Snapshot:         func(ctx context.Context) error { return snapshots.Take(ctx, at.Redis) },
		Restore:          func(ctx context.Context) error { return snapshots.Restore(ctx, at.Redis) },
		MoveLeaders:      move(broker.MoveLeaders),
		MoveCoordinators: move(broker.MoveCoordinators),
	}
}

func width(list []supervise.Spec) int {
	w := len("play")
	for _, p := range list {
		w = max(w, len(p.Name))
	}
	return w
}

// announce waits until everything is ready, says where it is, and stays until ctx ends.
func announce(ctx context.Context, o Options, at Playground, list []supervise.Spec, out *logs) error {
	began := time.Now()
	told := false
	for {
		var missing []string
		if list, missing = unready(ctx, list); len(list) == 0 {
			break
		}
		if !told && time.Since(began) > saySoAfter {
			told = true
			out.print(greeting(o, at, out, "Troupe is starting; not ready yet: "+strings.Join(missing, "; ")))
		}
		if wait.Sleep(ctx, askEvery) != nil {
			return nil
		}
	}
	if err := at.write(o.Dir); err != nil {
		return fmt.Errorf("say where the playground is: %w", err)
	}
	out.print(greeting(o, at, out, fmt.Sprintf("Troupe is playing, ready after %.1f s.", time.Since(began).Seconds())))
	<-ctx.Done()
	return nil
}

// unready returns the processes that are not ready, and why, where they say so.
func unready(ctx context.Context, list []supervise.Spec) (still []supervise.Spec, why []string) {
	for _, p := range list {
		if err := ready(ctx, p); err != nil {
			still = append(still, p)
			why = append(why, p.Name+" ("+err.Error()+")")
		}
	}
	return still, why
}

// ready asks what speaks HTTP; the others need only accept connections.
func ready(ctx context.Context, p supervise.Spec) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	at, ok := p.Addresses["http"]
	if !ok {
		return supervise.Dialable(ctx, p.Addresses[p.Name])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.New("does not answer")
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(reasons(resp.Body))
	}
	return nil
}
