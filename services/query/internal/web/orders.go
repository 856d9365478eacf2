package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// ordersPage lists orders: those that wait first, or those that pass a filter, the newest first.
type ordersPage struct {
	Statuses  []readmodel.Status
	Filter    readmodel.Filter
	Filtered  bool
	Open      readmodel.Open
	Waiting   []row // the longest waiting first
	Orders    []row
	Next      string // address of the next page
	NotBefore bool   // not the first page
}

// row is one order.
type row struct {
	readmodel.Found
	// Step it waits for, and since when; empty when it has its outcome.
	Step  string
	Since time.Time
}

// maxWaiting is how many of the orders that wait are listed.
const maxWaiting = 20

func (p *Pages) orders(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if id := q.Get("id"); id != "" {
		http.Redirect(w, r, "/orders/"+url.PathEscape(id), http.StatusSeeOther)
		return
	}
	page := ordersPage{
		Statuses: readmodel.Statuses, Filter: readmodel.Filter{Customer: q.Get("customer"), Status: readmodel.Status(q.Get("status"))},
		NotBefore: q.Has("page"),
	}
	page.Filtered = page.Filter != readmodel.Filter{}
	found, next, err := p.model.List(r.Context(), page.Filter, 50, q.Get("page"))
	if err == nil && !page.Filtered && !page.NotBefore {
		if page.Open, err = p.model.Open(r.Context()); err == nil {
			var waiting []readmodel.Found
			waiting, err = p.model.Waiting(r.Context(), maxWaiting)
			page.Waiting = rows(waiting)
		}
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page.Orders = rows(found)
	if next != "" {
		q.Set("page", next)
		page.Next = "/orders?" + q.Encode()
	}
	p.show(w, r, http.StatusOK, "orders", "Orders", page)
}

func rows(found []readmodel.Found) []row {
	all := make([]row, len(found))
	for i, f := range found {
		all[i] = row{Found: f}
		all[i].Step, all[i].Since = waitsFor(f.Document)
	}
	return all
}

// waitsFor says what an order without an outcome waits for.
func waitsFor(d readmodel.Document) (step string, since time.Time) {
	switch {
	case d.Settled() != 0 || d.Status() == "":
		return "", time.Time{}
	case d.Status() == readmodel.Cancelled && d.Payment.Succeeded != 0:
		return "payment to refund it", d.Order.Cancelled.Time()
	case d.Status() == readmodel.Cancelled:
		return "payment to say what became of the charge", d.Order.Cancelled.Time()
	case d.Payment.Succeeded != 0:
		return "order to confirm it", d.Payment.Succeeded.Time()
	case d.Payment.Declined != 0:
		return "order to cancel it", d.Payment.Declined.Time()
	case d.Order.Requested != 0:
		return "order to cancel it", d.Order.Requested.Time()
	}
	return "payment to charge it", d.Order.Placed.Time()
}

// fail shows an error as a page.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, title, text := http.StatusServiceUnavailable, "Not now", "The read model cannot say this at the moment. This page asks again."
	switch fault.ClassOf(err) {
	case fault.NotFound:
		status, title, text = http.StatusNotFound, "Not found", "There is no such order, or it is older than what the log keeps."
	case fault.Invalid:
		status, title, text = http.StatusBadRequest, "That is not right", err.Error()
	default:
		w.Header().Set("Retry-After", "1")
	}
	p.show(w, r, status, "problem", title, problemPage{Text: text, Again: status == http.StatusServiceUnavailable})
}

type problemPage struct {
	Text  string
	Again bool
}
