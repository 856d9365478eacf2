// Package examples holds one golden record per event type and shape ever shipped: <type>/<n>.json. They are never changed and never
// deleted, since logs hold such records for as long as they are kept; today's code must read them all. When a message grows, add
// <n+1>.json with every field set and an empty wire, and let `go test ./schemas/examples -fill` write the wire bytes.
package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed */*.json
var files embed.FS

// Example is one record as it is in a log.
type Example struct {
	// Type is the full event type, and N counts its shapes from 1.
	Type string `json:"-"`
	N    int    `json:"-"`

	Topic   string   `json:"topic"`
	Key     string   `json:"key"`
	Headers []Header `json:"headers"`
	// Body is what Wire means, as protobuf JSON.
	Body json.RawMessage `json:"body"`
	// Wire is the record's value.
	Wire []byte `json:"wire"`
}

// Header of a record.
type Header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// All returns every example, sorted by type and number.
func All() ([]Example, error) {
	names, err := fs.Glob(files, "*/*.json")
	if err != nil {
		return nil, err
	}
	var all []Example
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		e := Example{Type: path.Dir(name)}
		if e.N, err = strconv.Atoi(strings.TrimSuffix(path.Base(name), ".json")); err != nil || e.N < 1 {
			return nil, fmt.Errorf("example %s: its name must be a number from 1 on", name)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("example %s: %w", name, err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Example) int {
		if a.Type != b.Type {
			return strings.Compare(a.Type, b.Type)
		}
		return a.N - b.N
	})
	return all, nil
}

// Header returns the value of the first header of a key, empty when there is none.
func (e Example) Header(key string) string {
	for _, h := range e.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return ""
}
