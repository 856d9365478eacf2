package service

import (
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Config is what can be set from outside of every service.
type Config struct {
	Partitions int `env:"PARTITIONS" envDefault:"12" min:"1" max:"1000" help:"partitions of every topic; fixed once topics exist"`

	Door      httpdoor.Service
	Kafka     broker.Config
	Redis     taskstore.Config
	Telemetry telemetry.Config
}
