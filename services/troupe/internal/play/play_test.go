package play

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

func options(t *testing.T) Options {
	t.Helper()
	return Options{Dir: t.TempDir(), PaymentDeadline: time.Minute}
}

func TestRefusesWrongOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Options)
		field  string
	}{
		"no directory":         {func(o *Options) { o.Dir = "" }, "--dir"},
		"negative port":        {func(o *Options) { o.Ports.SMTP = -1 }, "--smtp-port"},
		"port too large":       {func(o *Options) { o.Ports.Kafka = 65536 }, "--kafka-port"},
		"unknown service":      {func(o *Options) { o.Instances = map[string]int{"broker": 2} }, "--instances"},
		"no instances":         {func(o *Options) { o.Instances = map[string]int{"order": 0} }, "--instances"},
		"too many":             {func(o *Options) { o.Instances = map[string]int{"order": 21} }, "--instances"},
		"kafka without a port": {func(o *Options) { o.KafkaBrokers = []string{"kafka"} }, "--kafka-brokers"},
		"redis without a port": {func(o *Options) { o.RedisAddr = "redis" }, "--redis-addr"},
		"env without a value":  {func(o *Options) { o.Env = []string{"payment:KAFKA_MAX_WAIT"} }, "--env"},
		"env without a name":   {func(o *Options) { o.Env = []string{"payment:=1"} }, "--env"},
		"env of nobody":        {func(o *Options) { o.Env = []string{"paymint:A=1"} }, "--env"},
		"env of no instance":   {func(o *Options) { o.Env = []string{"redis-2:A=1"} }, "--env"},
		"env of one too many":  {func(o *Options) { o.Env = []string{"payment-2:A=1"} }, "--env"},
		"too many brokers":     {func(o *Options) { o.Brokers = 6 }, "--brokers"},
		"short deadline":       {func(o *Options) { o.PaymentDeadline = time.Millisecond }, "--payment-deadline"},
	} {
		o := options(t)
		tt.change(&o)
		if err := Run(t.Context(), o); fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), tt.field+": ") {
			t.Errorf("%s: got %v, want an invalid %s", name, err, tt.field)
		}
	}
}

func TestNamesEveryWrongOption(t *testing.T) {
	o := options(t)
	o.Dir, o.RedisAddr, o.Ports.SMTP = "", "redis", -1
	o.Env = []string{"payment:=1", "nobody:A=1"}
	err := Run(t.Context(), o)
	for _, want := range []string{
		"--dir: must", "--redis-addr: must", "--smtp-port: must", "--env: must", `no process "nobody"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestNamesEveryTakenPort(t *testing.T) {
	o := options(t)
	var held []net.Listener
	for _, p := range []*int{&o.Ports.Order, &o.Ports.Redis, &o.Ports.Console} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, ln)
		*p = ln.Addr().(*net.TCPAddr).Port
	}
	o.Ports.Query = o.Ports.Order
	err := Run(t.Context(), o)
	for _, want := range []string{"--console-port", "TROUPE_CONSOLE_PORT", "--query-port", "--order-port", "is that of query too", "--redis-port", "TROUPE_REDIS_PORT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	for _, ln := range held {
		_ = ln.Close()
	}
	if _, err := os.Stat(filepath.Join(o.Dir, playgroundFile)); err == nil {
		t.Error("says that it is ready")
	}
}

func TestExternalStoresNeedNoPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	o := options(t)
	o.KafkaBrokers, o.RedisAddr = []string{"127.0.0.1:19092"}, "127.0.0.1:16379"
	o.Ports.Kafka = ln.Addr().(*net.TCPAddr).Port
	o.Environ = []string{"KAFKA_SASL_USER=me", "REDIS_PASSWORD=p", "KAFKA_REPLICATION_FACTOR=3", "LOG_FORMAT=text"}
	if err := o.settlePorts(); err != nil {
		t.Fatal(err)
	}
	list, err := o.processes(o.playground(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(list); got != "gateway mailbox order payment notification query console" {
		t.Errorf("processes = %s", got)
	}
	env := variables(list[2])
	for name, want := range map[string]string{"KAFKA_BROKERS": "127.0.0.1:19092", "REDIS_ADDRS": "127.0.0.1:16379",
		"KAFKA_SASL_USER": "me", "REDIS_PASSWORD": "p", "KAFKA_REPLICATION_FACTOR": "3", "LOG_FORMAT": "json"} {
		if env[name] != want {
			t.Errorf("order has %s=%s, want %s", name, env[name], want)
		}
	}
}

// variables of a process, as the program gets them: the last of a name.
func variables(p supervise.Spec) map[string]string {
	all := map[string]string{}
	for _, e := range p.Env {
		name, value, _ := strings.Cut(e, "=")
		all[name] = value
	}
	return all
}

func names(list []supervise.Spec) string {
	var n []string
	for _, p := range list {
		n = append(n, p.Name)
	}
	return strings.Join(n, " ")
}

func TestProcesses(t *testing.T) {
	o := options(t)
	o.Instances = map[string]int{"payment": 3, "console": 2}
	o.Environ = []string{"PATH=/bin", "KAFKA_TLS=true", "KAFKA_SASL_USER=me", "REDIS_PASSWORD=p", "KAFKA_BROKERS=elsewhere:1",
		"KAFKA_REPLICATION_FACTOR=3"}
	if err := o.settlePorts(); err != nil {
		t.Fatal(err)
	}
	list, err := o.processes(o.playground(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(list); got != "broker redis gateway mailbox order payment payment-2 payment-3 notification query console console-2" {
		t.Fatalf("processes = %s", got)
	}
	addresses := map[string]bool{}
	for _, p := range list {
		for name, a := range p.Addresses {
			if addresses[a] {
				t.Errorf("%s: two processes have the %s address %s", p.Name, name, a)
			}
			addresses[a] = true
		}
		env := variables(p)
		secured := slices.Contains(services, p.Service) && env["KAFKA_TLS"]+env["KAFKA_SASL_USER"]+env["REDIS_PASSWORD"] != ""
		if secured || env["PATH"] != "/bin" {
			t.Errorf("%s: environment %v", p.Name, p.Env)
		}
	}
	if p := list[7]; p.Instance != 3 || p.Service != "payment" || strings.Join(p.Args, " ") != "run payment" {
		t.Errorf("payment-3 = %+v", p)
	}
	for i, port := range []int{o.Ports.Console, o.Ports.Console + 100} {
		q := list[10+i]
		at := q.Addresses["console"]
		if !slices.Contains(q.Env, "CONSOLE_ADDR="+strings.TrimPrefix(at, "http://")) || at != "http://"+local(port) && i == 0 || at == "" {
			t.Errorf("%s: console at %q, environment %v", q.Name, at, q.Env)
		}
	}
	if env := variables(list[4]); env["KAFKA_BROKERS"] != local(o.Ports.Kafka) || env["KAFKA_REPLICATION_FACTOR"] != "1" {
		t.Errorf("order: environment %v", list[4].Env)
	}
}

func TestEnvOfOneProcessAndOfAllServices(t *testing.T) {
	o := options(t)
	o.Instances = map[string]int{"payment": 2}
	o.Env = []string{"REDIS_ADDRS=all:1", "payment-2:REDIS_ADDRS=two:2", "broker:A=http://b:3/=x"}
	if err := o.settlePorts(); err != nil {
		t.Fatal(err)
	}
	list, err := o.processes(o.playground(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		addr, a := "all:1", ""
		switch {
		case p.Name == "payment-2":
			addr = "two:2"
		case p.Name == "broker":
			addr, a = "", "http://b:3/=x"
		case slices.Contains(stores, p.Name):
			addr = ""
		}
		if env := variables(p); env["REDIS_ADDRS"] != addr || env["A"] != a {
			t.Errorf("%s has REDIS_ADDRS=%s and A=%s, want %s and %s", p.Name, env["REDIS_ADDRS"], env["A"], addr, a)
		}
		if id := "KAFKA_CLIENT_ID=" + p.Name; slices.Contains(services, p.Service) && !slices.Contains(p.Env, id) {
			t.Errorf("%s has no %s", p.Name, id)
		}
	}
}

func TestSeveralBrokers(t *testing.T) {
	o := options(t)
	o.Brokers, o.Instances = 3, map[string]int{"payment": 3}
	if err := o.settlePorts(); err != nil {
		t.Fatal(err)
	}
	at := o.playground(1)
	list, err := o.processes(at)
	if err != nil {
		t.Fatal(err)
	}
	if len(at.Kafka) != 3 || !slices.Contains(list[0].Env, "BROKER_FURTHER_ADDRS="+at.Kafka[1]+","+at.Kafka[2]) {
		t.Errorf("kafka at %v; the broker's environment %v", at.Kafka, list[0].Env)
	}
	for _, p := range list[4:8] {
		if !slices.Contains(p.Env, "KAFKA_BROKERS="+strings.Join(at.Kafka, ",")) {
			t.Errorf("%s: environment %v", p.Name, p.Env)
		}
		if slices.Contains(at.Kafka, strings.TrimPrefix(p.Addresses["http"], "http://")) {
			t.Errorf("%s has the port of a broker", p.Name)
		}
	}
}

// A signal that came before the broker knows it would end the broker.
func TestNothingMovesWhileTheBrokerIsAway(t *testing.T) {
	o := Options{Brokers: 2}
	starting := supervise.New(supervise.Spec{Name: "broker", Path: "/bin/sleep", Args: []string{"600"}, StopWithin: time.Minute},
		func(string, []byte) {}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = starting.Run(ctx) }) // never fails
	for starting.Status().PID == 0 {
		runtime.Gosched()
	}
	before := starting.Status()
	within, done := context.WithTimeout(ctx, 100*time.Millisecond)
	defer done()
	stores := o.controlled(Playground{Kafka: []string{"127.0.0.1:1"}}, []*supervise.Process{starting})
	for name, move := range map[string]func(context.Context) error{"leaders": stores.MoveLeaders, "coordinators": stores.MoveCoordinators} {
		if err := move(within); fault.ClassOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := starting.Status(); now.PID != before.PID || now.Restarts > 0 {
		t.Errorf("%+v, and then %+v", before, now)
	}
}

func TestDirectoryIsForOne(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "kafka", "old")
	own := filepath.Join(dir, "mine")
	for _, f := range []string{old, own} {
		if err := os.MkdirAll(f, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	release, err := openDir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDir(dir, true); err == nil || !strings.Contains(err.Error(), "another playground") {
		t.Errorf("second playground: %v", err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("wiped by the one that was refused: %v", err)
	}
	at := Playground{PID: os.Getpid(), Order: "http://127.0.0.1:1"}
	if err := at.write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(dir); err != nil || got.Order != at.Order || got.PID != at.PID {
		t.Errorf("found %+v, %v", got, err)
	}
	gone := exec.CommandContext(t.Context(), "/bin/sleep", "0")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if err := (Playground{PID: gone.Process.Pid}).write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(dir); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("of one that was killed: %v", err)
	}
	release()
	if _, err := Find(dir); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("after the end: %v", err)
	}
	if release, err = openDir(dir, true); err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := os.Stat(old); err == nil {
		t.Error("fresh kept the old log")
	}
	if _, err := os.Stat(own); err != nil {
		t.Error("fresh took what is not the playground's")
	}
}

func TestLogsHaveOneShape(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local)
	l := &logs{out: &out, width: 9, now: func() time.Time { return at }}
	stamp := at.Format(time.RFC3339Nano)
	for _, line := range []struct{ name, raw string }{
		{"order", `{"time":"` + stamp + `","level":"INFO","msg":"order placed","service":"order","order_id":"o-1","n":3,"text":"a b","c":{"x":1},"e":""}`},
		{"payment-2", "panic: \x1b[31mred"},
		{"query", `{"level":"INFO"}`},
		{"query", `{"time":"` + stamp + `","level":"WARN","msg":"evil \u001b[2J","k":"\u001b"}`},
		{"query", `{"time":`},
	} {
		l.line(line.name, []byte(line.raw))
	}
	want := "03:04:05.006 order     INFO  order placed c={…} e=\"\" n=3 order_id=\"o-1\" text=\"a b\"\n" +
		"03:04:05.006 payment-2       panic: �[31mred\n" +
		"03:04:05.006 query           {\"level\":\"INFO\"}\n" +
		"03:04:05.006 query     WARN  evil �[2J k=\"\\u001b\"\n" +
		"03:04:05.006 query           {\"time\":\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReasons(t *testing.T) {
	got := reasons(strings.NewReader(`{"unready":[{"name":"participant","reason":"waiting for topic x"},{"name":"b","reason":"c"}]}`))
	if got != "participant: waiting for topic x, b: c" {
		t.Errorf("got %q", got)
	}
	if got := reasons(strings.NewReader("<html>")); got != "not ready" {
		t.Errorf("got %q", got)
	}
}
