package console_test

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/services/console"
)

func TestConsoleSaysWhoseTokensItTakesAndHas(t *testing.T) {
	const issuer = " AUTH_ISSUER=https://id.example.com"
	for set, want := range map[string]string{
		"QUERY_URL=http://query":                                               "",
		"CONSOLE_ADDR=0.0.0.0:8080":                                            "AUTH_ISSUER",
		"CONSOLE_ADDR=0.0.0.0:8080 AUTH=off":                                   "",
		"CONSOLE_URL=http://127.0.0.1":                                         "CONSOLE_URL",
		"AUTH_CLIENT_SECRET=x" + issuer:                                        "AUTH_CLIENT_ID",
		"AUTH_CLIENT_ID=console" + issuer:                                      "AUTH_CLIENT_SECRET",
		"AUTH_CLIENT_ID=console AUTH_CLIENT_SECRET=x" + issuer:                 "",
		"CONSOLE_URL=https://x AUTH_CLIENT_ID=c AUTH_CLIENT_SECRET=x" + issuer: "",
		"CONSOLE_URL=http://x AUTH_CLIENT_ID=c AUTH_CLIENT_SECRET=x" + issuer:  "CONSOLE_URL",
		"CONSOLE_ADDR=:80 AUTH_CLIENT_ID=c AUTH_CLIENT_SECRET=x" + issuer:      "",
	} {
		_, err := config.Load[console.Config](strings.Fields(set))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want+": ") {
			t.Errorf("%s: %v, not %q", set, err, want)
		}
	}
}
