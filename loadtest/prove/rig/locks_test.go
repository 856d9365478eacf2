package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a run writes, its secrets are not in it: a password in a log is found, and in no other place looked for.
func TestASecretThatIsWrittenDownIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Chdir("../../..")
	l, err := newLocks(t.Context(), dir, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Config: Config{Dir: dir}, locks: l}
	if leaks, err := r.Leaks(); err != nil || len(leaks) > 0 {
		t.Fatalf("nothing was written: %v, %v", leaks, err)
	}
	for file, secret := range map[string]string{"play.log": "order.kafka-password", "kafka/server.log": "redis.key"} {
		b, err := os.ReadFile(l.file(secret))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`{"error":"`+string(b)+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bearer := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjLTEwMDEifQ.c2lnbmVk"
	if err := os.WriteFile(filepath.Join(dir, "then.log"), []byte("Authorization: Bearer "+bearer), 0o600); err != nil {
		t.Fatal(err)
	}
	leaks, err := r.Leaks()
	if said := strings.Join(leaks, "\n"); err != nil || len(leaks) != 3 || !strings.Contains(said, "order.kafka-password") ||
		!strings.Contains(said, "redis.key") || !strings.Contains(said, "then.log holds a token") {
		t.Errorf("found %q, %v", leaks, err)
	}
}
