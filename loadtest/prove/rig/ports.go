package rig

import "github.com/troupe-dev/troupe/services/troupe/freeport"

// FreePorts returns n of loopback, which nobody else draws while this process lives; nil when there are none.
func FreePorts(n int) []int {
	ports := make([]int, n)
	for i := range ports {
		if ports[i] = freeport.Take(); ports[i] == 0 {
			return nil
		}
	}
	return ports
}
