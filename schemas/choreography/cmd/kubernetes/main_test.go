package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckNamesWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	alerts := filepath.Join(dir, "observability", "alerts.yml")
	if err := os.MkdirAll(filepath.Dir(alerts), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alerts, []byte("groups: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "base", "order.yaml")) {
		t.Errorf("nothing is there, and the check says %v", err)
	}
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err != nil {
		t.Errorf("just written: %v", err)
	}
	if err := run(t.TempDir(), false); err == nil {
		t.Error("no error without alerts")
	}
}
