package play

import (
	"errors"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/freeport"
)

// ports are those that are not to be taken again, each with what it is for.
type ports map[int]string

// settlePorts settles every port: those that are 0 become free ones, the others must be free. All that are taken are named at
// once, each with what changes it. A port of something external, or of what does not run, is not looked at.
func (o *Options) settlePorts() (err error) {
	o.taken = ports{}
	var taken []error
	for _, p := range PortList {
		if p.Name == "kafka" && len(o.KafkaBrokers) > 0 || p.Name == "redis" && o.RedisAddr != "" ||
			p.Name == "issuer" && o.Auth == AuthOff {
			continue
		}
		n := *p.Of(&o.Ports)
		if n == 0 {
			continue
		}
		if other := o.taken[n]; other != "" {
			taken = append(taken, fault.Field("--"+p.Flag(), "port %d is that of %s too", n, other))
		} else if !freeport.IsFree(n) {
			taken = append(taken, fault.Field("--"+p.Flag(),
				"port %d is taken by another program; stop that, or choose another port by this flag or %s", n, p.Variable()))
		}
		o.taken[n] = p.Name
	}
	if len(taken) > 0 {
		return errors.Join(taken...)
	}
	for _, p := range PortList {
		if n := p.Of(&o.Ports); *n == 0 {
			if *n, err = o.taken.free(p.Name); err != nil {
				return err
			}
		}
	}
	if len(o.KafkaBrokers) > 0 {
		return nil
	}
	for i := 1; i < o.Brokers; i++ {
		n, err := o.taken.instance("broker", o.Ports.Kafka, i)
		if err != nil {
			return err
		}
		o.further = append(o.further, n)
	}
	return nil
}

// instance is the port of an instance, the further-th after the first: 100 apart from the one before when that is free, any free
// one otherwise.
func (p ports) instance(name string, first, further int) (int, error) {
	n := first + 100*further
	switch {
	case further == 0:
		return n, nil
	case n <= 65535 && p[n] == "" && freeport.Reserve(n):
		p[n] = name
		return n, nil
	}
	return p.free(name)
}

// free takes a free port.
func (p ports) free(name string) (int, error) {
	for n := freeport.Take(); n != 0; n = freeport.Take() {
		if p[n] == "" { // somebody may have chosen it
			p[n] = name
			return n, nil
		}
	}
	return 0, fault.New(fault.Unavailable, "no free port for %s", name)
}
