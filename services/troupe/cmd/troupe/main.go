// Command troupe plays a whole troupe of services on one machine, and places orders with it.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/services/troupe/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
