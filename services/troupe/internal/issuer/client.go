package issuer

import (
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// CLI is the client that a terminal signs in as: it has no secret, and a person says who it is.
const CLI = "troupe"

// client is as the library asks for it. What else a client may be, the library asks for grants that are not offered.
type client struct {
	op.Client
	id string
}

func (c client) GetID() string { return c.id }

// AuthMethod is by a secret, except of the terminal.
func (c client) AuthMethod() oidc.AuthMethod {
	if c.id == CLI {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

// GrantTypes are client credentials for every subject; the console signs people in too, and a terminal does nothing else.
func (c client) GrantTypes() []oidc.GrantType {
	switch c.id {
	case Console:
		return []oidc.GrantType{oidc.GrantTypeClientCredentials, oidc.GrantTypeCode}
	case CLI:
		return []oidc.GrantType{oidc.GrantTypeDeviceCode}
	}
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

// ApplicationType lets people be sent back to any port of loopback: each console of the playground has its own.
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (client) RedirectURIs() []string              { return []string{"http://127.0.0.1" + auth.CallbackPath} }
func (client) ResponseTypes() []oidc.ResponseType  { return []oidc.ResponseType{oidc.ResponseTypeCode} }
func (client) DevMode() bool                       { return false }
func (client) IsScopeAllowed(string) bool          { return false }
