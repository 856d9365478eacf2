package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A member that was killed while it joined, by a client whose first join has no name, was answered when the epoch moved on. Its session
// ends although the group prepares again, for the next who joins.
func TestWhoDiedInAJoinWithoutANameIsSilentWhileOthersJoin(t *testing.T) {
	s := &sessions{groups: map[string]*session{}}
	begin := time.Now()
	look := func(after time.Duration, epoch int32, members ...string) []string {
		info := &kfake.GroupInfo{Group: "g", State: preparing, Epoch: epoch}
		for _, id := range members {
			info.Members = append(info.Members, kfake.GroupMember{MemberID: id})
		}
		return s.silent(info, begin.Add(after))
	}
	look(0, 1, "killed")
	look(time.Second, 2, "killed", "next") // nobody saw the state between the two
	if silent := look(defaultSession, 2, "killed", "next"); len(silent) > 0 {
		t.Errorf("after less than a session: %q", silent)
	}
	if silent := look(2*time.Second+defaultSession, 2, "killed", "next"); !slices.Equal(silent, []string{"killed"}) {
		t.Errorf("after its session: %q", silent)
	}
	if silent := look(time.Minute, 2, "next"); len(silent) > 0 {
		t.Errorf("who waits for the answer to its join: %q", silent)
	}
}
