package broker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestSettingsThatCannotBeRight(t *testing.T) {
	for _, c := range []struct {
		factor, copies int
		is             map[string]string
		names          string // the setting that the error names; empty: right
	}{
		{3, 3, map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "2", "retention.ms": "-1"}, ""},
		{3, 5, map[string]string{"min.insync.replicas": "3"}, ""},
		{1, 1, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}, ""},
		{1, 1, map[string]string{"cleanup.policy": "delete", "retention.ms": "1000"}, ""}, // said in the log
		{1, 1, map[string]string{"cleanup.policy": "compact"}, "cleanup.policy"},
		{1, 1, map[string]string{"cleanup.policy": "compact,delete"}, "cleanup.policy"},
		{3, 1, map[string]string{"min.insync.replicas": "1"}, "replication factor"},
		{3, 3, map[string]string{"min.insync.replicas": "1"}, "min.insync.replicas"},
		{1, 1, map[string]string{"min.insync.replicas": "2"}, "min.insync.replicas"},
		{3, 3, map[string]string{"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}, "unclean.leader.election.enable"},
	} {
		cfg := Config{ReplicationFactor: c.factor}.withDefaults()
		err := cfg.checkSettings(Topic{Name: "order.events.v1", Retention: time.Hour}, c.copies, c.is)
		if c.names == "" {
			if err != nil {
				t.Errorf("%d copies, %v: %v", c.copies, c.is, err)
			}
			continue
		}
		if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), "order.events.v1") {
			t.Errorf("%d copies, %v: %v, want a permanent error that names topic and %s", c.copies, c.is, err, c.names)
		}
	}
}

// During a rolling update members listen to different topics; a partition still has one owner for all of them.
func TestAssignmentKeepsPartitionsTogether(t *testing.T) {
	b := rangeAssignor{[]string{"old", "new"}, 5}
	got := b.AssignGroups([]kafka.GroupMember{{ID: "2", Topics: []string{"old", "new"}}, {ID: "1", Topics: []string{"old"}}}, nil)
	if !slices.Equal(got["1"]["old"], []int{0, 1}) || len(got["1"]["new"]) > 0 {
		t.Errorf("the old member has %v", got["1"])
	}
	if !slices.Equal(got["2"]["old"], []int{2, 3, 4}) || !slices.Equal(got["2"]["new"], []int{2, 3, 4}) {
		t.Errorf("the new member has %v", got["2"])
	}
	foreign := rangeAssignor{}.AssignGroups([]kafka.GroupMember{{ID: "1", Topics: []string{"other"}}},
		[]kafka.Partition{{Topic: "other", ID: 1}, {Topic: "other", ID: 0}})
	if !slices.Equal(foreign["1"]["other"], []int{0, 1}) {
		t.Errorf("a topic only the broker knows: %v", foreign)
	}
}
