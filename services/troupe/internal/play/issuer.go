package play

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/troupe/internal/issuer"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/troupe-dev/troupe/services/troupe/tokens"
)

const (
	// secretFile in the playground's directory opens its issuer: whoever may read it acts for anybody.
	secretFile = "secret"
	// sessionKeyFile keeps people signed in while a console dies and starts again.
	sessionKeyFile = "session-key"
)

// AuthOff is Options.Auth of a playground whose services take no tokens.
const AuthOff = "off"

// issuer is the part that gives tokens; none while authentication is off.
func (o *Options) issuer(at Playground) ([]lifecycle.Part, error) {
	if err := os.Remove(filepath.Join(at.Dir, secretFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if at.Issuer == "" {
		return nil, nil
	}
	secret := rand.Text()
	for file, text := range map[string]string{secretFile: secret, sessionKeyFile: auth.NewSessionKey()} {
		if err := os.WriteFile(filepath.Join(at.Dir, file), []byte(text+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	h, err := issuer.New(at.Issuer, secret)
	if err != nil {
		return nil, err
	}
	ln, err := lifecycle.Listen(local(o.Ports.Issuer))
	if err != nil {
		return nil, err
	}
	return []lifecycle.Part{lifecycle.HTTP("issuer", ln, httpdoor.Config{}, h)}, nil
}

// authEnviron tells the services whose tokens they take.
func authEnviron(at Playground) []string {
	if at.Issuer == "" {
		return []string{"AUTH=" + AuthOff, "AUTH_ISSUER="}
	}
	return []string{"AUTH=", "AUTH_ISSUER=" + at.Issuer, "AUTH_AUDIENCE=" + issuer.Audience}
}

// consoleCredentials tell a console, asked at a URL, as whom it asks query and signs people in.
func consoleCredentials(at Playground, url string) []string {
	if at.Issuer == "" {
		return []string{"CONSOLE_URL="}
	}
	return []string{
		"CONSOLE_URL=" + url, "SESSION_KEY=", "SESSION_KEY_FILE=" + filepath.Join(at.Dir, sessionKeyFile),
		"AUTH_CLIENT_ID=" + issuer.Console, "AUTH_CLIENT_SECRET=",
		"AUTH_CLIENT_SECRET_FILE=" + filepath.Join(at.Dir, secretFile),
	}
}

// Tokens gives tokens of the playground's issuer; otherwise is the subject where none is named. Nil: its services take
// none.
func (p Playground) Tokens(otherwise string) rest.Tokens {
	if p.Issuer == "" {
		return nil
	}
	return tokens.Of(p.Issuer, filepath.Join(p.Dir, secretFile), otherwise)
}
