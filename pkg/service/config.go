package service

import (
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Config is what can be set from outside of every service.
type Config struct {
	Partitions int `env:"PARTITIONS" envDefault:"12" help:"partitions of every topic; fixed once topics exist"`

	Door      httpdoor.Service
	Kafka     broker.Config
	Redis     taskstore.Config
	Telemetry telemetry.Config
}

// Validate names the variable that is wrong; the configurations in it have their own.
func (c *Config) Validate() error {
	return fault.FieldIf(c.Partitions < 1 || c.Partitions > 1000, "PARTITIONS",
		"must be from 1 to 1000, is %d", c.Partitions)
}
