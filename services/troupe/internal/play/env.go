package play

import (
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
)

func (o *Options) validateEnv() error {
	for _, e := range o.Env {
		process, _, ok := parseEnv(e)
		if !ok {
			return fault.Field("--env", "must be NAME=VALUE or PROCESS:NAME=VALUE, is %q", e)
		}
		if !known(process) {
			return fault.Field("--env", "no process %q; there are %s, and instances such as payment-2", process,
				strings.Join(slices.Concat(services, stores), ", "))
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

// known is true for the name of a process that there is or can be, and for none.
func known(process string) bool {
	service, number, numbered := strings.Cut(process, "-")
	if n, err := strconv.Atoi(number); numbered && (err != nil || n < 2 || !slices.Contains(services, service)) {
		return false
	}
	return service == "" || slices.Contains(services, service) || slices.Contains(stores, service)
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
