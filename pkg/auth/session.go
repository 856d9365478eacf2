package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// keySize of a session key, in bytes: AES-256.
const keySize = 32

// cookies are kept by browsers and can be read and made by this service alone: each is claims under A256GCM (JWE, RFC
// 7516) with an end. The name is a claim, so that none is taken for another.
type cookies struct {
	issuer string
	secure bool // browsers send them over https alone
	key    config.Secret
}

// sessionKey decodes a key; the error says what it must be.
func sessionKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, errors.New("must be the base64 of 32 bytes, such as: openssl rand -base64 32")
	}
	return key, nil
}

// readKey reads the key anew each time: one that was rotated ends all sessions.
func (c cookies) readKey() ([]byte, error) {
	text, err := c.key.Read()
	if err != nil {
		return nil, err
	}
	key, err := sessionKey(text)
	return key, fault.As(fault.Unavailable, err)
}

// NewSessionKey returns a fresh key, as SESSION_KEY has it.
func NewSessionKey() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key)
}

// name of a cookie. One that begins with __Host- no other name of the domain, and nobody over http, can set.
func (c cookies) name(of string) string {
	if c.secure {
		return "__Host-troupe-" + of
	}
	return "troupe-" + of
}

// set seals claims into a cookie until a time.
func (c cookies) set(w http.ResponseWriter, of string, until time.Time, claims any) error {
	key, err := c.readKey()
	if err != nil {
		return err
	}
	sealer, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key}, nil)
	if err != nil {
		return err
	}
	sealed, err := jwt.Encrypted(sealer).Claims(claims).
		Claims(jwt.Claims{Issuer: c.issuer, Audience: jwt.Audience{c.name(of)}, Expiry: jwt.NewNumericDate(until)}).
		Serialize()
	if err != nil {
		return err
	}
	c.write(w, of, sealed, max(1, int(time.Until(until).Seconds())))
	return nil
}

// get opens a cookie of a request into claims, and says when it ends.
func (c cookies) get(r *http.Request, of string, claims any) (until time.Time, err error) {
	cookie, err := r.Cookie(c.name(of))
	if err != nil {
		return time.Time{}, err
	}
	key, err := c.readKey()
	if err != nil {
		return time.Time{}, err
	}
	sealed, err := jwt.ParseEncrypted(cookie.Value,
		[]jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return time.Time{}, err
	}
	var is jwt.Claims
	if err := sealed.Claims(key, &is, claims); err != nil {
		return time.Time{}, err
	}
	if is.Expiry == nil {
		return time.Time{}, jwt.ErrExpired
	}
	return is.Expiry.Time(), is.ValidateWithLeeway(jwt.Expected{
		Issuer: c.issuer, AnyAudience: jwt.Audience{c.name(of)}, Time: time.Now(),
	}, 0)
}

func (c cookies) clear(w http.ResponseWriter, of string) { c.write(w, of, "", -1) }

// write writes a cookie that no script reads and no other site's form sends. It is Lax, not Strict: a link from
// elsewhere, an alert's say, must find people signed in.
func (c cookies) write(w http.ResponseWriter, of, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name(of), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
}

// sessionCookie holds who is signed in.
const sessionCookie = "session"

// session is what it holds, beside its end.
type session struct {
	Subject string `json:"sub"`
	Roles   []Role `json:"roles"`
}

// caller is who is signed in, by the cookie of a request.
func (s *signIn) caller(r *http.Request) (Caller, error) {
	var is session
	until, err := s.cookies.get(r, sessionCookie, &is)
	if err == nil && is.Subject == "" {
		err = errors.New("the session names no subject")
	}
	if err != nil {
		return Caller{}, err
	}
	return Caller{Subject: is.Subject, Expires: until, roles: is.Roles}, nil
}

// foreign says of a request with a cookie that it changes something, and that no browser says where the page is that
// sent it. What browsers do say was judged before (httpdoor.Config.Guard).
func foreign(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == ""
}

// local is a path of this origin, of a text that anybody may have written.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
