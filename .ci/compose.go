//go:build ignore

// Checks what "docker compose --profile '*' config --format json" printed, with docker-compose.secure.yml and without, (on standard input) against the rules of the demo
// stack: those of the function rules for each service, 1.5 GB in all without profiles, and instances that Prometheus finds.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

type service struct {
	Image string `json:"image"`
	Build *struct {
		Dockerfile string            `json:"dockerfile"`
		Args       map[string]string `json:"args"`
	} `json:"build"`
	PullPolicy  string            `json:"pull_policy"`
	Restart     string            `json:"restart"`
	User        string            `json:"user"`
	ReadOnly    bool              `json:"read_only"`
	CapDrop     []string          `json:"cap_drop"`
	CapAdd      []string          `json:"cap_add"`
	SecurityOpt []string          `json:"security_opt"`
	MemLimit    string            `json:"mem_limit"`
	Profiles    []string          `json:"profiles"`
	Environment map[string]string `json:"environment"`
	Tmpfs       []string          `json:"tmpfs"`
	Logging     struct {
		Options map[string]string `json:"options"`
	} `json:"logging"`
	Health *struct {
		Disable bool `json:"disable"`
	} `json:"healthcheck"`
	Ports []struct {
		HostIP    string `json:"host_ip"`
		Published string `json:"published"`
	} `json:"ports"`
	Secrets []struct {
		Source string `json:"source"`
	} `json:"secrets"`
	Volumes []struct {
		Type   string `json:"type"`
		Source string `json:"source"`
		Target string `json:"target"`
	} `json:"volumes"`
}

const (
	limit      = 1_500_000_000
	prometheus = "k8s/observability/prometheus.yml"
)

// ports of the host that are written down (README.md). A service that has one stays at one instance; the others scale.
var ports = map[string][]string{
	"kafka": {"9092"}, "redis": {"6379"}, "mailpit": {"1025", "8025"}, "gateway": {"8090"}, "order": {"8081"}, "query": {"8084"}, "console": {"8080"},
	"collector": {"4318"}, "prometheus": {"9090"}, "grafana": {"3000"},
}

// declared are the volumes in the images that are not built here: one that is not mounted becomes a nameless volume, which "down" leaves.
var declared = map[string][]string{
	"apache/kafka":    {"/etc/kafka/secrets", "/mnt/shared/config", "/var/lib/kafka/data"},
	"redis":           {"/data"},
	"axllent/mailpit": {},
	"prom/prometheus": {"/prometheus"},
	"grafana/grafana": {},
	"grafana/k6":      {},
}

// root are the images that run as root unless told otherwise.
var root = []string{"redis", "axllent/mailpit"}

// state is kept by all of these, so that orders, charges and mails are there together, or gone together. Redis is a fold.
var state = map[string]string{"kafka": "/var/lib/kafka/data", "gateway": "/data", "mailpit": "/tmp"}

// writable are the services that write beside their programs: Kafka its configuration, Grafana its database, k6 its report.
var writable = []string{"kafka", "grafana", "k6"}

func main() {
	var stack struct {
		Services map[string]service `json:"services"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&stack); err != nil {
		fail(err)
	}
	targets, err := os.ReadFile(prometheus)
	if err != nil {
		fail(err)
	}
	var wrong []string
	var sum int64
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		s := stack.Services[name]
		bytes, err := strconv.ParseInt(s.MemLimit, 10, 64)
		if err != nil || bytes == 0 {
			wrong = append(wrong, name+": has no mem_limit")
		}
		if len(s.Profiles) == 0 && s.Restart != "no" { // what runs once has ended when the others start
			sum += bytes
		}
		for _, w := range rules(name, s) {
			wrong = append(wrong, name+": "+w)
		}
		if _, port, ok := strings.Cut(s.Environment["HTTP_ADDR"], ":"); ok &&
			!strings.Contains(string(targets), "{ names: ["+name+"], type: A, port: "+port+",") {
			wrong = append(wrong, name+": "+prometheus+" does not find its instances at port "+port+" by dns_sd_configs")
		}
	}
	if sum > limit {
		wrong = append(wrong, fmt.Sprintf("memory limits sum to %d bytes, more than %d", sum, limit))
	}
	if len(stack.Services) == 0 {
		wrong = append(wrong, "there are no services")
	}
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, "docker-compose.yml:", w)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
	fmt.Printf("docker-compose.yml: %d services, %d MB at most without profiles, all on loopback\n", len(stack.Services), sum/1_000_000)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "docker-compose.yml:", err)
	os.Exit(1)
}

// rules says what is wrong with a service.
func rules(name string, s service) (wrong []string) {
	must := func(holds bool, format string, args ...any) {
		if !holds {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	image, tag, tagged := strings.Cut(s.Image, ":")
	if s.Build != nil {
		// Without it, "up" asks a registry for an image that exists here only, and runs the old one after an update.
		must(s.PullPolicy == "build", "is built here, so pull_policy must be build")
		must(s.Build.Dockerfile != "services/Dockerfile" || s.Build.Args["VERSION"] != "", "build has no VERSION in its args")
	} else {
		must(tagged && tag != "latest", "image %s is not pinned", s.Image)
		volumes, known := declared[image]
		must(known, "which volumes %s declares is not said in .ci/compose.go", image)
		for _, v := range volumes {
			must(s.mounts(v), "the image's volume %s has no name and is no tmpfs", v)
		}
	}
	// What is built here has the health check of services/Dockerfile.
	must(s.Build != nil && s.Health == nil || s.Health != nil && !s.Health.Disable, "has no health check")

	for _, secret := range s.Secrets {
		must(mayHave(name, secret.Source), "has %s, which is another's", secret.Source)
	}
	must(slices.Contains(s.CapDrop, "ALL") && s.CapAdd == nil, "must have cap_drop: [ALL], and no cap_add")
	must(slices.Contains(s.SecurityOpt, "no-new-privileges:true"), "must have security_opt: no-new-privileges:true")
	// What the JVM needs beside its heap, and the page cache of the log: Kafka was seen at 131 MiB above -Xmx after a spike.
	if _, heap, ok := strings.Cut(s.Environment["KAFKA_HEAP_OPTS"], "-Xmx"); ok {
		xmx, _ := strconv.ParseInt(strings.TrimSuffix(heap, "m"), 10, 64)
		bytes, _ := strconv.ParseInt(s.MemLimit, 10, 64)
		must(xmx > 0 && bytes>>20 >= xmx+256, "mem_limit must be 256m above -Xmx, which is %sB", heap)
	}
	must(s.ReadOnly != slices.Contains(writable, name), "read_only is %t, against the list in .ci/compose.go", s.ReadOnly)
	user, _, _ := strings.Cut(s.User, ":")
	must(user != "root" && user != "0" && (user != "" || !slices.Contains(root, image)), "runs as root")
	must(s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "", "logs have no max-size and max-file")

	var published []string
	for _, p := range s.Ports {
		must(p.HostIP == "127.0.0.1", "port %s is not on 127.0.0.1", p.Published)
		if p.Published != "" {
			published = append(published, p.Published)
		}
	}
	slices.Sort(published)
	must(slices.Equal(published, ports[name]), "fixed ports of the host must be %v, are %v", ports[name], published)
	if at, ok := state[name]; ok {
		must(s.volume(at), "what it keeps, in %s, must be in a named volume", at)
	}
	for _, v := range s.Volumes {
		must(v.Type != "volume" || v.Source != "", "the volume at %s has no name", v.Target)
	}
	return wrong
}

// mayHave says whether a secret is a service's, by the name of its file: each has its own, and "grant" all passwords at
// Kafka and what makes it the super user.
func mayHave(service, file string) bool {
	of, what, _ := strings.Cut(file, ".")
	switch {
	case file == "ca.crt", of == service:
		return true
	case service == "redis":
		return file == "redis-users.acl"
	case service == "provision":
		return of == "provisioner"
	}
	return service == "grant" && (of == "admin" || what == "kafka-password")
}

// volume is true where a named volume is mounted at the path.
func (s service) volume(at string) bool {
	for _, v := range s.Volumes {
		if v.Target == at && v.Type == "volume" && v.Source != "" {
			return true
		}
	}
	return false
}

func (s service) mounts(at string) bool { return s.volume(at) || slices.Contains(s.Tmpfs, at) }
