package lifecycle_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
)

// Parts stop in reverse order as soon as the first one ends.
func Example() {
	part := func(name string) lifecycle.Part {
		return lifecycle.Part{Name: name, Run: func(ctx context.Context) error {
			<-ctx.Done()
			fmt.Println(name, "stops")
			return ctx.Err()
		}}
	}
	consumer := lifecycle.Part{Name: "consumer", Run: func(context.Context) error { return errors.New("no topic") }}
	err := lifecycle.Run(context.Background(), part("store"), part("http"), consumer)
	fmt.Println(err)
	// Output:
	// http stops
	// store stops
	// consumer: no topic
}
