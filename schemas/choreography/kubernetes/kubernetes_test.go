package kubernetes

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/schemas"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"go.yaml.in/yaml/v4"
)

const k8s = "../../../k8s"

func made(t *testing.T, c *choreography.Choreography) map[string]string {
	t.Helper()
	alerts, err := os.ReadFile(filepath.Join(k8s, "observability", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := Files(c, string(alerts))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parse(t *testing.T, text string) *choreography.Choreography {
	t.Helper()
	c, err := choreography.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsCheckedInIsWhatTheChoreographySays(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range made(t, c) {
		got, err := os.ReadFile(filepath.Join(k8s, path))
		if err != nil || string(got) != want {
			t.Errorf("%s is stale; make generate writes it: %v", path, err)
		}
	}
}

// policy is as much of a NetworkPolicy as says who may connect to whom.
type policy struct {
	Spec struct {
		PodSelector selector `yaml:"podSelector"`
		Ingress     []struct {
			From  []peer
			Ports []struct{ Port int }
		}
		Egress []struct {
			To    []peer
			Ports []struct{ Port int }
		}
	}
}

type peer struct {
	PodSelector selector `yaml:"podSelector"`
}

type selector struct {
	MatchLabels      map[string]string           `yaml:"matchLabels"`
	MatchExpressions []struct{ Values []string } `yaml:"matchExpressions"`
}

const nameLabel = "app.kubernetes.io/name"

// edges returns whom each name may connect to, by both ends' word: leaves is by policies of where it comes from,
// enters by those of where it goes to.
func edges(t *testing.T, text string) (leaves, enters map[string]bool) {
	t.Helper()
	leaves, enters = map[string]bool{}, map[string]bool{}
	for in := yaml.NewDecoder(strings.NewReader(text)); ; {
		var p policy
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return leaves, enters
		} else if err != nil {
			t.Fatal(err)
		}
		name := p.Spec.PodSelector.MatchLabels[nameLabel]
		for _, e := range p.Spec.Egress {
			for _, to := range e.To {
				if other := to.PodSelector.MatchLabels[nameLabel]; other != "" {
					leaves[name+" "+other] = true
				}
			}
		}
		for _, i := range p.Spec.Ingress {
			for _, from := range i.From {
				if other := from.PodSelector.MatchLabels[nameLabel]; other != "" {
					enters[other+" "+name] = true
				}
				for _, x := range from.PodSelector.MatchExpressions {
					for _, other := range x.Values {
						enters[other+" "+name] = true
					}
				}
			}
		}
	}
}

func TestOnlyConnectionsThatTheProtocolNames(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"payment gateway": true, "notification smtp": true}
	for _, name := range c.Names() {
		for _, shared := range []string{"kafka", "redis", "collector"} {
			want[name+" "+shared] = true
		}
		for _, asked := range c.Readers[name].Asks {
			want[name+" "+asked] = true
		}
	}
	leaves, enters := edges(t, made(t, c)["components/network-policies/policies.yaml"])
	if diff := cmp.Diff(want, leaves); diff != "" {
		t.Errorf("egress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, enters); diff != "" {
		t.Errorf("ingress (-want +got):\n%s", diff)
	}
}

func TestANewParticipantIsEverywhere(t *testing.T) {
	text := strings.Replace(string(schemas.Choreography), "outside: { ", "outside: { carrier: 8091, ", 1)
	text = strings.Replace(text, "# Readers fold events", `  last_mile:
    topic: last_mile.events.v1
    facts: [Delivered]
    states: { delivered: { first: true, final: true } }
    evolve: { Delivered: delivered }
    reacts: { order.OrderConfirmed: [Delivered] }
    reaches: [carrier]
# Readers fold events`, 1)
	all := made(t, parse(t, text))
	for path, content := range all {
		known := strings.Contains(content, "last-mile") || strings.Contains(content, "last_mile")
		others := strings.HasPrefix(path, "base/") || strings.HasPrefix(path, "components/observability/")
		if !known && !others {
			t.Errorf("%s does not know it", path)
		}
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		for in := yaml.NewDecoder(strings.NewReader(content)); ; {
			var object struct{ Metadata struct{ Name string } }
			if err := in.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if strings.Contains(object.Metadata.Name, "_") {
				t.Errorf("%s: %q is no name that Kubernetes takes", path, object.Metadata.Name)
			}
		}
	}
	if all["base/last-mile.yaml"] == "" {
		t.Error("it has no pod")
	}
}
