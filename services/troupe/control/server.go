// Package control is the control API of the playground: it shows the supervised processes and breaks them from outside,
// for tests and for people who want to see nothing get lost. It never answers a web page of another origin, and belongs on
// loopback: who reaches it can stop all.
package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

// Header must be on every request that changes something, with the value 1: a web page cannot add it to a request to
// another origin without asking first, and the answer is no.
const Header = "X-Troupe-Control"

// Process is what can be done with a supervised process.
type Process interface {
	Status() supervise.Status
	Kill() error
	Term() error
	Pause() error
	Resume() error
	Stop() error
	Strike() error
	Start() error
}

var actions = map[string]func(Process) error{
	"kill": Process.Kill, "term": Process.Term, "pause": Process.Pause, "resume": Process.Resume,
	"stop": Process.Stop, "start": Process.Start,
}

// List is the answer of GET /processes.
type List struct {
	Processes []supervise.Status `json:"processes"`
}

// Stores is what can be done to what the services stand on.
type Stores struct {
	// Flush wipes Redis; Snapshot remembers what it holds, and Restore brings that back.
	Flush, Snapshot, Restore func(context.Context) error
	// MoveLeaders and MoveCoordinators make the brokers change what they lead; it is done when they come to it.
	MoveLeaders, MoveCoordinators func(context.Context) error
}

// Handler serves the API over processes in the order given, and what others adds.
func Handler(processes []Process, stores Stores, others ...func(chi.Router)) *chi.Mux {
	mux := httpdoor.NewRouter()
	mux.Use(guard)
	for _, add := range others {
		add(mux)
	}
	mux.Get("/processes", func(w http.ResponseWriter, r *http.Request) {
		list := List{Processes: make([]supervise.Status, len(processes))}
		for i, p := range processes {
			list.Processes[i] = p.Status()
		}
		Reply(w, r, list, nil)
	})
	mux.Post("/processes/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		status, err := act(processes, httpdoor.Param(r, "name"), httpdoor.Param(r, "action"))
		if err == nil {
			slog.Info("process signalled", "process", status.Name, "action", httpdoor.Param(r, "action"))
		}
		Reply(w, r, status, err)
	})
	for path, do := range map[string]func(context.Context) error{
		"/redis/flush": stores.Flush, "/redis/snapshot": stores.Snapshot, "/redis/restore": stores.Restore,
		"/broker/leaders/move": stores.MoveLeaders, "/broker/coordinators/move": stores.MoveCoordinators,
	} {
		mux.Post(path, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context()); err != nil {
				Reply(w, r, nil, err)
				return
			}
			slog.Info("a store was treated", "path", path)
			w.WriteHeader(http.StatusNoContent)
		})
	}
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.NotFound, "no %s %s here; there are GET /processes, "+
			"POST /processes/{name}/{kill|term|pause|resume|stop|start}, POST /redis/{flush|snapshot|restore}, "+
			"POST /broker/{leaders|coordinators}/move, GET /breaks, POST and DELETE /breaks/{name}", r.Method, r.URL.Path))
	})
	return mux
}

func act(processes []Process, name, action string) (supervise.Status, error) {
	do, ok := actions[action]
	if !ok {
		return supervise.Status{}, fault.Field("action", "must be one of %s, is %q", strings.Join(slices.Sorted(maps.Keys(actions)), ", "), action)
	}
	names := make([]string, len(processes))
	for i, p := range processes {
		if names[i] = p.Status().Name; names[i] == name {
			err := do(p)
			return p.Status(), err
		}
	}
	return supervise.Status{}, fault.New(fault.NotFound, "no process %q; there are %s", name, strings.Join(names, ", "))
}

// Reply answers with a document or an error. Who asks may read what others find in the log only: here they are the same
// person.
func Reply(w http.ResponseWriter, r *http.Request, v any, err error) {
	if class := fault.ClassOf(err); err != nil && class != fault.Conflict && class != fault.NotFound && class != fault.Invalid {
		err = problem.New(http.StatusServiceUnavailable, problem.SlugUnavailable, "Temporarily unavailable", err.Error())
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the caller is gone; nobody to tell
}

// guard keeps web pages out, beside what the guard of every API does: no request may bear an Origin, and one that
// changes something must bear Header.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Origin") != "":
			refuse(w, r, "Origin", "must be absent: this is not for web pages")
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(Header) != "1":
			refuse(w, r, Header, "must be 1 on requests that change something")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, r *http.Request, header, rule string) {
	problem.Write(w, r, problem.New(http.StatusForbidden, "forbidden", "Forbidden", "header "+header+" "+rule,
		problem.Field{Field: header, Detail: rule}))
}
