package main

import "testing"

// What is taken out must be where it is said to be; whether the rest compiles, -price finds out.
func TestPartsAreFound(t *testing.T) {
	for _, p := range parts {
		if _, err := p.changed("../.."); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
