// Command query runs the query service; -help lists its variables.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/query"
)

func main() { os.Exit(lifecycle.Main(query.Name, query.Run)) }
