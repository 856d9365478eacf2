// Package kubernetes writes what a cluster must know of the choreography: a Deployment for each participant and
// reader, the topics, who may do what at the broker, which connections there are, and what scales. Everything in it
// follows from the choreography, so that a new participant needs no YAML of its own.
package kubernetes

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/troupe-dev/troupe/schemas/choreography"
)

//go:embed templates
var templates embed.FS

// files of k8s/, and the templates that they are made from.
var files = map[string]string{
	"base/kustomization.yaml":                               "base.yaml",
	"kafka/topics.txt":                                      "topics.txt",
	"kafka/acls.txt":                                        "acls.txt",
	"redis/users.acl":                                       "redis-users.acl",
	"components/kafka-strimzi/topics.yaml":                  "strimzi-topics.yaml",
	"components/kafka-strimzi/users.yaml":                   "strimzi-users.yaml",
	"components/kafka-scram/names.yaml":                     "scram-names.yaml",
	"components/redis-acl/names.yaml":                       "redis-names.yaml",
	"components/network-policies/policies.yaml":             "network-policies.yaml",
	"components/network-policies-outside/policies.yaml":     "network-policies-outside.yaml",
	"components/disruption/budgets.yaml":                    "budgets.yaml",
	"components/autoscaling/scaledobjects.yaml":             "scaledobjects.yaml",
	"components/autoscaling-kafka/scaledobjects.yaml":       "scaledobjects-kafka.yaml",
	"components/autoscaling-kafka-scram/scaledobjects.yaml": "scaledobjects-kafka-scram.yaml",
	"kafka/acls-autoscaler.txt":                             "acls-autoscaler.txt",
	"components/images/kustomization.yaml":                  "images.yaml",
	"components/images-local/kustomization.yaml":            "images-local.yaml",
}

// retention is the default of the services' variable RETENTION.
const retention = 30 * 24 * time.Hour

// Files returns every generated file by its path below k8s/. It is the same for the same choreography and alerts,
// which are the text of observability/alerts.yml.
func Files(c *choreography.Choreography, alerts string) (map[string]string, error) {
	s := system{Partitions: c.Partitions, Outside: outside(c), Provisioner: c.ProvisionerGrants(), RedisUsers: c.RedisUsers()}
	s.Autoscaler = c.AutoscalerGrants()
	for _, name := range c.Names() {
		s.Services = append(s.Services, serviceOf(c, name))
		for _, t := range c.OwnTopics(name, retention) {
			s.Topics = append(s.Topics, topic{t})
		}
	}
	t, err := template.New("").Funcs(template.FuncMap{"names": names, "upper": strings.ToUpper}).ParseFS(templates, "templates/*")
	if err != nil {
		return nil, err
	}
	made := map[string]string{"components/observability/rules.yaml": rules(alerts)}
	write := func(path, name string, of any) error {
		var out bytes.Buffer
		if err := t.ExecuteTemplate(&out, name, of); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		made[path] = out.String()
		return nil
	}
	for path, name := range files {
		if err := write(path, name, s); err != nil {
			return nil, err
		}
	}
	for _, one := range s.Services {
		if err := write("base/"+one.Name+".yaml", "service.yaml", one); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// system is what the templates see; service and topic are its parts.
type system struct {
	Partitions int
	Services   []service
	Topics     []topic
	Outside    []external

	Provisioner []choreography.Grant
	Autoscaler  []choreography.Grant
	RedisUsers  []choreography.RedisUser
	// Scram: Kafka asks who connects.
	Scram bool
}

type service struct {
	Name string
	// Door: customers send requests to it. Operates: operators do, at an address of its own. Reader: it folds topics.
	Door, Operates, Reader bool
	Access                 choreography.Access
	Grants                 []choreography.Grant
	// Subscribes are the topics whose offsets its group commits.
	Subscribes []string
	Reaches    []string
	// Asks are the services whose REST it reads, AskedBy those that read its own.
	Asks, AskedBy []string
}

// external is something that is asked beside the log, and who asks it.
type external struct {
	Name string
	Port int
	From []service
}

func serviceOf(c *choreography.Choreography, name string) service {
	r, reader := c.Readers[name]
	p := c.Participants[name]
	s := service{
		Name: label(name), Reader: reader, Operates: r.Operates, Door: reader && !r.Operates || len(p.Doors) > 0,
		Access: c.AccessOf(name), Grants: c.GrantsOf(name), Reaches: p.Reaches,
	}
	for topic := range c.Subscriptions(name) {
		s.Subscribes = append(s.Subscribes, topic)
	}
	if r.Operates {
		s.Subscribes = slices.Clone(s.Access.Checked)
	}
	for _, other := range c.Names() {
		if slices.Contains(c.Readers[other].Asks, name) {
			s.AskedBy = append(s.AskedBy, label(other))
		}
		if slices.Contains(r.Asks, other) {
			s.Asks = append(s.Asks, label(other))
		}
	}
	slices.Sort(s.Subscribes)
	return s
}

func outside(c *choreography.Choreography) (all []external) {
	for name, port := range c.Outside {
		e := external{Name: name, Port: port}
		for _, asks := range c.Names() {
			if slices.Contains(c.Participants[asks].Reaches, name) {
				e.From = append(e.From, service{Name: label(asks)})
			}
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b external) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// AskedWhoConnects is the system at a Kafka with TLS and SCRAM.
func (s system) AskedWhoConnects() system {
	s.Scram = true
	return s
}

// Shared is something that every service asks.
func (s system) Shared(name string, port int) external {
	return external{Name: name, Port: port, From: s.Services}
}

// Port of an outside door.
func (s system) Port(name string) int {
	for _, e := range s.Outside {
		if e.Name == name {
			return e.Port
		}
	}
	return 0
}

// label is a name as Kubernetes takes it.
func label(name string) string { return choreography.Principal(name) }

type topic struct{ choreography.Topic }

// Label is its name as Kubernetes takes it.
func (t topic) Label() string { return label(t.Name) }

// Settings of the topic, as the services create and check them (pkg/broker).
func (t topic) Settings() []setting {
	kept := "-1"
	if t.Retention > 0 {
		kept = fmt.Sprint(t.Retention.Milliseconds())
	}
	s := []setting{
		{"cleanup.policy", "delete"},
		{"retention.ms", kept},
		{"min.insync.replicas", "2"},
		{"unclean.leader.election.enable", "false"},
	}
	if t.MaxBytes > 0 {
		s = append(s, setting{"max.message.bytes", fmt.Sprint(t.MaxBytes)})
	}
	return s
}

type setting struct{ Name, Value string }

func names(services []service) string {
	var words []string
	for _, s := range services {
		words = append(words, s.Name)
	}
	return strings.Join(words, ", ")
}

// rules wraps Prometheus' rules in the resource that its operator reads.
func rules(alerts string) string {
	var b strings.Builder
	b.WriteString("# Generated from k8s/observability/alerts.yml by schemas/choreography/cmd/kubernetes; " +
		"make generate makes it anew.\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: troupe\nspec:\n")
	for line := range strings.Lines(alerts) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}
