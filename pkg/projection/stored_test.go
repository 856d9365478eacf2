package projection

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// earlier is an order as releases stored it before the packed form: JSON, and marks as text.
func earlier(t *testing.T, b Behavior[script], stored string) string {
	t.Helper()
	o, err := loadOrder(b, "o", stored)
	if err != nil {
		t.Fatal(err)
	}
	r := o.record
	for i := range r.Chains {
		r.Chains[i].Seen = base64.RawURLEncoding.EncodeToString([]byte(r.Chains[i].Seen))
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOrdersOfEarlierReleasesAreRead(t *testing.T) {
	b := chronicle()
	o, err := loadOrder(b, "o", `{"v":2,"c":[{"n":2,"i":"two","k":"dpLDrTVAP8TM_nRY"}],"d":{"Talk":["one","two"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	if o.Version != 2 || strings.Join(o.Doc.Talk, " ") != "one two" || len(o.Chains) != 2 || len(o.Chains[0].Seen) != 2*markLen {
		t.Errorf("%+v", o.record)
	}
	if one := mark("one"); !o.Chains[0].marked(one) || !o.Chains[0].saw("two") || o.Chains[0].saw("three") {
		t.Errorf("seen are %x, not %x", o.Chains[0].Seen, one)
	}
	if j := o.Chains[0].judge(event.Event{ID: "three", Sequence: 3, PreviousID: "two"}); j != chain.Valid {
		t.Errorf("the next fact is judged %d", j)
	}
}

// What an earlier release stored is folded on, and is the same as what is rebuilt although it is written in another form.
func TestOrdersOfEarlierReleasesAreFoldedOn(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(10)
	_, stop := s.play(b)
	s.shows(b, ids...)
	stop()
	st := NewReader(b, s.redis).store
	for _, id := range ids {
		key := st.Key(logOf(talk, id).Partition, keyOrder+id)
		s.redis.Set(t.Context(), key, earlier(t, b, s.redis.Get(t.Context(), key).Val()), 0)
	}
	s.shows(b, ids...)
	s.say(talk, ids[0], "four")
	_, _ = s.play(b)
	s.shows(b, ids...)
	s.ask(b, false)
	equal(t, s.rebuilt(b, Swapped))
	s.shows(b, ids...)
}

func TestWhatIsNoOrderIsRefused(t *testing.T) {
	b := chronicle()
	o, err := loadOrder(b, "o", "")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := b.append(nil, &o.record)
	if err != nil {
		t.Fatal(err)
	}
	three := chronicle()
	three.Topics = append(three.Topics, "dance")
	more, err := three.append(nil, &newOrder(three, "o").record)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"nonsense", "{", `{"c":[{"k":"*"}]}`, string(whole[:4]), "\x04" + string(whole[1:]), string(more)} {
		if _, err := loadOrder(b, "o", text); fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%q: %v", text, err)
		}
	}
}
