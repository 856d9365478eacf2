package event

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// EnumText is a value of an enum as states and APIs write it: KIND_CONFIRMED of enum Kind is confirmed. Empty when it
// is unspecified, or of a later version.
func EnumText(e protoreflect.Enum) string {
	v := e.Descriptor().Values().ByNumber(e.Number())
	if e.Number() == 0 || v == nil {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(string(v.Name()), enumPrefix(e)))
}

// EnumOf is the value that EnumText writes as text; unspecified when there is none.
func EnumOf[E interface {
	~int32
	protoreflect.Enum
}](text string) E {
	var zero E
	v := zero.Descriptor().Values().ByName(protoreflect.Name(enumPrefix(zero) + strings.ToUpper(text)))
	if v == nil {
		return zero
	}
	return E(v.Number())
}

// enumPrefix is what the names of an enum's values begin with, as Buf's style guide has it.
func enumPrefix(e protoreflect.Enum) string {
	return strings.TrimSuffix(string(e.Descriptor().Values().ByNumber(0).Name()), "UNSPECIFIED")
}
