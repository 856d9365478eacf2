package rig

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the ranges that systems use for outgoing connections, so that none is taken between two lives of a process.
const (
	firstPort, lastPort = 20000, 32000
	portTries           = 1000
)

// FreePorts returns n different ones of loopback; nil when there are none.
func FreePorts(n int) []int {
	var ports []int
	used := map[int]bool{}
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if used[port] {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil || ln.Close() != nil {
			continue
		}
		used[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	return nil
}
