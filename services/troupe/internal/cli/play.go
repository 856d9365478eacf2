package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

func playCommand() *cobra.Command {
	o := play.Options{}
	var ports string
	cmd := &cobra.Command{
		Use:   "play",
		Short: "Start everything on this machine, each part a process that can be killed; Ctrl-C stops it",
		Long: `Starts an embedded Kafka-protocol broker, an embedded Redis, a gateway simulator, a mailbox and the five services as separate
processes, starts each again when it dies, and stops all of them on Ctrl-C. The broker's log, the ledger and the mails are kept in
--dir from one time to the next. Each --NAME-port can be set by TROUPE_NAME_PORT too. Other variables reach the services as they are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settlePorts(cmd, &o, ports); err != nil {
				return usageError{err}
			}
			o.Environ = os.Environ()
			var err error
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program to run it again: %w", err)
			}
			o.Out, o.Style = cmd.OutOrStdout(), terminal.StyleOf(cmd.OutOrStdout())
			err = play.Run(cmd.Context(), o)
			var e *fault.Error
			if errors.As(err, &e) && e.Class == fault.Invalid && e.Field != "" {
				return usageError{err}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", playDir(), "directory of the broker's log, the ledger and the mails [TROUPE_DIR]")
	f.BoolVar(&o.Fresh, "fresh", false, "forget everything in --dir first")
	f.BoolVar(&o.SyncWrites, "sync-writes", false,
		"let the embedded broker write through to the disk: orders survive a power cut too, and take longer")
	f.StringVar(&ports, "ports", "fixed", "fixed, or auto: free ones for every port that is not set")
	f.StringToIntVar(&o.Instances, "instances", nil, "several instances of services, such as `order=2,payment=3`")
	f.Lookup("instances").DefValue = "" // is shown as [] otherwise
	f.IntVar(&o.Brokers, "brokers", 1, "brokers of the embedded cluster, all in one process; with 2 to 5 the control API can move leaders")
	f.StringSliceVar(&o.KafkaBrokers, "kafka-brokers", nil, "host:port of a real Kafka, separated by commas, instead of the embedded broker")
	f.StringVar(&o.RedisAddr, "redis-addr", "", "host:port of a real Redis instead of the embedded one")
	f.StringArrayVar(&o.Env, "env", nil,
		"[PROCESS:]NAME=VALUE, a variable of one process (such as payment-2) or of all services that wins over what is set here: say, the address of a proxy put in between")
	f.StringVar(&o.Auth, "auth", "", "off: the services take no tokens, and the playground runs no issuer")
	f.DurationVar(&o.PaymentDeadline, "payment-deadline", time.Minute, "how long an order waits for its payment")
	for _, p := range play.PortList {
		f.IntVar(p.Of(&o.Ports), p.Flag(), p.Default, "port of "+p.Name+" on 127.0.0.1; 0 takes a free one")
	}
	return cmd
}

// settlePorts lets the flag win over the variable over the default, which is a free port with auto.
func settlePorts(cmd *cobra.Command, o *play.Options, mode string) error {
	if mode != "fixed" && mode != "auto" {
		return fault.Field("--ports", "must be fixed or auto, is %q", mode)
	}
	for _, p := range play.PortList {
		n := p.Of(&o.Ports)
		switch v := os.Getenv(p.Variable()); {
		case cmd.Flags().Changed(p.Flag()):
		case v != "":
			var err error
			if *n, err = strconv.Atoi(v); err != nil || *n < 0 || *n > 65535 {
				return fault.Field(p.Variable(), "must be 0 to 65535, is %q", v)
			}
		case mode == "auto":
			*n = 0
		}
	}
	return nil
}
