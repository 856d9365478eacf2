package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// A mail server that turns a connection away, or never says a word, gets an end of it.
func TestConnectionsThatBecomeNoneAreClosed(t *testing.T) {
	for name, greeting := range map[string]string{"turned away": "554 no service here\r\n", "silent": ""} {
		t.Run(name, func(t *testing.T) {
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			closed := make(chan error, 1)
			go func() {
				c, err := server.Accept()
				if err == nil {
					_, _ = io.WriteString(c, greeting)
					_, err = io.Copy(io.Discard, c)
				}
				closed <- err
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			connected := make(chan error, 1)
			go func() {
				_, err := newMailer(server.Addr().String()).connect(ctx)
				connected <- err
			}()
			for what, done := range map[string]chan error{"connect": connected, "the socket": closed} {
				select {
				case err := <-done:
					if what == "connect" && err == nil {
						t.Error("connected")
					}
				case <-time.After(5 * time.Second):
					t.Errorf("%s: still open after 5 s", what)
				}
			}
		})
	}
}
