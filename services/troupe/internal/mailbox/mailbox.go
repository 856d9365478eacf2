// Package mailbox is a mail server that delivers nowhere: it takes mail by SMTP, keeps it on disk, and shows it on a web page
// and by a JSON API. What it said 250 to survives kill -9. It misbehaves as its Control says.
package mailbox

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

// Run runs the mailbox until ctx ends. An address in use, a directory that cannot be used, a damaged store, or a disk that
// fails is an error.
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
	control := switches.New[Control](time.Now)
	if cfg.Listening != nil {
		cfg.Listening(mailIn.Addr(), webIn.Addr())
	}
	door := httpdoor.Config{Hosts: cfg.Hosts, Variable: "MAILBOX_HOSTS"}
	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "store", Run: store.run},
		lifecycle.HTTP("http", webIn, door, routes(store, control)),
		lifecycle.Part{Name: "smtp", Run: func(ctx context.Context) error { return serveSMTP(ctx, mailIn, store, control) }},
	)
}

func routes(store *store, control *switches.Switches[Control]) http.Handler {
	r := httpdoor.NewRouter()
	lifecycle.NewHealth().Routes(r)
	web{store}.routes(r)
	control.Routes(r)
	return r
}
