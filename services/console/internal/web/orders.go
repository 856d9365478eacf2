package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
)

// ordersPage lists orders: those that wait first, or those that pass a filter, the newest first.
type ordersPage struct {
	Statuses  []string
	Filter    orders.Filter
	Filtered  bool
	Waiting   []row // the longest waiting first
	Orders    []row
	Next      string // address of the next page
	NotBefore bool   // not the first page
}

// row is one order.
type row struct {
	queryapi.Order
	// Step it waits for, and since when; empty when it has its outcome.
	Step  string
	Since time.Time
}

const (
	pageSize = 50
	// maxWaiting is how many of the orders that wait are listed.
	maxWaiting = 20
)

func (p *Pages) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if id := q.Get("id"); id != "" {
		http.Redirect(w, r, "/orders/"+url.PathEscape(id), http.StatusSeeOther)
		return
	}
	page := ordersPage{
		Statuses: []string{"placed", "confirmed", "cancelled"},
		Filter: orders.Filter{
			CustomerID: q.Get("customer"), Status: q.Get("status"), PageSize: pageSize, PageToken: q.Get("page"),
		},
		NotBefore: q.Has("page"),
	}
	page.Filtered = page.Filter.CustomerID != "" || page.Filter.Status != ""
	found, err := p.orders.List(r.Context(), page.Filter)
	var waiting queryapi.OrderPage
	if err == nil && !page.Filtered && !page.NotBefore {
		waiting, err = p.orders.List(r.Context(), orders.Filter{Open: true, PageSize: maxWaiting})
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page.Orders, page.Waiting = rows(found.Orders), rows(waiting.Orders)
	if found.NextPageToken != "" {
		q.Set("page", found.NextPageToken)
		page.Next = "/orders?" + q.Encode()
	}
	p.show(w, r, http.StatusOK, "orders", "Orders", page)
}

func rows(found []queryapi.Order) []row {
	all := make([]row, len(found))
	for i, o := range found {
		all[i] = row{Order: o}
		all[i].Step, all[i].Since = waitsFor(o)
	}
	return all
}

// waitsFor says what an order without an outcome waits for.
func waitsFor(o queryapi.Order) (step string, since time.Time) {
	asked := o.Cancellation
	switch {
	case o.Settled || o.Status == "":
		return "", time.Time{}
	case o.Status == "cancelled" && o.Payment.Status == "succeeded":
		return "payment to refund it", asked.CancelledAt
	case o.Status == "cancelled":
		return "payment to say what became of the charge", asked.CancelledAt
	case o.Payment.Status == "succeeded":
		return "order to confirm it", o.Payment.DecidedAt
	case o.Payment.Status == "declined":
		return "order to cancel it", o.Payment.DecidedAt
	case asked != nil:
		return "order to cancel it", asked.RequestedAt
	}
	return "payment to charge it", o.PlacedAt
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
