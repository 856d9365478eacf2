package cli

import (
	"bytes"
	"strings"
	"testing"
)

// A port is named as it was given.
func TestPortsOfVariables(t *testing.T) {
	t.Setenv("TROUPE_DIR", t.TempDir())
	for _, port := range []string{"70000", "-1", "http"} {
		t.Setenv("TROUPE_QUERY_PORT", port)
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"play"}, nil, &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), "TROUPE_QUERY_PORT: must be 0 to 65535, is") {
			t.Errorf("%s: code %d, %s", port, code, errs.String())
		}
	}
}
