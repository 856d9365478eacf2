package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	consoles "github.com/troupe-dev/troupe/services/console"
	"github.com/troupe-dev/troupe/services/notification"
	"github.com/troupe-dev/troupe/services/order"
	"github.com/troupe-dev/troupe/services/payment"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/internal/access"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/redis"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

// parts are what a process of the playground can be; each takes its configuration from the environment.
var parts = map[string]func() int{
	"broker":       func() int { return lifecycle.Main("broker", broker.Run) },
	"redis":        func() int { return lifecycle.Main("redis", redis.Run) },
	"grant":        func() int { return lifecycle.Main("grant", access.Grant) },
	"provision":    func() int { return lifecycle.Main("provision", access.Provision) },
	"gateway":      func() int { return lifecycle.Main("gateway", gateway.Run) },
	"mailbox":      func() int { return lifecycle.Main("mailbox", mailbox.Run) },
	"order":        func() int { return lifecycle.Main("order", order.Run) },
	"payment":      func() int { return lifecycle.Main("payment", payment.Run) },
	"notification": func() int { return lifecycle.Main("notification", notification.Run) },
	"query":        func() int { return lifecycle.Main("query", query.Run) },
	"console":      func() int { return lifecycle.Main("console", consoles.Run) },
}

// alone are the parts that are commands of their own, say for compose.
var alone = []string{"gateway", "grant", "provision"}

// runPart runs "run PART ARGS…", and the commands that are parts, as the program of that part, which has its own flags
// and signals. ok is false for every other command line.
func runPart(args []string) (code int, ok bool) {
	switch {
	case len(args) > 0 && slices.Contains(alone, args[0]):
	case len(args) > 0 && args[0] == "run":
		args = args[1:]
	default:
		return 0, false
	}
	names := strings.Join(slices.Sorted(maps.Keys(parts)), ", ")
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, "troupe run: needs what to run, one of %s\n", names)
		return exitUsage, true
	}
	main, found := parts[args[0]]
	if !found {
		fmt.Fprintf(os.Stderr, "troupe run: nothing called %q, there are %s\n", args[0], names)
		return exitUsage, true
	}
	os.Args = append([]string{args[0]}, args[1:]...)
	return main(), true
}

// partCommand is for the help only: runPart runs it.
func partCommand(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short + "; troupe " + name + " -help lists its variables",
		DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error { return nil }}
}
