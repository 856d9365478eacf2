// Package mailbox is a mail server that delivers nowhere: it takes mail by SMTP, keeps it on disk, and shows it on a web page
// and by a JSON API. What it said 250 to survives kill -9.
//
// Some recipients behave on purpose, with or without a "+tag" before the @: refused@… is refused for good (550), later@… is
// put off once per message (451), slow@… takes its time. The control API breaks more.
package mailbox

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// stopWithin bounds the wait for mails that are coming in when the mailbox stops.
const stopWithin = 5 * time.Second

// Run runs the mailbox until ctx ends; then mails in flight are finished, stored and answered. An address in use, a
// directory that cannot be used, a damaged store, or a disk that fails is an error.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	// Both doors are opened before the store: a second mailbox on the same directory fails here and touches nothing.
	mailIn, err := lifecycle.Listen(cfg.SMTPAddr)
	if err != nil {
		return err
	}
	webIn, err := lifecycle.Listen(cfg.HTTPAddr)
	if err != nil {
		return errors.Join(err, mailIn.Close())
	}
	store, err := openStore(cfg.Dir, cfg.MaxMessages)
	if err != nil {
		return errors.Join(err, mailIn.Close(), webIn.Close())
	}
	control := &control{}
	smtp := newServer(mailIn, store, control, cfg.SlowFor)
	if cfg.Listening != nil {
		cfg.Listening(mailIn.Addr(), webIn.Addr())
	}
	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "store", Run: store.run},
		lifecycle.HTTP("http", webIn, routes(store, control, smtp)),
		lifecycle.Part{Name: "smtp", Run: smtp.run, StopWithin: stopWithin + time.Second},
	)
}

func routes(store *store, control *control, smtp *server) http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(http.StatusNotFound, problem.SlugNotFound, "Not found", "there is nothing at this path"))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed",
			"this path does not take "+r.Method))
	})
	lifecycle.NewHealth().Routes(r)
	api{store}.routes(r)
	page{store}.routes(r)
	control.routes(r, smtp.cutOff)
	// The page is plain to see for every program on this machine; a foreign web page must not act through its reader's browser.
	return http.NewCrossOriginProtection().Handler(r)
}
