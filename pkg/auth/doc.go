// Package auth is an OAuth 2.0 resource server (RFC 6750): it takes the bearer tokens of one OpenID provider at an HTTP
// API, and says whose they are; and where a service has pages, a client by which people sign in to them. It issues no
// tokens.
//
//   - config.go: the issuer, and when a service may do without
//   - caller.go: who sent a request, and what roles allow
//   - verify.go: discovery, keys, and what a token must be
//   - guard.go: the middleware before every route, by a table of routes and roles
//   - credentials.go: the token of a service that asks another
//   - session.go: who is signed in, in a sealed cookie
//   - signin.go: people sign in at the issuer and out (authorization code with PKCE, OpenID Connect)
//   - limits.go: requests of one subject and of one address
package auth
