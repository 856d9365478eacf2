package projection

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// layout is raised when the meaning of what the package itself keeps in Redis changes.
const layout = "2"

// version names everything that the stored documents depend on.
func (b Behavior[D]) version() string {
	return layout + "." + strconv.Itoa(b.FoldVersion) + "." + hashOf(b.topics())
}

func hashOf(topics []string) string {
	sum := sha256.Sum256([]byte(strings.Join(topics, " ")))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// mixed follows a version whose documents another one folded on: not even the version itself may then take them for
// its own.
const mixed = "+"

// use is what can be done with what is stored.
type use int

const (
	useNothing use = iota
	// useForNow: it can be read and folded on while it is folded again.
	useForNow
	useAll
)

// use says what today's code can do with what a version folded.
func (b Behavior[D]) use(version string) use {
	if version == b.version() {
		return useAll
	}
	part := strings.Split(strings.TrimSuffix(version, mixed), ".")
	if len(part) != 3 || part[0] != layout || b.Continues == 0 {
		return useNothing
	}
	n, err := strconv.Atoi(part[1])
	if err != nil || n < b.Continues || n > b.FoldVersion {
		return useNothing
	}
	topics := b.topics()
	for i := range topics {
		if part[2] == hashOf(topics[:i+1]) {
			return useForNow
		}
	}
	return useNothing
}

// Names of what is kept of a partition, after the hash tag and the name of the copy.
const (
	keyMeta        = rebuild.Meta
	keyChanges     = "changes"     // channel, of no copy: what each step changed
	keyUndecodable = "undecodable" // list of the newest records that could not be read
	keyOrder       = "order:"

	fieldVersion     = rebuild.FieldVersion
	fieldGoal        = rebuild.FieldGoal // + topic: the end that was seen at takeover
	fieldUndecodable = "undecodable"
	fieldDoubted     = "doubted" // an adopted head was contradicted: to be rebuilt
)
