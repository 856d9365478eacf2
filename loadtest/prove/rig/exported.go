package rig

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
)

// exported is the file in the rig's directory that holds the traces, metrics and logs that processes export.
const exported = "exported"

// collect appends what is exported by OTLP to a file, as it comes.
func collect(dir string) (*httptest.Server, error) {
	out, err := os.Create(filepath.Join(dir, exported)) // it is open as long as this process
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			_, err = out.Write(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable) // it is exported again
		}
	})), nil
}
