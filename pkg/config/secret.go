package config

import (
	"os"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Secret is a text that nothing prints: fmt, slog and JSON show "(set)", or nothing when there is none. The zero value
// is none.
type Secret struct {
	read func() (string, error) // a function, since fmt looks into all else, also where it does not ask String
}

// NewSecret returns a secret that never changes.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() (string, error) { return text, nil }}
}

// IsSet is true when there is one.
func (s Secret) IsSet() bool { return s.read != nil }

// Read returns the text. One that came from a file is read again by each call, so that a password can be rotated
// without a restart: call it for each connection or request, and keep nothing. The error is Invalid and names
// NAME_FILE.
func (s Secret) Read() (string, error) {
	if s.read == nil {
		return "", nil
	}
	return s.read()
}

// fromFile has the secret of a variable read from a file, unless that is empty. A value of the variable itself excludes
// it; a default does not.
func (s *Secret) fromFile(name, value, file string) error {
	variable := name + fileSuffix
	switch {
	case file == "":
		return nil
	case value != "":
		return fault.Field(variable, "and %s are both set; one of them is too many", name)
	}
	s.read = func() (string, error) { return readSecret(variable, file) }
	_, err := s.read()
	return err
}

func readSecret(variable, file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Field(variable, "%w", err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fault.Field(variable, "%s is empty", file)
	}
	return text, nil
}

// String hides the text.
func (s Secret) String() string {
	if s.read == nil {
		return ""
	}
	return "(set)"
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from JSON and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value of a variable.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
