// Command payment runs the payment service; -help lists its variables.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/payment"
)

func main() { os.Exit(lifecycle.Main(payment.Name, payment.Run)) }
