package deadletter

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// NameOf is how an order or a letter is called where only plain text will do: what is plain by itself, and what is not
// encoded.
func NameOf(s string) string {
	id, keyless := strings.CutPrefix(s, Keyless)
	switch {
	case plain.MatchString(s), keyless && plain.MatchString(id):
		return s
	case len(s) <= 256:
		return "raw:" + base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	sum := sha256.Sum256([]byte(s))
	return "hash:" + hex.EncodeToString(sum[:])
}

// Plain is a class or a type that can be shown as it is, and be part of a key; empty otherwise.
func Plain(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return ""
}

// private is what an error may repeat of an event: mail addresses and payment methods.
var private = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;]+|pm_\w+`)

// lies is where a record lies, topic/partition@offset, which looks like an address.
var lies = regexp.MustCompile(`^[A-Za-z0-9._-]+/\d+@\d+\W*$`)

// Masked is a message without what is private.
func Masked(message string) string {
	return private.ReplaceAllStringFunc(message, func(found string) string {
		if lies.MatchString(found) {
			return found
		}
		return "***"
	})
}
