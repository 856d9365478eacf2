// Command console runs the operators' console; -help lists its variables.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/console"
)

func main() { os.Exit(lifecycle.Main(console.Name, console.Run)) }
