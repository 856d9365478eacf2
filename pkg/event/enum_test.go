package event_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/gofeaturespb"
)

func TestEnumsAreTextWithoutTheirPrefix(t *testing.T) {
	type enum = gofeaturespb.GoFeatures_StripEnumPrefix
	for text, e := range map[string]enum{
		"": gofeaturespb.GoFeatures_STRIP_ENUM_PREFIX_UNSPECIFIED, "keep": gofeaturespb.GoFeatures_STRIP_ENUM_PREFIX_KEEP,
		"generate_both": gofeaturespb.GoFeatures_STRIP_ENUM_PREFIX_GENERATE_BOTH,
	} {
		if got := event.EnumText(e); got != text {
			t.Errorf("%v is %q, not %q", e, got, text)
		}
		if got := event.EnumOf[enum](text); got != e {
			t.Errorf("%q is %v, not %v", text, got, e)
		}
	}
	if text, e := event.EnumText(enum(99)), event.EnumOf[enum]("of_a_later_version"); text != "" || e != 0 {
		t.Errorf("what is not known is %q and %v", text, e)
	}
}
