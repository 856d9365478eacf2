package rig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a run writes, its secrets are not in it: a password in a log is found, and in no other place looked for.
func TestASecretThatIsWrittenDownIsFound(t *testing.T) {
	report := t.TempDir()
	dir := filepath.Join(report, "play")
	t.Chdir("../../..")
	l, err := newLocks(t.Context(), dir, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Config: Config{Dir: dir}, locks: l, issuer: "http://127.0.0.1:1"}
	for _, file := range r.issuerSecrets() {
		if err := os.WriteFile(file, []byte("the "+filepath.Base(file)+" in full\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Leaks(report); err == nil {
		t.Error("nothing was exported, and that is not said")
	}
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(exported, "a span")
	if leaks, err := r.Leaks(report); err != nil || len(leaks) > 0 {
		t.Fatalf("nothing was written: %v, %v", leaks, err)
	}
	for file, secret := range map[string]string{
		"play.log": l.file("order.kafka-password"), "kafka/server.log": l.file("redis.key"),
		exported: filepath.Join(dir, "secret"), "../report.json": filepath.Join(dir, "session-key"),
	} {
		b, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		put(file, `{"error":"`+string(b)+`"}`)
	}
	put("then.log", "Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjLTEwMDEifQ.c2lnbmVk")
	leaks, err := r.Leaks(report)
	said := strings.Join(leaks, "\n")
	for _, want := range []string{
		"play.log holds order.kafka-password", "server.log holds redis.key", "exported holds secret",
		"report.json holds session-key", "then.log holds a token",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it is not found that %s", want)
		}
	}
	if err != nil || len(leaks) != 5 {
		t.Errorf("found %q, %v", leaks, err)
	}
}
