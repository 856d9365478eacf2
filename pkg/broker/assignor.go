package broker

import (
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// rangeAssignor is range assignment with two promises more. Partition p of every topic goes to the same member, also
// while the members of a rolling update listen to different topics. And it knows the partitions of its topics:
// kafka-go's leader of a group takes a topic that its broker has not heard of yet for one without partitions, and
// assigns nothing.
type rangeAssignor struct {
	topics     []string
	partitions int // of each
}

// ProtocolName implements kafka.GroupBalancer.
func (rangeAssignor) ProtocolName() string { return "range" }

// UserData implements kafka.GroupBalancer.
func (rangeAssignor) UserData() ([]byte, error) { return nil, nil }

// AssignGroups implements kafka.GroupBalancer. found are the partitions that the leader's broker knows.
func (a rangeAssignor) AssignGroups(members []kafka.GroupMember, found []kafka.Partition) kafka.GroupMemberAssignments {
	members = slices.SortedFunc(slices.Values(members), func(a, b kafka.GroupMember) int {
		return strings.Compare(a.ID, b.ID)
	})
	counts := map[string]int{}
	for _, p := range found {
		counts[p.Topic] = max(counts[p.Topic], p.ID+1)
	}
	for _, topic := range a.topics {
		counts[topic] = a.partitions
	}
	assignments := kafka.GroupMemberAssignments{}
	for i, m := range members {
		assignments[m.ID] = map[string][]int{}
		for _, topic := range m.Topics {
			n := counts[topic]
			for p := i * n / len(members); p < (i+1)*n/len(members); p++ {
				assignments[m.ID][topic] = append(assignments[m.ID][topic], p)
			}
		}
	}
	return assignments
}
