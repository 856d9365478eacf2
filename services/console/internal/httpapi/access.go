package httpapi

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/auth"
)

// access says who may ask what, of the operations and of the pages. What shows payloads, and mail addresses in them, is
// for operators.
var access = auth.Table{
	"GET /api/pulse":                                          auth.Viewer,
	"GET /api/rebuild":                                        auth.Viewer,
	"POST /api/rebuild":                                       auth.Operator,
	"DELETE /api/rebuild":                                     auth.Operator,
	"GET /api/dead-letters":                                   auth.Viewer,
	"GET /api/dead-letters/groups":                            auth.Viewer,
	"GET /api/dead-letters/log":                               auth.Viewer,
	"GET /api/dead-letters/requests/{request_id}":             auth.Viewer,
	"GET /api/dead-letters/{participant}/{order_id}":          auth.Operator,
	"POST /api/dead-letters/{participant}/{order_id}/redrive": auth.Operator,
	"POST /api/dead-letters/{participant}/{order_id}/edit":    auth.Operator,
	"POST /api/dead-letters/{participant}/{order_id}/discard": auth.Operator,

	"GET /":              auth.Viewer,
	"GET /break":         auth.Viewer,
	"POST /break/{name}": auth.Breaker,
	"GET /live":          auth.Viewer,
	"GET /orders":        auth.Viewer,
	"GET /orders/{id}":   auth.Viewer,
	"GET /dead-letters":  auth.Viewer,
	"GET /dead-letters/{participant}/{order}": auth.Operator,
	"GET /statistics":                         auth.Viewer,
}

// actor is who did it, for the audit trail: the token's subject. What the request says counts where no token is needed.
func actor(ctx context.Context, says string) string {
	if subject := auth.CallerOf(ctx).Subject; subject != "" {
		return subject
	}
	return says
}
