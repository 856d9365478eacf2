// Command notification runs the notification service.
package main

import (
	"os"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/notification"
)

func main() { os.Exit(lifecycle.Main("notification", notification.Run)) }
