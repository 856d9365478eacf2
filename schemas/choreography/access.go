package choreography

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// What the engine keeps beside facts, per participant. pkg/deadletter and pkg/activity have these as code; a test of
// services/troupe holds the two together.
const (
	letterBytes  = 2 << 20
	activityKept = 24 * time.Hour
)

// Topic is one that is made before anything runs, or by the participant that owns it.
type Topic struct {
	Name       string
	Partitions int
	// Retention; 0 keeps records for ever.
	Retention time.Duration
	// MaxBytes of a record; 0 is the broker's default.
	MaxBytes int
}

// OwnTopics returns the topics that bear a participant's name: facts, kept for retention; dead letters; what operators
// ask about them; and its activity. Nil for a reader.
func (c *Choreography) OwnTopics(participant string, retention time.Duration) []Topic {
	p, ok := c.Participants[participant]
	if !ok {
		return nil
	}
	return []Topic{
		{p.Topic, c.Partitions, retention, 0},
		{lettersTopic(participant), c.Partitions, 0, letterBytes},
		{redriveTopic(participant), c.Partitions, 0, letterBytes},
		{activityTopic(participant), c.Partitions, activityKept, 0},
	}
}

func lettersTopic(participant string) string  { return participant + ".dead-letters.v1" }
func redriveTopic(participant string) string  { return participant + ".redrive.v1" }
func activityTopic(participant string) string { return participant + ".activity.v1" }

// Access is what a participant or a reader may do at Kafka; it needs no more, and with less it does not run. All are
// sorted.
type Access struct {
	// Checked are the topics whose settings it reads when it starts: a participant's own, and what a reader listens to.
	Checked     []string
	Read, Write []string
	// Group that it joins, by its own name. Watched are the groups whose offsets it looks at.
	Group   string
	Watched []string
}

// AccessOf returns what a participant or reader may do.
func (c *Choreography) AccessOf(name string) Access {
	a := Access{Group: name}
	if p, ok := c.Participants[name]; ok {
		letters, redrive, activity := lettersTopic(name), redriveTopic(name), activityTopic(name)
		a.Checked = []string{p.Topic, letters, redrive, activity}
		a.Read = []string{p.Topic, letters, redrive}
		a.Write = []string{p.Topic, letters, activity}
	}
	a.Read = slices.Concat(a.Read, slices.Collect(maps.Keys(c.Subscriptions(name))), c.Readers[name].Shows)
	for _, topic := range c.Readers[name].Listens {
		if from, ok := c.writer(topic); ok { // what was parked of an order is part of its story
			a.Checked = append(a.Checked, topic, lettersTopic(from))
			a.Read = append(a.Read, lettersTopic(from), activityTopic(from))
		}
	}
	if c.Readers[name].Operates {
		for from, p := range c.Participants {
			a.Checked = append(a.Checked, lettersTopic(from), redriveTopic(from))
			a.Read = append(a.Read, p.Topic, lettersTopic(from), redriveTopic(from))
			a.Write = append(a.Write, redriveTopic(from))
		}
		a.Watched = slices.DeleteFunc(c.Names(), func(n string) bool { return n == name })
	}
	for _, list := range []*[]string{&a.Checked, &a.Read, &a.Write, &a.Watched} {
		*list = sortedSet(*list)
	}
	return a
}

// Grant allows a principal one operation on one topic or group, named in full.
type Grant struct {
	Principal string
	// Kind of the resource, topic or group, as Kafka's tools write it; so is Operation: Read, Write, Create, Describe,
	// DescribeConfigs.
	Kind, Name, Operation string
}

// Provisioner is the principal that creates topics. No service may.
const Provisioner = "provisioner"

// Principal is a participant's or reader's user at Kafka and Redis: its name as Kubernetes, too, takes it.
func Principal(name string) string { return strings.ReplaceAll(name, "_", "-") }

// GrantsOf returns everything that a participant or reader may do at Kafka, where all else is refused. Read and Write
// imply Describe.
func (c *Choreography) GrantsOf(name string) (grants []Grant) {
	a := c.AccessOf(name)
	add := func(kind, operation string, names ...string) {
		for _, on := range names {
			grants = append(grants, Grant{Principal(name), kind, on, operation})
		}
	}
	add("topic", "DescribeConfigs", a.Checked...)
	add("topic", "Read", a.Read...)
	add("topic", "Write", a.Write...)
	add("group", "Read", a.Group)
	add("group", "Describe", a.Watched...)
	return grants
}

// ProvisionerGrants returns what the provisioner may do.
func (c *Choreography) ProvisionerGrants() (grants []Grant) {
	for _, name := range c.Names() {
		for _, t := range c.OwnTopics(name, 0) {
			for _, operation := range []string{"Create", "Describe", "DescribeConfigs"} {
				grants = append(grants, Grant{Provisioner, "topic", t.Name, operation})
			}
		}
	}
	return grants
}

// Autoscaler is the principal that asks Kafka how far the groups are, where an autoscaler does.
const Autoscaler = "autoscaler"

// AutoscalerGrants returns what the autoscaler may do: look at the offsets of each group, and at the ends of the topics
// that it subscribes to. They are not among Grants: most who scale do not ask Kafka.
func (c *Choreography) AutoscalerGrants() (grants []Grant) {
	var topics []string
	for _, name := range c.Names() {
		grants = append(grants, Grant{Autoscaler, "group", name, "Describe"})
		topics = slices.AppendSeq(topics, maps.Keys(c.Subscriptions(name)))
		if c.Readers[name].Operates {
			topics = append(topics, c.AccessOf(name).Checked...)
		}
	}
	for _, topic := range sortedSet(topics) {
		grants = append(grants, Grant{Autoscaler, "topic", topic, "Describe"})
	}
	return grants
}

// Grants returns those of everybody.
func (c *Choreography) Grants() []Grant {
	grants := c.ProvisionerGrants()
	for _, name := range c.Names() {
		grants = append(grants, c.GrantsOf(name)...)
	}
	return grants
}
