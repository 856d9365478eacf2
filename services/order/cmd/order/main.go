// Command order runs the order service; -help lists its variables.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/order"
)

func main() { os.Exit(lifecycle.Main(order.Name, order.Run)) }
