package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// secretFile in the rig's directory opens the playground's issuer.
const secretFile = "secret"

func (r *Rig) issuerSecret() string { return filepath.Join(r.Dir, secretFile) }

// issuerSecrets are that and the key under which the console keeps who is signed in.
func (r *Rig) issuerSecrets() []string {
	return []string{r.issuerSecret(), filepath.Join(r.Dir, "session-key")}
}

// Use runs a shell command that uses what runs, with its output in a file of the rig's directory. The variables are those of the
// program's commands, and of scripts/load.
func (r *Rig) Use(ctx context.Context, command string) (log string, err error) {
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return "", err
	}
	log = filepath.Join(dir, "then.log")
	out, err := os.Create(log)
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close() }() // the command has its own
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "TROUPE_DIR="+dir, "KAFKA_BROKERS="+strings.Join(r.KafkaAddrs, ","),
		"ORDER_URL="+r.order, "QUERY_URL="+r.query, "TROUPE_CONSOLE_URL="+r.console,
		"ISSUER_URL="+r.issuer, "ISSUER_SECRET_FILE="+filepath.Join(dir, secretFile))
	return log, cmd.Run()
}
