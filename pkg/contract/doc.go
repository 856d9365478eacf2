// Package contract is what every HTTP API that is generated from an OpenAPI document shares: a router whose every
// failure is a problem document, and a check of each request against the document that names each field at fault,
// unknown ones too.
//
// kin-openapi judges; what it does not see, or says in words of its own, is here: bodies that Go's decoder would mend,
// parameters that nobody has asked for, and the rule in a sentence.
//
// Files, each using only those above it:
//   - json.go: a body is one plain JSON value; the pointer to a field
//   - explain.go: the validator's errors, one for each field
//   - contract.go: a request is held against the document
//   - router.go: the routes of the contract
//   - prefer.go: how long a request is ready to wait
package contract
