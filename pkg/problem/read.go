package problem

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	// maxRead bounds what a client reads of an answer that failed, in bytes.
	maxRead = 256 << 10
	// maxDocument bounds the document that Decode reads, in bytes.
	maxDocument = 16 << 20
)

// Decode reads the JSON document that a call of an HTTP client was answered with, of up to 16 MiB. Errors are those of
// Check, Unavailable when the answer breaks off or is longer, and one without a class when it is no such document.
func Decode[T any](resp *http.Response, err error) (document T, _ error) {
	if resp, err = Check(resp, err); err != nil {
		return document, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxDocument))
	if err != nil {
		return document, fault.New(fault.Unavailable, "read the answer: %w", err)
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return document, fmt.Errorf("the answer is not as the contract says: %w", err)
	}
	return document, nil
}

// Check returns the answer to a call of an HTTP client, whose body the caller closes. It is an error, and the body
// closed, where Read says so of the answer; an error of the call itself is returned as it is.
func Check(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	if err := Read(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// Read returns nil for an answer below 400. Otherwise it reads the body, which the caller still closes, and returns an
// error of the class that the status says, with a *Problem in its chain: the document, or one made of the status when
// the answer is not a problem document (a proxy's page, say). A Retry-After header becomes the error's RetryAfter.
func Read(resp *http.Response) error {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	p := &Problem{}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRead))
	if err != nil || media != ContentType || json.Unmarshal(body, p) != nil {
		*p = Problem{}
	}
	p.Status = resp.StatusCode
	p.Type = cmp.Or(p.Type, "about:blank")
	p.Title = cmp.Or(p.Title, http.StatusText(p.Status), "HTTP status "+strconv.Itoa(p.Status))
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	switch class := classOf(p.Status); class {
	case fault.Transient:
		return p
	case fault.Unavailable:
		return fault.Later(p.RetryAfter, "%w", p)
	default:
		return fault.As(class, p)
	}
}

// classOf is the class of a status, so that a client treats an answer as the server would treat its cause. A status
// of 500 has none: it is tried again a few times.
func classOf(status int) fault.Class {
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.NotFound
	case status == http.StatusConflict:
		return fault.Conflict
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return fault.Unavailable
	case status < http.StatusInternalServerError:
		return fault.Invalid
	}
	return fault.Transient
}

// retryAfter reads both forms of RFC 9110, section 10.2.3; zero when there is none, or none that makes sense.
func retryAfter(v string) time.Duration {
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), 86400)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(at), 0), 24*time.Hour)
	}
	return 0
}
