package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
)

// guarded serves a door to whom an issuer knows.
func guarded(t *testing.T, d Door) (http.Handler, *authtest.Issuer) {
	issuer := authtest.NewIssuer(t)
	return server(t, d, authtest.Guard(t, issuer.Config()), nil).Handler(func(r chi.Router) { lifecycle.NewHealth().Routes(r) }), issuer
}

func as(token string) string { return "Authorization: Bearer " + token }

func TestEveryTokenAtEveryRoute(t *testing.T) {
	h, issuer := guarded(t, &fakeDoor{})
	authtest.Routes(t, issuer, h, auth.Table{
		"POST /orders": auth.AnyCaller, "POST /orders/{id}/cancel": auth.AnyCaller,
	}, "GET /livez", "GET /readyz", "GET /servez")
}

func TestCustomersPlaceTheirOwnOrdersOnly(t *testing.T) {
	d := &fakeDoor{admission: admission.Decision[domain.Order]{New: true}}
	h, issuer := guarded(t, d)
	w := do(h, http.MethodPost, "/orders", tea, as(issuer.Token("ada", auth.Roles...)))
	if p := read(t, w); w.Code != http.StatusForbidden || p.Type != problem.TypePrefix+auth.SlugForbidden ||
		len(p.Errors) != 1 || p.Errors[0].Field != "/customer_id" || len(d.published)+len(d.asked) > 0 {
		t.Errorf("for another: %d %+v, %d published", w.Code, p, len(d.published))
	}
	w = do(h, http.MethodPost, "/orders", tea, as(issuer.Token("c-1001")))
	if w.Code != http.StatusAccepted || len(d.published) != 1 {
		t.Errorf("for oneself: %d %s", w.Code, w.Body)
	}
}

// An answer that differs in anything but the id would tell that the order exists.
func TestAnothersOrderIsAsIfItWereNotThere(t *testing.T) {
	d := &fakeDoor{ok: true, found: admission.Order[domain.Order]{
		State: domain.Order{Status: domain.Placed, CustomerID: "c-1001", PlacedAt: morning.Add(-time.Hour)},
	}}
	h, issuer := guarded(t, d)
	cancel := func(subject string) *httptest.ResponseRecorder {
		return do(h, http.MethodPost, "/orders/"+orderID+"/cancel", "", as(issuer.Token(subject, auth.Roles...)))
	}
	others := cancel("ada")
	if others.Code != http.StatusNotFound || len(d.published) != 0 {
		t.Errorf("another's: %d, %d published", others.Code, len(d.published))
	}
	if own := cancel("c-1001"); own.Code != http.StatusAccepted || len(d.published) != 1 {
		t.Errorf("one's own: %d %s", own.Code, own.Body)
	}
	d.ok = false
	if none := cancel("ada"); none.Code != others.Code || none.Body.String() != others.Body.String() {
		t.Errorf("one that is not there: %d %s\nanother's: %d %s", none.Code, none.Body, others.Code, others.Body)
	}
}
