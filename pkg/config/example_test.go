package config_test

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

type server struct {
	Addr    string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" help:"where it listens, host:port"`
	Timeout time.Duration `env:"TIMEOUT" envDefault:"10s" min:"1s" help:"longest wait for one answer"`
}

// Validate is asked by Load for what no tag can say.
func (s server) Validate() error {
	return fault.FieldIf(s.Addr == ":0", "HTTP_ADDR", "must name a port")
}

func Example() {
	s, err := config.Load[server]([]string{"TIMEOUT=30s"})
	fmt.Println(s.Addr, s.Timeout, err)
	_, err = config.Load[server]([]string{"TIMEOUT=5ms"})
	fmt.Println(err)
	fmt.Print(config.Usage[server]())
	// Output:
	// 127.0.0.1:8080 30s <nil>
	// TIMEOUT: must be at least 1s, is 5ms
	//   HTTP_ADDR  text, default 127.0.0.1:8080
	//       where it listens, host:port
	//   TIMEOUT  a duration, at least 1s, default 10s
	//       longest wait for one answer
}
