package web

import (
	"errors"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/console/internal/statistics"
)

// statistics is the page of the totals that services/statistics writes. There is none where nobody writes them.
func (p *Pages) statistics(w http.ResponseWriter, r *http.Request) {
	panel, err := p.totals.Panel(r.Context(), p.orders)
	switch {
	case fault.ClassOf(err) == fault.NotFound:
		p.show(w, r, http.StatusNotFound, "problem", "No statistics here",
			problemPage{Text: "Nobody has written any: the job of services/statistics does, see docs/statistics.md."})
	case errors.Is(err, statistics.ErrPartitions):
		p.show(w, r, http.StatusConflict, "problem", "No statistics here", problemPage{
			Text: err.Error() + ". Stop the job of services/statistics and delete the topic: the job makes it anew, " +
				"see docs/statistics.md.",
		})
	case err != nil:
		p.fail(w, r, err)
	default:
		p.show(w, r, http.StatusOK, "statistics", "Statistics", panel)
	}
}
