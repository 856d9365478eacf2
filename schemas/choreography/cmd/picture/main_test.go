package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	var printed bytes.Buffer
	if err := run("", &printed); err != nil || !strings.HasPrefix(printed.String(), "```mermaid\n") {
		t.Fatalf("printed %q: %v", printed.String(), err)
	}

	file := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Title\n<!-- choreography:begin -->\nold\n<!-- choreography:end -->\n")
	var nothing bytes.Buffer
	if err := run(file, &nothing); err != nil || nothing.Len() > 0 {
		t.Errorf("printed %q: %v", nothing.String(), err)
	}
	got, err := os.ReadFile(file)
	if want := "# Title\n<!-- choreography:begin -->\n" + printed.String() + "<!-- choreography:end -->\n"; err != nil || string(got) != want {
		t.Errorf("the file is %q: %v", got, err)
	}

	write("# Title\n")
	if err := run(file, &nothing); err == nil || !strings.Contains(err.Error(), "choreography:begin") {
		t.Errorf("a file without a place for the picture: %v", err)
	}
	if err := run(filepath.Join(t.TempDir(), "none.md"), &nothing); err == nil {
		t.Error("no error for a file that is not there")
	}
}
