package config_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

type Broker struct {
	Brokers  []string      `env:"BROKERS" envDefault:"127.0.0.1:9092" help:"where the log is"`
	Password config.Secret `env:"PASSWORD" help:"of the user"`
}

func (b Broker) Validate() error {
	if len(b.Brokers) > 2 {
		return fault.Field("BROKERS", "must name at most 2")
	}
	return nil
}

type settings struct {
	Broker
	Store struct {
		Size int `env:"SIZE" envDefault:"12" min:"1" max:"12" help:"how many"`
	} `envPrefix:"STORE_"`
	Wait      time.Duration  `env:"WAIT" envDefault:"15m" min:"1s" help:"how long"`
	Mode      string         `env:"MODE" envDefault:"fast" oneof:"fast safe" help:"how"`
	Log       bool           `env:"LOG" envDefault:"true"`
	Level     slog.Level     `env:"LEVEL" envDefault:"info" help:"from here on"`
	Listening func(net.Addr) `env:"-"`
}

func TestLoadTakesDefaultsAndValues(t *testing.T) {
	t.Setenv("WAIT", "1s") // of the process: must not leak in
	c, err := config.Load[settings]([]string{"BROKERS=a:1,b:2", "STORE_SIZE=3", "LOG="})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Brokers, " ") != "a:1 b:2" || c.Store.Size != 3 || c.Wait != 15*time.Minute || !c.Log {
		t.Errorf("got %+v", c)
	}
	if c, err = config.Load[settings](nil); err != nil || c.Store.Size != 12 || c.Brokers[0] != "127.0.0.1:9092" {
		t.Errorf("with nothing set: %+v, %v", c, err)
	}
}

func TestErrorsNameTheVariable(t *testing.T) {
	for _, tc := range []struct {
		environ string
		want    []string
	}{
		{"STORE_SIZE=many", []string{"STORE_SIZE: must be a whole number"}},
		{"WAIT=5", []string{"WAIT: must be a duration"}},
		{"WAIT=5 STORE_SIZE=x LOG=perhaps", []string{"WAIT: ", "STORE_SIZE: ", "LOG: must be true or false"}},
		{"LEVEL=loud", []string{"LEVEL: must be text: "}},
		{"WAIT=999ms", []string{"WAIT: must be at least 1s, is 999ms"}},
		{"STORE_SIZE=0", []string{"STORE_SIZE: must be from 1 to 12, is 0"}},
		{"STORE_SIZE=13", []string{"STORE_SIZE: must be from 1 to 12, is 13"}},
		{"MODE=slow", []string{"MODE: must be one of fast, safe, is slow"}},
		{"WAIT=-5s MODE=f BROKERS=a,b,c", []string{"WAIT: must be at least", "MODE: ", "BROKERS: must name at most 2"}},
	} {
		t.Run(tc.environ, func(t *testing.T) {
			_, err := config.Load[settings](strings.Fields(tc.environ))
			if err == nil {
				t.Fatal("no error")
			}
			if fault.ClassOf(err) != fault.Invalid {
				t.Errorf("class %s", fault.ClassOf(err))
			}
			for _, want := range tc.want {
				if strings.Count(err.Error(), want) != 1 {
					t.Errorf("error %q does not hold %q once", err, want)
				}
			}
		})
	}
}

func TestAnEmbeddedComplaintComesOnce(t *testing.T) {
	type promoted struct{ Broker }
	_, err := config.Load[promoted]([]string{"BROKERS=a,b,c"})
	if err == nil || strings.Count(err.Error(), "BROKERS") != 1 {
		t.Errorf("got %v", err)
	}
}

func TestASecretComesFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load[settings]([]string{"PASSWORD_FILE=" + file})
	if got, rerr := c.Password.Read(); err != nil || rerr != nil || got != "hunter2" {
		t.Errorf("got %q, %v, %v", got, err, rerr)
	}
	for environ, want := range map[string]string{
		"PASSWORD_FILE=/dev/null":                 "PASSWORD_FILE: /dev/null is empty",
		"PASSWORD_FILE=" + file + " PASSWORD=x":   "PASSWORD_FILE: and PASSWORD are both set",
		"PASSWORD_FILE=" + file + ".none WAIT=1s": "PASSWORD_FILE: open ",
	} {
		if _, err := config.Load[settings](strings.Fields(environ)); fault.ClassOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", environ, err)
		}
	}
	withDefault, err := config.Load[struct {
		Key config.Secret `env:"KEY" envDefault:"of-a-simulator"`
	}]([]string{"KEY=", "KEY_FILE=" + file})
	if got, rerr := withDefault.Key.Read(); err != nil || rerr != nil || got != "hunter2" {
		t.Errorf("a file beside a default: got %q, %v, %v", got, err, rerr)
	}
	c, err = config.Load[settings]([]string{"STORE_SIZE_FILE=" + file}) // no secret
	if err != nil || c.Store.Size != 12 {
		t.Errorf("a file for what is no secret: %+v, %v", c, err)
	}
}

func TestMaskedHidesSecrets(t *testing.T) {
	c, err := config.Load[settings]([]string{"PASSWORD=hunter2", "BROKERS=a:1,b:2"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range config.Masked(c) {
		got = append(got, a.String())
	}
	want := "BROKERS=a:1,b:2 PASSWORD=(set) STORE_SIZE=12 WAIT=15m0s MODE=fast LOG=true LEVEL=INFO"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if v, ok := config.Value(c, "PASSWORD"); ok || v != "" {
		t.Errorf("Value shows a secret: %q", v)
	}
	if v, ok := config.Value(c, "STORE_SIZE"); !ok || v != "12" {
		t.Errorf("Value(STORE_SIZE) = %q, %v", v, ok)
	}
}

func TestUsageListsEveryVariable(t *testing.T) {
	u := config.Usage[settings]()
	for _, want := range []string{
		"BROKERS  a list separated by commas, default 127.0.0.1:9092\n      where the log is\n",
		"PASSWORD  text, default empty, secret; or a file that holds it, by PASSWORD_FILE\n",
		"STORE_SIZE  a whole number, from 1 to 12, default 12\n",
		"LEVEL  text, default info\n",
		"WAIT  a duration, at least 1s, default 15m\n",
		"MODE  text, one of fast, safe, default fast\n",
	} {
		if !strings.Contains(u, want) {
			t.Errorf("usage lacks %q:\n%s", want, u)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for text, taken := range map[string]bool{
		"http://127.0.0.1:8080": true, "https://example.com/api": true, "127.0.0.1:8084": false, ":": false, "http://": false,
		"http://user:pass@host": false, "ftp://host": false, "http://host?x=1": false, "http://host#x": false,
	} {
		if u, err := config.BaseURL("API_URL", text); (err == nil) != taken || u == nil || err != nil && !strings.HasPrefix(err.Error(), "API_URL: ") {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for _, text := range []string{"http://user:hunter2@host", "http://user:hunter2@ho st"} {
		if _, err := config.BaseURL("API_URL", text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
