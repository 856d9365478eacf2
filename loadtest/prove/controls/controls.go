package main

import (
	_ "embed"
	"fmt"
	"slices"

	"github.com/troupe-dev/troupe/loadtest/overlay"
	"github.com/troupe-dev/troupe/schemas/check"
	"go.yaml.in/yaml/v4"
)

// Control is the product without one of its guards, as controls.yaml says it.
type Control struct {
	ID, Without, Breaks string

	// Schedules after which the simulation finds it; 0: it does not, because of Unseen.
	Schedules int
	Unseen    string
	// Outside names why the simulation does not play it; empty: it does.
	Outside string
	// Scene is the name of what is played; empty: it is left to the simulation.
	Scene string
	Red   []check.Guarantee
	Edits []overlay.Edit
}

func (c Control) plays(s scene) bool { return s.Name == c.Scene }

//go:embed controls.yaml
var list []byte

// readList returns all controls, in the order of the cycle.
func readList() ([]Control, error) {
	var all struct {
		Outside  map[string]string
		Controls []Control
	}
	if err := yaml.Load(list, &all, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("controls.yaml: %w", err)
	}
	for i := range all.Controls {
		c := &all.Controls[i]
		if c.Outside != "" {
			c.Unseen = all.Outside[c.Outside]
		}
		if c.Scene != "" && !slices.ContainsFunc(scenes, c.plays) {
			return nil, fmt.Errorf("controls.yaml: %s: no scene %q", c.ID, c.Scene)
		}
	}
	return all.Controls, nil
}
