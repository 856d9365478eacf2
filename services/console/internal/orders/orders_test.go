package orders_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
)

// All that the console asks of query bears its token, where there is an issuer.
func TestQueryIsAskedWithTheConsolesToken(t *testing.T) {
	asked := map[string]bool{} // whether with a token, by request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method+" "+r.URL.Path] = strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey")
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(srv.Close)
	by := auth.Credentials{ClientID: "console", Secret: config.NewSecret(authtest.Secret)}
	for _, issuer := range []string{"", authtest.NewIssuer(t).URL} {
		clear(asked)
		q, ctx := orders.New(srv.URL, issuer, by), t.Context()
		for _, ask := range []func() error{
			func() error { _, err := q.Order(ctx, "o"); return err },
			func() error { _, err := q.Story(ctx, "o"); return err },
			func() error { _, err := q.List(ctx, orders.Filter{}); return err },
			func() error { _, err := q.Rebuild(ctx); return err },
			func() error { _, err := q.StartRebuild(ctx); return err },
			func() error { _, err := q.CancelRebuild(ctx); return err },
		} {
			if err := ask(); err != nil {
				t.Error(err)
			}
		}
		_ = q.Follow(ctx, "o", func() error { return nil }) // the stream ends at once
		if len(asked) != 7 {
			t.Errorf("asked %v", asked)
		}
		for request, with := range asked {
			if with != (issuer != "") {
				t.Errorf("issuer %q: %s with a token: %v", issuer, request, with)
			}
		}
	}
}
