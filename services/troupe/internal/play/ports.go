package play

import (
	"errors"
	"math/rand/v2"
	"net"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Free ports are taken from below the ranges that systems use for outgoing connections, so that none is taken between two lives
// of a process.
const (
	freeFrom, freeTo = 20000, 32000
	freeTries        = 500
)

// ports settles every port: those that are 0 become free ones, the others must be free. All that are taken are named at once,
// each with what changes it. A port of something external, or of what does not run, is not looked at.
func (o *Options) settlePorts() error {
	var taken []error
	used := map[int]string{}
	for _, p := range PortList {
		if p.Name == "kafka" && len(o.KafkaBrokers) > 0 || p.Name == "redis" && o.RedisAddr != "" ||
			p.Name == "issuer" && o.Auth == AuthOff {
			continue
		}
		n := p.Of(&o.Ports)
		if *n == 0 {
			continue
		}
		if other := used[*n]; other != "" {
			taken = append(taken, fault.Field("--"+p.Flag(), "port %d is that of %s too", *n, other))
		} else if !isFree(*n) {
			taken = append(taken, fault.Field("--"+p.Flag(),
				"port %d is taken by another program; stop that, or choose another port by this flag or %s", *n, p.Variable()))
		}
		used[*n] = p.Name
	}
	if len(taken) > 0 {
		return errors.Join(taken...)
	}
	for _, p := range PortList {
		if n := p.Of(&o.Ports); *n == 0 {
			if *n = freePort(used); *n == 0 {
				return fault.New(fault.Unavailable, "no free port for %s between %d and %d", p.Name, freeFrom, freeTo)
			}
			used[*n] = p.Name
		}
	}
	return o.settleBrokerPorts(used)
}

// settleBrokerPorts takes a port for each embedded broker beside the first, and for what makes them fail.
func (o *Options) settleBrokerPorts(used map[int]string) (err error) {
	if len(o.KafkaBrokers) > 0 {
		return nil
	}
	for i := 2; i <= o.Brokers; i++ {
		n, err := o.instancePort(o.Ports.Kafka, i, used)
		if err != nil {
			return err
		}
		o.further = append(o.further, n)
	}
	if o.brokerControl = freePort(used); o.brokerControl == 0 {
		return fault.New(fault.Unavailable, "no free port between %d and %d", freeFrom, freeTo)
	}
	return nil
}

// takenPorts are all that were settled.
func (o *Options) takenPorts() map[int]string {
	used := map[int]string{o.brokerControl: "broker control"}
	for _, n := range o.further {
		used[n] = "broker"
	}
	for _, p := range PortList {
		used[*p.Of(&o.Ports)] = p.Name
	}
	return used
}

// instancePort is the port of an instance: that of a further one is 100 apart from the one before when that is free, any free one
// otherwise.
func (o *Options) instancePort(first, instance int, used map[int]string) (int, error) {
	if instance == 1 {
		return first, nil
	}
	n := first + 100*(instance-1)
	if n <= 65535 && used[n] == "" && isFree(n) {
		used[n] = "instance"
		return n, nil
	}
	if n = freePort(used); n == 0 {
		return 0, fault.New(fault.Unavailable, "no free port between %d and %d", freeFrom, freeTo)
	}
	used[n] = "instance"
	return n, nil
}

func freePort(used map[int]string) int {
	for range freeTries {
		n := freeFrom + rand.IntN(freeTo-freeFrom)
		if used[n] == "" && isFree(n) {
			return n
		}
	}
	return 0
}

func isFree(port int) bool {
	ln, err := net.Listen("tcp", local(port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
