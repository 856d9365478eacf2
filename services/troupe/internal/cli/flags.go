package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func variable(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// urlFlag is the flag --NAME-url, or the variable TROUPE_NAME_URL.
func urlFlag(cmd *cobra.Command, to *string, name, otherwise, of string) {
	v := "TROUPE_" + strings.ToUpper(name) + "_URL"
	cmd.Flags().StringVar(to, name+"-url", variable(v, otherwise), "base URL of "+of+" ["+v+"]")
}

func pageFlags(cmd *cobra.Command, p *rest.Paging) {
	cmd.Flags().IntVar(&p.Size, "page-size", 0, "at most so many; 0 is the service's default")
	cmd.Flags().StringVar(&p.Token, "page-token", "", "what the page before named as more")
}

// asking are the flags of every command that asks a service.
type asking struct {
	json    bool
	timeout time.Duration
}

func (a *asking) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON as the service gives it")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 30*time.Second, "give up after this time, with exit code 3")
}

// with calls f with a context that ends after the timeout, or with the command when unbounded.
func (a *asking) with(cmd *cobra.Command, unbounded bool, f func(context.Context, *printer) error) error {
	if a.timeout <= 0 {
		return usageError{fault.Field("--timeout", "must be more than 0, is %s", a.timeout)}
	}
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if !unbounded {
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
	}
	defer cancel()
	p := newPrinter(cmd, a.json)
	err := f(ctx, p)
	switch {
	case err == nil:
		return p.err
	case ctx.Err() != nil && cmd.Context().Err() == nil: // whatever class the error has, the service was there
		return codedError{fmt.Errorf("not done after %s: %s", a.timeout, err.Error()), exitTimeout}
	}
	return err
}

// exactlyOne takes one argument.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("needs one %s; got %d arguments", what, len(args))}
		}
		return nil
	}
}

func none(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// group makes a command of others, which does nothing itself.
func group(cmd *cobra.Command, of ...*cobra.Command) *cobra.Command {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown command %q", strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "troupe "))}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(of...)
	return cmd
}
