package fault_test

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// The class is found through what an error is wrapped in, and the outermost one counts.
func Example() {
	err := fault.New(fault.Unavailable, "gateway: %w", errors.New("connection refused"))
	err = fmt.Errorf("charge order o-1: %w", err)
	fmt.Println(fault.ClassOf(err), "|", err)
	fmt.Println(fault.ClassOf(fault.As(fault.Permanent, err)))
	fmt.Println(fault.ClassOf(errors.New("something else")))
	// Output:
	// unavailable | charge order o-1: gateway: connection refused
	// permanent
	// transient
}
