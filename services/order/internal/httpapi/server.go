package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"golang.org/x/text/currency"
)

// access says who may ask what; whose order it is, the operations see to.
var access = auth.Table{
	"POST /orders":             auth.AnyCaller,
	"POST /orders/{id}/cancel": auth.AnyCaller,
}

// otherUnits are the currencies that the gateway counts in another unit than ISO 4217 (docs.stripe.com/currencies): ISK and
// UGX in hundredths, of which ISO has none, and MGA without the decimals that ISO gives it.
var otherUnits = []string{"ISK", "MGA", "UGX"}

// Config says on what terms orders are taken, and where customers read them.
type Config struct {
	QueryURL        string        `env:"QUERY_PUBLIC_URL" envDefault:"http://127.0.0.1:8084" help:"public address of the query service: what Location of a placed order begins with"`
	PaymentDeadline time.Duration `env:"PAYMENT_DEADLINE" envDefault:"15m" min:"1s" max:"23h" help:"how long an order waits for its payment before it is cancelled; carried by each order from when it is placed. The gateway forgets its idempotency keys after 24h"`
	CancelWindow    time.Duration `env:"CANCEL_WINDOW" envDefault:"336h" help:"how long after it was placed an order can be cancelled; must stay well below RETENTION, since a refund needs the facts of the order"`
	Currencies      []string      `env:"CURRENCIES" envDefault:"EUR,USD,GBP,CHF,SEK,NOK,DKK,PLN,CZK,CAD,AUD,JPY" help:"currencies that are taken, ISO 4217, separated by commas; amounts are in minor units of each. ISK, MGA and UGX cannot be taken: the gateway counts them in another unit"`
	FindWithin      time.Duration `env:"FIND_WITHIN" envDefault:"5s" min:"100ms" max:"10s" help:"how long a request waits until its order can be known for certain (start, rebalance, wiped store) before it gets 503"`
}

// Validate returns all that cannot be right.
func (c Config) Validate() error {
	_, err := config.BaseURL("QUERY_PUBLIC_URL", c.QueryURL)
	err = errors.Join(err, fault.FieldIf(len(c.Currencies) == 0, "CURRENCIES", "must name at least one currency"))
	for _, code := range c.Currencies {
		unit, unknown := currency.ParseISO(code)
		err = errors.Join(err,
			fault.FieldIf(unknown != nil || unit.String() != code, "CURRENCIES", "%q is no currency of ISO 4217", code),
			fault.FieldIf(slices.Contains(otherUnits, code), "CURRENCIES",
				"%q cannot be taken: the gateway counts it in another unit than ISO 4217, and would charge another amount",
				code))
	}
	return err
}

// Server is the HTTP door of the order service: it answers the operations of the contract.
type Server struct {
	cfg         Config
	participant string
	door        Door
	guard       *auth.Guard
	clock       *clock.Clock
	now         func() time.Time
	contract    *contract.Contract
}

// New returns the server of a participant, under whose name events are published; guard stands before every operation. While
// the machine's clock cannot be believed, no order is placed; a nil clock is believed. It fails only when the contract it was
// built with cannot be read.
func New(participant string, door Door, guard *auth.Guard, clock *clock.Clock, cfg Config) (*Server, error) {
	c, err := contract.New(GetSpec, contract.Config{Rules: map[string]string{
		"Idempotency-Key": "must be 8 to 128 visible ASCII characters without spaces",
	}})
	return &Server{
		cfg: cfg, participant: participant, door: door, guard: guard, clock: clock, contract: c,
		now: func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }, // as every store and contract keeps it
	}, err
}

// Handler routes the operations of the contract and whatever others adds (health, metrics). Every answer that is not a
// success is a problem document.
func (s *Server) Handler(others func(chi.Router)) http.Handler {
	return s.contract.Router(func(r chi.Router) {
		HandlerWithOptions(NewStrictHandlerWithOptions(s, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc:  contract.Refuse,
			ResponseErrorHandlerFunc: problem.Write,
		}), ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: contract.Refuse})
	}, others, s.guard.Routes(access))
}
