package auth

import (
	"context"
	"slices"
	"time"
)

// Role is what an operator may do. Customers have none.
type Role string

// The roles. Whoever has one of them is a viewer too.
const (
	// AnyCaller is asked for where the subject decides, not a role.
	AnyCaller Role = ""
	// Viewer sees orders of everybody, figures and what is parked.
	Viewer Role = "viewer"
	// Operator changes what is parked, and rebuilds.
	Operator Role = "operator"
	// Breaker breaks things in a playground.
	Breaker Role = "breaker"
)

// Roles are all there are.
var Roles = []Role{Viewer, Operator, Breaker}

// Caller is who sent a request. The zero value is nobody, who may do nothing.
type Caller struct {
	// Subject of the token; empty while authentication is off.
	Subject string
	// Expires is when the token does; zero while authentication is off.
	Expires time.Time
	roles   []Role
	// trusted: authentication is off.
	trusted bool
}

// Has says whether the caller may do what a role allows.
func (c Caller) Has(r Role) bool {
	switch {
	case c.trusted:
		return true
	case r == AnyCaller:
		return c.Subject != ""
	case r == Viewer:
		return len(c.roles) > 0
	}
	return slices.Contains(c.roles, r)
}

// Roles are what the caller has.
func (c Caller) Roles() []Role { return c.roles }

// Is says whether the caller is this customer, or authentication is off.
func (c Caller) Is(customer string) bool {
	return c.trusted || c.Subject != "" && c.Subject == customer
}

// Sees says whether the caller may read what is this customer's.
func (c Caller) Sees(customer string) bool { return c.Is(customer) || c.Has(Viewer) }

type callerKey struct{}

// CallerOf returns who sent the request of a context: nobody, where no Guard stood before its route.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// WhileValid returns a context that ends with the caller's token, for answers that go on. cancel must be called.
func WhileValid(ctx context.Context) (valid context.Context, cancel context.CancelFunc) {
	if c := CallerOf(ctx); !c.Expires.IsZero() {
		return context.WithDeadline(ctx, c.Expires)
	}
	return context.WithCancel(ctx)
}
