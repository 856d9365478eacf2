//go:build ignore

// Checks what "docker compose config --format json" printed (on standard input) against the rules of the demo stack:
// images pinned, ports on loopback, a health check and a memory limit each, 1.5 GB in all without profiles.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

type service struct {
	Image    string          `json:"image"`
	Build    json.RawMessage `json:"build"`
	MemLimit string          `json:"mem_limit"`
	Profiles []string        `json:"profiles"`
	Health   *struct {
		Disable bool `json:"disable"`
	} `json:"healthcheck"`
	Ports []struct {
		HostIP    string `json:"host_ip"`
		Published string `json:"published"`
	} `json:"ports"`
}

const limit = 1_500_000_000

func main() {
	var stack struct {
		Services map[string]service `json:"services"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&stack); err != nil {
		fmt.Fprintln(os.Stderr, "docker-compose.yml:", err)
		os.Exit(1)
	}
	var wrong []string
	var sum int64
	for name, s := range stack.Services {
		bytes, err := strconv.ParseInt(s.MemLimit, 10, 64)
		if err != nil || bytes == 0 {
			wrong = append(wrong, name+": has no mem_limit")
		}
		if len(s.Profiles) == 0 {
			sum += bytes
		}
		// What is built here has the health check of services/Dockerfile.
		if s.Build == nil && s.Health == nil || s.Health != nil && s.Health.Disable {
			wrong = append(wrong, name+": has no health check")
		}
		if _, tag, ok := strings.Cut(s.Image, ":"); s.Build == nil && (!ok || tag == "latest") {
			wrong = append(wrong, name+": image "+s.Image+" is not pinned")
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				wrong = append(wrong, name+": port "+p.Published+" is not on 127.0.0.1")
			}
		}
	}
	if sum > limit {
		wrong = append(wrong, fmt.Sprintf("memory limits sum to %d bytes, more than %d", sum, limit))
	}
	if len(stack.Services) == 0 {
		wrong = append(wrong, "there are no services")
	}
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, "docker-compose.yml:", w)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
	fmt.Printf("docker-compose.yml: %d services, %d MB at most without profiles, all on loopback\n", len(stack.Services), sum/1_000_000)
}
