package projection

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/fault"
)

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
