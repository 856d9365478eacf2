package play

import (
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
)

func (o *Options) validateEnv() error {
	known := slices.Clone(stores)
	for _, service := range services {
		known = append(known, o.instances(service)...)
	}
	for _, e := range o.Env {
		process, _, ok := parseEnv(e)
		if !ok {
			return fault.Field("--env", "must be NAME=VALUE or PROCESS:NAME=VALUE, is %q", e)
		}
		if process != "" && !slices.Contains(known, process) {
			return fault.Field("--env", "no process %q; there are %s", process, strings.Join(known, ", "))
		}
	}
	return nil
}

// parseEnv takes [PROCESS:]NAME=VALUE apart.
func parseEnv(e string) (process, variable string, ok bool) {
	name, _, ok := strings.Cut(e, "=")
	process, rest, found := strings.Cut(name, ":")
	if !found {
		return "", e, ok && name != ""
	}
	return process, e[len(process)+1:], ok && process != "" && rest != ""
}

// envOf has the further variables of one process.
func (o *Options) envOf(process, service string) []string {
	var env []string
	for _, e := range o.Env {
		if of, variable, _ := parseEnv(e); of == process || of == "" && slices.Contains(services, service) {
			env = append(env, variable)
		}
	}
	return env
}
