package play

import (
	"errors"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
)

func (o *Options) validateEnv() error {
	known := slices.Clone(stores)
	for _, service := range services {
		known = append(known, o.instances(service)...)
	}
	var wrong []error
	for _, e := range o.Env {
		process, _, ok := parseEnv(e)
		wrong = append(wrong, fault.FieldIf(!ok, "--env", "must be NAME=VALUE or PROCESS:NAME=VALUE, is %q", e),
			fault.FieldIf(ok && process != "" && !slices.Contains(known, process), "--env", "no process %q; there are %s",
				process, strings.Join(known, ", ")))
	}
	return errors.Join(wrong...)
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
