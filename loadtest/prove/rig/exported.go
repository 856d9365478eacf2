package rig

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// exported is the file in the rig's directory that holds the traces, metrics and logs that processes export.
const exported = "exported"

// collector appends what is exported to it by OTLP to a file, as it comes.
type collector struct {
	endpoint string
	server   *http.Server
	ended    chan struct{}
}

func collect(dir string) (*collector, error) {
	out, err := os.Create(filepath.Join(dir, exported))
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			_, err = out.Write(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable) // it is exported again
		}
	})
	c := &collector{
		"http://" + ln.Addr().String(), &http.Server{Handler: take, ReadHeaderTimeout: time.Minute}, make(chan struct{}),
	}
	go func() { // ends with stop
		defer close(c.ended)
		_ = c.server.Serve(ln)
		_ = out.Close()
	}()
	return c, nil
}

func (c *collector) stop() {
	_ = c.server.Close()
	<-c.ended
}
