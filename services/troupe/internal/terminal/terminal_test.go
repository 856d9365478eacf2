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

func TestMoney(t *testing.T) {
	for _, tt := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{1250, "EUR", "12.50 EUR"}, {5, "USD", "0.05 USD"}, {0, "EUR", "0.00 EUR"}, {1250, "JPY", "1250 JPY"},
		{1250, "KWD", "1.250 KWD"}, {-1250, "EUR", "-12.50 EUR"}, {1250, "no\x1b", "12.50 no�"},
	} {
		if got := terminal.Money(tt.minor, tt.currency); got != tt.want {
			t.Errorf("Money(%d, %q) = %q, want %q", tt.minor, tt.currency, got, tt.want)
		}
	}
}

func TestCleanLeavesNothingToObey(t *testing.T) {
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
