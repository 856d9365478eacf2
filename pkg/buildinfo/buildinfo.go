// Package buildinfo says what was built.
package buildinfo

import "runtime/debug"

// version is what the linker was told: -ldflags "-X github.com/troupe-dev/troupe/pkg/buildinfo.version=v1.2.3". Images
// need it: there the go command finds no repository to take a version from.
var version string

// Version is what the linker was told, or else the main module's version as the go command stamped it. "(devel)" when
// neither is known.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
