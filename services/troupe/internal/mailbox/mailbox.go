// Package mailbox is a mail server that delivers nowhere: it takes mail by SMTP, keeps it on disk, and shows it on a web page
// and by a JSON API. What it said 250 to survives kill -9.
//
// The recipient refused@… is refused for good (550), with or without a "+tag" before the @. The control API breaks more.
package mailbox

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
)

// stopWithin bounds the wait for mails that are coming in when the mailbox stops.
const stopWithin = 5 * time.Second

// Run runs the mailbox until ctx ends; then mails in flight are finished, stored and answered. An address in use, a
// directory that cannot be used, a damaged store, or a disk that fails is an error.
func Run(ctx context.Context, cfg Config) error {
	// Both addresses are opened before the store: a second mailbox on the same directory fails here and touches nothing.
	mailIn, err := lifecycle.Listen(cfg.SMTPAddr)
	if err != nil {
		return fault.Field("MAILBOX_SMTP_ADDR", "%w", err)
	}
	webIn, err := lifecycle.Listen(cfg.HTTPAddr)
	if err != nil {
		return errors.Join(fault.Field("MAILBOX_HTTP_ADDR", "%w", err), mailIn.Close())
	}
	store, err := openStore(cfg.Dir, cfg.MaxMessages)
	if err != nil {
		return errors.Join(err, mailIn.Close(), webIn.Close())
	}
	control := &control{}
	smtp := newServer(mailIn, store, control)
	if cfg.Listening != nil {
		cfg.Listening(mailIn.Addr(), webIn.Addr())
	}
	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "store", Run: store.run},
		lifecycle.HTTP("http", webIn, cfg.door(), routes(store, control, smtp)),
		lifecycle.Part{Name: "smtp", Run: smtp.run, StopWithin: stopWithin + time.Second},
	)
}

func routes(store *store, control *control, smtp *server) http.Handler {
	r := httpdoor.NewRouter()
	lifecycle.NewHealth().Routes(r)
	web{store}.routes(r)
	control.routes(r, smtp.cutOff)
	return r
}
