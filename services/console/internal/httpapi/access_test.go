package httpapi_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
)

// Who did it is whose token it was, whatever the request says.
func TestTheAuditTrailNamesTheTokensSubject(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	d := openBehind(t, authtest.Guard(t, issuer.Config()))
	as := []string{"Authorization", "Bearer " + issuer.Token("grace", auth.Operator)}
	wait := slices.Concat(as, []string{"Prefer", "wait=30"})
	for name, action := range map[string]string{"r": "redrive", "d": "discard", "e": "edit"} {
		id, letters := d.parked(name, "invalid", "no")
		stop := d.Answer("payment", comesBack(letters))
		body := map[string]string{"redrive": `{`, "discard": `{"letter_id":"` + letters[0] + `",`,
			"edit": `{"letter_id":"` + letters[0] + `","payload":{},`}[action] + by + `}`
		do[httpapi.RequestState](d, "POST", "/payment/"+id+"/"+action, body, http.StatusOK, wait...)
		stop()
		chain, _ := do[httpapi.Chain](d, "GET", "/payment/"+id, "", http.StatusOK, as...)
		if len(chain.Outcomes) == 0 {
			t.Errorf("%s: no outcome", action)
		}
		for _, o := range chain.Outcomes {
			if o.By != "grace" {
				t.Errorf("%s: %s by %q", action, o.Kind, o.By)
			}
		}
	}
}

// Payloads hold mail addresses: who was shown them is in the log, and they are not.
func TestWhoIsShownPayloadsIsLogged(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	defer slog.SetDefault(before)
	issuer := authtest.NewIssuer(t)
	d := openBehind(t, authtest.Guard(t, issuer.Config()))
	id, _ := d.parked("o", "invalid", "no")
	as := []string{"Authorization", "Bearer " + issuer.Token("grace", auth.Operator)}
	do[httpapi.Chain](d, http.MethodGet, "/payment/"+id, "", http.StatusOK, as...)
	said, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(said), `msg="dead letters shown" subject=grace participant=payment order_id=`+id) ||
		strings.Contains(string(said), storiestest.Email) {
		t.Errorf("%v; the log says:\n%s", err, said)
	}
}
