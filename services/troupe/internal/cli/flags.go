package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func variable(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

// urlFlag is the flag --NAME-url, or the variable TROUPE_NAME_URL.
func urlFlag(cmd *cobra.Command, to *string, name, otherwise, of string) {
	v := "TROUPE_" + strings.ToUpper(name) + "_URL"
	cmd.Flags().StringVar(to, name+"-url", variable(v, otherwise), "base URL of "+of+" ["+v+"]")
}

func pageFlags(cmd *cobra.Command, size *int, token *string) {
	cmd.Flags().IntVar(size, "page-size", 0, "at most so many; 0 is the service's default")
	cmd.Flags().StringVar(token, "page-token", "", "what the page before named as more")
}

// errNotDone is what took longer than --timeout.
var errNotDone = errors.New("not done")

// asking are the flags of every command that asks a service.
type asking struct {
	json    bool
	timeout time.Duration
}

func (a *asking) flags(cmd *cobra.Command, within time.Duration) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON, as the contract has it")
	cmd.Flags().DurationVar(&a.timeout, "timeout", within, "give up after this time, with exit code 3; 0s: never")
}

// with calls f with a context that ends after the timeout, or with the command.
func (a *asking) with(cmd *cobra.Command, f func(context.Context, printer) error) error {
	if a.timeout < 0 {
		return usageError{fault.Field("--timeout", "must not be negative, is %s", a.timeout)}
	}
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if a.timeout != 0 {
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
	}
	defer cancel()
	err := f(ctx, printer{cmd.OutOrStdout(), cmd.ErrOrStderr(), a.json})
	if err != nil && ctx.Err() != nil && cmd.Context().Err() == nil { // whatever class the error has, the service was there
		return fmt.Errorf("%w after %s: %s", errNotDone, a.timeout, err.Error())
	}
	return err
}
