package participant

import "testing"

// While a store just emptied is folded, only an order that is met for the first time needs no look at the store: one
// met again may have left memory in between.
func TestAnOrderMetAgainIsReadFromTheStore(t *testing.T) {
	emptied, kept := &partition{met: map[uint64]struct{}{}}, &partition{}
	for i, want := range []bool{true, false, false} {
		if got := emptied.firstMet("o1"); got != want {
			t.Errorf("met %d times: first is %v", i+1, got)
		}
	}
	if kept.firstMet("o1") {
		t.Error("a store that was not emptied may hold any order")
	}
}
