package main

import (
	"testing"

	"github.com/troupe-dev/troupe/loadtest/overlay"
)

// What is taken out must be where it is said to be; whether the rest compiles, -price finds out.
func TestPartsAreFound(t *testing.T) {
	all, err := parts()
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	for _, p := range all {
		if _, err := overlay.Apply("../..", p.Edits); err != nil || len(p.Edits) == 0 {
			t.Errorf("%s: %d edits, %v", p.Name, len(p.Edits), err)
		}
	}
}
