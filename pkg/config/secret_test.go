package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestASecretInAFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	c, err := config.Load[settings]([]string{"PASSWORD_FILE=" + file})
	if err != nil {
		t.Fatal(err)
	}
	write("second\r\n")
	if got, err := c.Password.Read(); got != "second" || err != nil {
		t.Errorf("after a rotation: %q, %v", got, err)
	}
	write("\n")
	if got, err := c.Password.Read(); fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "PASSWORD_FILE: ") {
		t.Errorf("while it is empty: %q, %v", got, err)
	}
}

// A crash prints values with %+v or %#v, wherever they are.
func TestNothingPrintsASecret(t *testing.T) {
	const planted = "hunter2"
	c, err := config.Load[settings]([]string{"PASSWORD=" + planted})
	if err != nil {
		t.Fatal(err)
	}
	type inside struct{ hidden settings } // fmt asks no method of what is not exported
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&all, verb+verb+verb, c, c.Password, inside{c})
	}
	if err := json.NewEncoder(&all).Encode(c.Broker); err != nil {
		t.Fatal(err)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&all, nil), slog.NewJSONHandler(&all, nil)} {
		slog.New(h).Info("started", "config", c.Broker, "password", c.Password)
	}
	if strings.Contains(all.String(), planted) || strings.Contains(all.String(), fmt.Sprintf("%x", planted)) {
		t.Errorf("shown: %s", all.String())
	}
	if !strings.Contains(all.String(), "(set)") {
		t.Errorf("whether it is set is not shown: %s", all.String())
	}
}
