package contract

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// Router routes the operations of the contract, each request checked first, and whatever others adds unchecked (health,
// metrics; nil: nothing). guards see the operations' requests before they are checked. Every answer that is not a
// success is a problem document.
func (c *Contract) Router(operations, others func(chi.Router), guards ...func(http.Handler) http.Handler) http.Handler {
	r := httpdoor.NewRouter()
	if others != nil {
		others(r)
	}
	r.Group(func(r chi.Router) {
		r.Use(guards...)
		r.Use(c.Check)
		operations(r)
	})
	return r
}

// Refuse answers what the generated code could not read although it passed the contract, which is the caller's mistake
// all the same: a format that the contract does not tell, say.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, fault.As(fault.Invalid, err))
}
