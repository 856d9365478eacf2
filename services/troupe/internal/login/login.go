// Package login signs a person in at a terminal by the device authorization grant (RFC 8628), and keeps the tokens in a
// file that their owner alone can read.
package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/troupe-dev/troupe/pkg/fault"
	"golang.org/x/oauth2"
)

// askWithin bounds one question to the issuer.
const askWithin = 10 * time.Second

// Login is who is signed in, and where.
type Login struct {
	Issuer   string        `json:"issuer"`
	ClientID string        `json:"client_id"`
	Token    *oauth2.Token `json:"token"`
}

// Ask is what is asked for: a token for an audience, with scopes.
type Ask struct {
	Issuer, ClientID, Audience string
	Scopes                     []string
}

// Begin asks the issuer, has show say what to do to the person, and returns when that is done.
func Begin(ctx context.Context, a Ask, show func(*oauth2.DeviceAuthResponse)) (Login, error) {
	client, err := clientOf(ctx, a.Issuer, a.ClientID)
	if err != nil {
		return Login{}, err
	}
	if client.Endpoint.DeviceAuthURL == "" {
		return Login{}, fault.New(fault.Conflict, "the issuer %s offers no sign-in for terminals (RFC 8628)", a.Issuer)
	}
	client.Scopes = a.Scopes
	device, err := client.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", a.Audience))
	if err != nil {
		return Login{}, said(err)
	}
	show(device)
	token, err := client.DeviceAccessToken(ctx, device)
	return Login{a.Issuer, a.ClientID, token}, said(err)
}

func clientOf(ctx context.Context, issuer, id string) (*oauth2.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the issuer cannot be discovered: %w", err)
	}
	c := &oauth2.Config{ClientID: id, Endpoint: provider.Endpoint()}
	c.Endpoint.AuthStyle = oauth2.AuthStyleInParams // it has no secret
	return c, nil
}

// said tells what an issuer refused from one that did not answer.
func said(err error) error {
	if _, refused := errors.AsType[*oauth2.RetrieveError](err); err == nil || refused || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.As(fault.Unavailable, err)
}

// AccessToken returns the token that is shown to services. One that has ended is exchanged for a new one, which is kept,
// where the issuer gave a refresh token.
func (l Login) AccessToken() (string, error) {
	if l.Token.Valid() {
		return l.Token.AccessToken, nil
	}
	over := fault.New(fault.Conflict, "the login at %s has ended; begin another: troupe login", l.Issuer)
	if l.Token.RefreshToken == "" {
		return "", over
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*askWithin)
	defer cancel()
	client, err := clientOf(ctx, l.Issuer, l.ClientID)
	if err != nil {
		return "", err
	}
	l.Token, err = client.TokenSource(ctx, l.Token).Token()
	if _, refused := errors.AsType[*oauth2.RetrieveError](err); refused {
		return "", over
	}
	if err != nil {
		return "", said(err)
	}
	return l.Token.AccessToken, l.Keep()
}

// Safe says whether a token may be shown at a URL: one that nobody on the way can read.
func Safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// file is where the login is kept.
func file() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "troupe", "login.json"), err
}

// Keep writes the login, in one step, with mode 0600.
func (l Login) Keep() error {
	name, err := file()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(name), "login-") // with mode 0600
	if err != nil {
		return err
	}
	_, err = fresh.Write(append(text, '\n'))
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), name)
	}
	if err != nil {
		_ = os.Remove(fresh.Name())
	}
	return err
}

// Kept reads the login; ok is false when there is none.
func Kept() (l Login, ok bool, err error) {
	name, err := file()
	if err != nil {
		return l, false, nil // nowhere to keep one
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return l, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err == nil && (l.Issuer == "" || l.Token == nil) {
		err = errors.New("it names no issuer, or has no token")
	}
	if err != nil {
		return l, false, fault.New(fault.Invalid, "the login in %s cannot be read (%w); begin another: troupe login", name, err)
	}
	return l, true, nil
}

// Forget removes the login; had says whether there was one.
func Forget() (had bool, err error) {
	name, err := file()
	if err == nil {
		err = os.Remove(name)
	}
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
