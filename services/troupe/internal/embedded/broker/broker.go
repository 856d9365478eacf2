// Package broker runs kfake, the stand-in of the playground for Kafka. It is a fake that speaks the real protocol: good
// enough to learn, test and break things with, and no place to keep orders.
package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Signals that make a cluster of several brokers move what they lead. Before it listens they would end it.
const (
	MoveLeaders      = syscall.SIGUSR1 // every partition gets a leader drawn anew
	MoveCoordinators = syscall.SIGUSR2 // every consumer group gets another coordinator
)

// Config of the embedded broker.
type Config struct {
	Addr       string   `env:"BROKER_ADDR" envDefault:"127.0.0.1:9092" help:"address to listen on, host:port; clients are sent to this address too"`
	Further    []string `env:"BROKER_FURTHER_ADDRS" help:"addresses of further brokers of the same cluster, host:port separated by commas; they live in the same process"`
	Dir        string   `env:"BROKER_DIR" help:"directory where records, topics and offsets are kept; empty keeps them in memory only, and the broker's death loses every order"`
	SyncWrites bool     `env:"BROKER_SYNC_WRITES" envDefault:"false" help:"write every batch through to the disk before it is acknowledged. Without it a killed broker loses nothing, a power cut may"`
	LogFormat  string   `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`
}

// Run serves a Kafka-protocol cluster until ctx ends. The sessions of consumers may be shorter than Kafka allows by
// default, so that a killed service is missed within a second or two.
func Run(ctx context.Context, cfg Config) error {
	moves := make(chan os.Signal, 2) // one of each may come before the data is read
	signal.Notify(moves, MoveLeaders, MoveCoordinators)
	defer signal.Stop(moves)
	lns, err := listenAll(cfg)
	if err != nil {
		return err
	}
	nodes, next := len(lns), 0
	opts := []kfake.Opt{
		kfake.NumBrokers(nodes),
		kfake.ListenFn(func(string, string) (net.Listener, error) { // called once per broker, in order
			next++
			return lingering{lns[next-1]}, nil
		}),
		kfake.ClusterID("troupe-playground"),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.WithLogger(logger{}),
	}
	if cfg.Dir != "" {
		opts = append(opts, kfake.DataDir(cfg.Dir))
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return fmt.Errorf("open the broker's data in %q: %w", cfg.Dir, err)
	}
	defer cluster.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-moves:
			if s == MoveLeaders {
				cluster.ShufflePartitionLeaders()
			} else {
				cluster.RehashCoordinators()
			}
			slog.Info("moved", "signal", s.String())
		}
	}
}

// listenAll opens the addresses of all brokers, or none.
func listenAll(cfg Config) ([]net.Listener, error) {
	var lns []net.Listener
	for i, addr := range append([]string{cfg.Addr}, cfg.Further...) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			for _, ln := range lns {
				_ = ln.Close()
			}
			variable := "BROKER_ADDR"
			if i > 0 {
				variable = "BROKER_FURTHER_ADDRS"
			}
			return nil, fault.New(fault.Permanent, "%s: %w", variable, err)
		}
		lns = append(lns, ln)
	}
	return lns, nil
}

// logger passes on what the broker warns of.
type logger struct{}

func (logger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); level {
	case kfake.LogLevelError:
		slog.Error("kfake", "says", text)
	case kfake.LogLevelWarn:
		slog.Warn("kfake", "says", text)
	}
}
