package terminal_test

import (
	"bytes"
	"testing"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "exactly 9": "exactly 9", " two\n lines\x1b ": "tw…lines�", "gateway: create: refused": "ga…efused", "ääääääöööööö": "ää…öööööö",
	} {
		if got := terminal.Cut(text, 9); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCleanLeavesNothingToObey(t *testing.T) {
	if got := terminal.Money(1250, "no\x1b"); got != "12.50 no\ufffd" {
		t.Errorf("money: %q", got)
	}
	if got := terminal.Clean("tea\x1b[31m\r\n\u202e ünïcode 茶"); got != "tea�[31m��� ünïcode 茶" {
		t.Errorf("got %q", got)
	}
}

func TestPaintsOnTerminalsOnly(t *testing.T) {
	if terminal.StyleOf(&bytes.Buffer{}) {
		t.Error("a buffer is taken for a terminal")
	}
	if got := terminal.Style(true).Paint(terminal.Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	if got := terminal.Style(false).Paint(terminal.Red, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}
