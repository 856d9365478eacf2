// Package jsonhttp is a client of services that speak JSON by HTTP.
package jsonhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

var client = &http.Client{Timeout: 30 * time.Second}

// Call sends a body, unless it is nil, and decodes the answer, unless into is nil. It blocks for 30 s at most. The error
// is Unavailable when nobody answers, and has the class of a problem where the service says that.
func Call(ctx context.Context, method, url string, header http.Header, body, into any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return fault.As(fault.Invalid, err)
	}
	if header != nil {
		req.Header = header
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return fault.As(fault.Unavailable, err) // names method and URL
	}
	defer func() { _ = resp.Body.Close() }()
	if err = problem.Read(resp); err == nil && into != nil {
		err = json.NewDecoder(resp.Body).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	return nil
}
