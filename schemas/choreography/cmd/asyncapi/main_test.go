package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAsyncAPI(t *testing.T) {
	var printed, nothing bytes.Buffer
	if err := run("", &printed); err != nil || !strings.Contains(printed.String(), "\nasyncapi: 3.0.0\n") {
		t.Fatalf("printed %.100q: %v", printed.String(), err)
	}
	file := filepath.Join(t.TempDir(), "asyncapi.yaml")
	if err := run(file, &nothing); err != nil || nothing.Len() > 0 {
		t.Fatalf("printed %.100q: %v", nothing.String(), err)
	}
	written, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(written, printed.Bytes()) {
		t.Errorf("wrote %.100q, %v; printed something else", written, err)
	}
	if err := run(filepath.Join(t.TempDir(), "no", "such"), &nothing); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}
