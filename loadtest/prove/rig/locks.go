package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// token begins as a signed one does (RFC 7515): with a JSON object in base64, and another behind the dot.
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.eyJ`)

// Leaks are the files in a folder, which the rig's directory is in, that hold a password, a key or a token, and which.
// Without anything that was exported there is an error: it should be among them.
func (r *Rig) Leaks(dir string) (leaks []string, err error) {
	if r.locks == nil {
		return nil, nil
	}
	if sent, err := os.Stat(filepath.Join(r.Dir, exported)); err != nil || sent.Size() == 0 {
		return nil, errors.Join(errors.New("nothing was exported"), err)
	}
	var planted []string // the files that should hold one
	for _, pattern := range []string{"*-password", "*.key"} {
		files, err := filepath.Glob(r.locks.file(pattern))
		if err != nil {
			return nil, err
		}
		planted = append(planted, files...)
	}
	if r.issuer != "" {
		planted = append(planted, r.issuerSecrets()...)
	}
	return leaks, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist): // Kafka deletes files as it goes
			return nil
		case err != nil:
			return err
		case d.IsDir() && path == r.locks.dir:
			return filepath.SkipDir
		case d.IsDir() || slices.Contains(r.issuerSecrets(), path):
			return nil
		}
		written, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if token.Match(written) {
			leaks = append(leaks, path+" holds a token")
		}
		for _, file := range planted {
			secret, rerr := os.ReadFile(file)
			err = errors.Join(err, rerr)
			if line := bytes.Split(bytes.TrimPrefix(secret, []byte("-----BEGIN PRIVATE KEY-----\n")), []byte("\n"))[0]; bytes.Contains(written, line) {
				leaks = append(leaks, path+" holds "+filepath.Base(file))
			}
		}
		return err
	})
}

// locks are what makes the rig's own Kafka and Redis secure: each has a second port, where services come in by TLS and
// may do what was granted to them. Who comes in by the first, which the services are not told, is the rig.
type locks struct {
	dir, secrets string // a folder as scripts/secrets makes it, and its absolute path
	kafka, redis int    // ports
}

func newLocks(ctx context.Context, dir string, kafka, redis int) (*locks, error) {
	dir = filepath.Join(dir, "secrets")
	secrets, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "scripts/secrets", secrets).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make secrets: %w: %s", err, out)
	}
	acl := filepath.Join(secrets, "redis-users.acl")
	users, err := os.ReadFile(acl)
	if err != nil {
		return nil, err
	}
	users = bytes.Replace(users, []byte("user default reset"), []byte("user default on nopass ~* &* +@all"), 1)
	return &locks{dir, secrets, kafka, redis}, os.WriteFile(acl, users, 0o600)
}

func (l *locks) file(name string) string { return filepath.Join(l.secrets, name) }

// properties are those of Kafka, and listener what it has beside its own; empty without locks.
func (l *locks) properties() (listener, protocol, further string) {
	if l == nil {
		return "", "", ""
	}
	listener = fmt.Sprintf(",SCRAM://127.0.0.1:%d", l.kafka)
	return listener, ",SCRAM:SASL_SSL", fmt.Sprintf(`authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=%s
`, l.file("kafka.pem"))
}

// arguments are those of redis-server.
func (l *locks) arguments() []string {
	if l == nil {
		return nil
	}
	return []string{"--tls-port", strconv.Itoa(l.redis),
		"--tls-cert-file", l.file("redis.crt"), "--tls-key-file", l.file("redis.key"),
		"--tls-ca-cert-file", l.file("ca.crt"), "--tls-auth-clients", "no", "--aclfile", l.file("redis-users.acl")}
}

// open has the program make the users, their grants, and then, as the provisioner, the topics.
func (l *locks) open(ctx context.Context, troupe, kafka string) error {
	for _, step := range [][]string{
		{"grant", "KAFKA_BROKERS=" + kafka, "GRANT_PASSWORDS=" + l.secrets},
		{"provision", "KAFKA_BROKERS=127.0.0.1:" + strconv.Itoa(l.kafka), "KAFKA_TLS=true",
			"KAFKA_CA_FILE=" + l.file("ca.crt"),
			"KAFKA_SASL_MECHANISM=scram-sha-512", "KAFKA_SASL_USER=provisioner",
			"KAFKA_SASL_PASSWORD_FILE=" + l.file("provisioner.kafka-password")},
	} {
		cmd := exec.CommandContext(ctx, troupe, step[0])
		cmd.Env = append([]string{"KAFKA_REPLICATION_FACTOR=1"}, step[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("troupe %s: %w: %s", step[0], err, out)
		}
	}
	return nil
}
